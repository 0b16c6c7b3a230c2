"""``ignition/<mac>``: only for the machine that got the script, and only until it installs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from kindling.bootserver import tickets as signing
from kindling.bootserver.tickets import SESSION_LIFE, TICKET_LIFE, Ticket, Tickets
from tests.fakes.published import HOST, MAC, Clock, boot_server, node_document

BODY = b'{"ignition":{"version":"3.4.0"}}'
LEASE, STATIC, OTHER = "10.0.0.1", "192.0.2.5", "10.0.0.66"


@pytest.fixture
def server(tmp_path):
    with boot_server(tmp_path / "store") as running:
        running.publish(node_document(), BODY)
        yield running


def static_node(address: str = STATIC, **values):
    """A node whose boot script gives its installer an address of its own."""
    boot = node_document().boot.model_copy(update={"address": address})
    return node_document(boot=boot, **values)


@pytest.fixture
def static(server):
    """The same server; its node has a static address, and its iPXE asks from a lease."""
    server.publish(static_node(), BODY)
    return server


def ignition_url(server, **how) -> str:
    found = re.search(r"ignition\.config\.url=(\S+)", server.boot(**how))
    assert found
    parts = urlsplit(found[1])
    return f"{parts.path}?{parts.query}"


def test_the_machine_that_got_the_script_gets_the_ignition_with_its_digest(server):
    answer = server.machine.get(ignition_url(server))
    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["content-digest"].startswith("sha-256=:")
    assert answer.headers["cache-control"] == "no-store"


def test_a_dropped_transfer_may_be_fetched_again_from_the_same_address(server):
    url = ignition_url(server)
    assert [server.machine.get(url).status_code for _ in range(3)] == [200] * 3


def test_the_ticket_ends_when_the_machine_reports_installing(server):
    url = ignition_url(server)
    server.report("installing")
    assert server.machine.get(url).status_code == 403
    assert server.state() == "installing"


def test_the_ticket_of_a_new_script_is_good_after_an_interrupted_installation(server):
    ignition_url(server)
    server.report("installing")
    assert server.machine.get(ignition_url(server)).status_code == 200


def test_the_ticket_ends_after_fifteen_minutes(server):
    url = ignition_url(server)
    server.clock.turn(TICKET_LIFE + 1)
    assert server.machine.get(url).status_code == 403
    assert server.state() == "armed"


def test_a_fetch_from_a_second_address_holds_the_node_and_names_both_addresses(server):
    url = ignition_url(server)
    answer = server.at("10.0.0.66").get(url)
    assert answer.status_code == 403 and BODY not in answer.content
    node = server.node()
    assert node["state"] == "held"
    assert "10.0.0.1" in node["held"] and "10.0.0.66" in node["held"]
    assert "raise its generation" in node["held"]
    assert server.machine.get(url).status_code == 403, "a held node's Ignition is closed"


def test_a_second_address_with_a_ticket_of_its_own_holds_the_node_too(server):
    """Anybody can ask for the script of a MAC: two addresses that fetch are one too many."""
    first, second = ignition_url(server), ignition_url(server, at="10.0.0.66")
    assert server.machine.get(first).status_code == 200
    assert server.at("10.0.0.66").get(second).status_code == 403
    assert server.state() == "held" and "10.0.0.66 after 10.0.0.1" in server.node()["held"]
    server.operator("POST", f"/api/nodes/{HOST}/arm")
    assert server.machine.get(ignition_url(server)).status_code == 200


def test_another_address_is_not_served_either_once_the_old_ticket_is_over(server):
    assert server.machine.get(ignition_url(server)).status_code == 200
    server.clock.turn(TICKET_LIFE + 1)
    url = ignition_url(server, at="10.0.0.9")
    assert server.at("10.0.0.9").get(url).status_code == 403
    assert server.state() == "held"


def test_a_second_address_is_told_from_the_first_also_by_a_restarted_server(tmp_path):
    clock = Clock()
    with boot_server(tmp_path / "store", clock) as server:
        server.publish(node_document(), BODY)
        url = ignition_url(server)
    with boot_server(tmp_path / "store", clock) as server:
        assert server.machine.get(url).status_code == 200
        assert server.at("10.0.0.66").get(url).status_code == 403
        assert server.state() == "held"


def test_the_installer_fetches_from_the_static_address_that_its_script_gave(static):
    assert static.at(STATIC).get(ignition_url(static)).content == BODY
    assert static.state() == "armed"


@pytest.mark.parametrize("order", [(STATIC, LEASE), (LEASE, STATIC), (STATIC, STATIC, LEASE)])
def test_lease_and_static_address_are_one_machine_in_any_order_and_again(static, order):
    url = ignition_url(static)
    assert [static.at(address).get(url).status_code for address in order * 2] == [200] * (
        2 * len(order)
    )
    again = ignition_url(static)
    assert [static.at(address).get(again).status_code for address in order] == [200] * len(order)
    assert static.state() == "armed"


@pytest.mark.parametrize("first", [None, LEASE, STATIC])
def test_a_third_address_with_the_ticket_of_a_static_node_holds_it(static, first):
    url = ignition_url(static)
    if first:
        assert static.at(first).get(url).status_code == 200
    assert static.at(OTHER).get(url).status_code == 403
    assert static.state() == "held"
    assert f"{OTHER} with the ticket that {LEASE} got" in static.node()["held"]
    assert static.at(STATIC).get(url).status_code == 403, "a held node's Ignition is closed"


def test_a_thief_s_own_script_gives_him_no_part_in_the_static_node_s_ticket(static):
    """His script names the node's static address too, which does not make him the node."""
    mine, his = ignition_url(static), ignition_url(static, at=OTHER)
    assert static.at(STATIC).get(mine).status_code == 200
    assert static.at(OTHER).get(his).status_code == 403
    assert f"{OTHER} after {LEASE}" in static.node()["held"]


def test_a_static_node_that_fetches_after_a_thief_tells_of_him(static):
    mine, his = ignition_url(static), ignition_url(static, at=OTHER)
    assert static.at(OTHER).get(his).status_code == 200
    assert static.at(STATIC).get(mine).status_code == 403
    held = static.node()["held"]
    assert f"{STATIC} with the ticket that {LEASE} got after {OTHER}" in held


def test_who_asks_for_a_script_from_the_static_address_is_not_the_machine_with_the_lease(static):
    """Until the installer runs the address is nobody's, so anybody can take it."""
    his, mine = ignition_url(static, at=STATIC), ignition_url(static)
    assert static.at(STATIC).get(his).status_code == 200
    assert static.at(STATIC).get(mine).status_code == 403
    assert static.state() == "held"


def test_a_ticket_is_good_at_the_address_that_its_own_script_gave(static):
    """The running installer does not hear of an address that is published while it starts."""
    url = ignition_url(static)
    static.publish(static_node("192.0.2.6"), BODY)
    assert static.at(STATIC).get(url).status_code == 200
    assert static.at("192.0.2.6").get(url).status_code == 403
    assert static.state() == "held"


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("2001:db8::5", "2001:db8::5"),
        ("2001:db8::5", "2001:0DB8:0:0:0:0:0:5"),
        ("192.0.2.5", "::ffff:192.0.2.5"),
    ],
)
def test_an_address_counts_however_the_connection_writes_it(server, address, seen):
    """A server that listens on IPv6 sees IPv4 machines inside of IPv6 addresses."""
    server.publish(static_node(address), BODY)
    assert server.at(seen).get(ignition_url(server)).status_code == 200
    assert server.state() == "armed"


def test_a_static_address_is_the_machine_s_own_also_for_a_restarted_server(tmp_path):
    clock = Clock()
    with boot_server(tmp_path / "store", clock) as server:
        server.publish(static_node(), BODY)
        url = ignition_url(server)
        assert server.at(LEASE).get(url).status_code == 200
    with boot_server(tmp_path / "store", clock) as server:
        assert server.at(STATIC).get(url).status_code == 200
        assert server.at(OTHER).get(url).status_code == 403
        assert server.state() == "held"


def test_a_report_from_the_static_address_goes_on_with_the_installation(static):
    assert static.at(STATIC).get(ignition_url(static)).status_code == 200
    static.machine = static.at(STATIC)
    for state in ("installing", "installed", "booted"):
        assert static.report(state).status_code == 200
    assert static.state() == "booted"


@pytest.mark.parametrize(
    "token", ["", "x", "a.b", "é.ü", "====.====", ".", "A" * 5000, "%00.%ff", "NTI6.AAAA"]
)
def test_a_made_up_ticket_is_refused_and_changes_nothing(server, token):
    answer = server.at("10.0.0.66").get(f"/ignition/{MAC}", params={"token": token})
    assert answer.status_code == 403
    assert server.state() == "armed"


def test_a_ticket_of_one_node_does_not_open_another(server):
    server.publish(node_document("n2.example", "52:54:00:00:00:02"))
    url = ignition_url(server).replace("00-01", "00-02")
    assert server.machine.get(url).status_code == 403
    assert server.state("n2.example") == server.state() == "armed"


def test_a_ticket_of_an_older_generation_is_refused(server):
    url = ignition_url(server)
    server.publish(node_document(generation=2), BODY)
    assert server.machine.get(url).status_code == 403


def test_disarming_closes_the_ignition(server):
    url = ignition_url(server)
    server.operator("POST", f"/api/nodes/{HOST}/disarm")
    assert server.machine.get(url).status_code == 403


def test_an_unpublished_node_has_no_ignition(server):
    assert server.machine.get("/ignition/52-54-00-00-00-99?token=x").status_code == 404


def test_a_ticket_reads_back_only_with_its_key_its_mac_and_in_its_time():
    mine, foreign = Tickets(b"k" * 32), Tickets(b"x" * 32)
    ticket = Ticket(MAC, 3, "2001:db8::1", 1000.123456, "2001:db8::2")
    text = mine.mint(ticket)
    assert mine.read(text, MAC, 1000.123456) == ticket
    assert mine.read(text, MAC, 1000 + TICKET_LIFE + 1) is None
    assert mine.read(text, MAC, 999) is None
    assert mine.read(text, "52:54:00:00:00:02", 1001) is None
    assert foreign.read(text, MAC, 1001) is None
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", text)


def test_a_ticket_without_a_static_address_is_good_at_one_address_only():
    ticket = Ticket(MAC, 1, LEASE, 1000)
    assert ticket.is_good_at(LEASE)
    assert not ticket.is_good_at(STATIC) and not ticket.is_good_at("")


def test_a_ticket_of_a_server_before_static_addresses_is_void_and_no_error():
    key = signing._derive(b"k" * 32, b"kindling boot ticket")
    old = signing._sign(key, f"{MAC}|1|{LEASE}|1000.5".encode())
    assert Tickets(b"k" * 32).read(old, MAC, 1001) is None


def test_every_changed_character_of_a_ticket_makes_it_void():
    tickets = Tickets(b"k" * 32)
    text = tickets.mint(Ticket(MAC, 1, "10.0.0.1", 1000.5))
    body = text.partition(".")[0]
    for place in range(len(body)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert tickets.read(changed, MAC, 1001) is None


def test_a_session_is_no_ticket_and_a_ticket_is_no_session():
    tickets = Tickets(b"k" * 32)
    session = tickets.open_session(1000)
    assert tickets.is_session(session, 1001)
    assert not tickets.is_session(session, 1000 + SESSION_LIFE + 1)
    assert tickets.read(session, MAC, 1001) is None
    assert not tickets.is_session(tickets.mint(Ticket(MAC, 1, "10.0.0.1", 1000)), 1001)
