"""What is written behind: timelines, sightings and unknown machines, all of them bounded."""

from __future__ import annotations

import pytest

from kindling.bootserver import timeline
from kindling.bootserver.addresses import client_address, for_script, normalise_mac, short_text
from kindling.bootserver.database import Database
from kindling.bootserver.limiter import Limiter
from kindling.bootserver.observer import FileAsked, Observer, Seen
from kindling.bootserver.records import KEPT_EVENTS, Event, Records, Sighting
from kindling.bootserver.unknown import MOST, Unknown, list_unknown
from tests.fakes.published import HOST, boot_server, node_document

KERNEL = "/assets/flatcar/x86-64/4230.2.3/flatcar_production_pxe.vmlinuz"


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'records.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path):
    with boot_server(tmp_path / "store") as running:
        yield running


def script(at: float, host: str = HOST, address: str = "10.0.0.1") -> Event:
    return Event("test", host, at, timeline.SCRIPT_INSTALL, "", address)


def kinds(database: Database, host: str = HOST) -> list[str]:
    return [event.kind for event in Records(database).timelines().get(("test", host), [])]


def test_a_file_belongs_to_the_node_that_last_got_a_script_at_that_address(database):
    observer = Observer(database)
    observer.note(script(1, "n1.example", "10.0.0.1"))
    observer.note(script(2, "n2.example", "10.0.0.2"))
    observer.note(FileAsked(3, "10.0.0.2", timeline.KERNEL, "kernel"))
    observer.note(FileAsked(4, "10.0.0.9", timeline.KERNEL, "kernel"))
    observer.flush()
    assert kinds(database, "n1.example") == [timeline.SCRIPT_INSTALL]
    assert kinds(database, "n2.example") == [timeline.SCRIPT_INSTALL, timeline.KERNEL]


def test_a_file_is_attributed_also_when_another_worker_served_the_script(database):
    Observer(database).flush()
    first, second = Observer(database), Observer(database)
    first.note(script(1))
    first.flush()
    second.note(FileAsked(2, "10.0.0.1", timeline.INITRD, "initrd"))
    second.flush()
    assert kinds(database) == [timeline.SCRIPT_INSTALL, timeline.INITRD]


def test_a_step_that_repeats_within_a_boot_is_one_step(database):
    observer = Observer(database)
    for boot in (0, 100):
        observer.note(script(boot))
        for at in (1, 2, 3):
            observer.note(FileAsked(boot + at, "10.0.0.1", timeline.IMAGE, "image"))
    observer.flush()
    assert kinds(database) == [timeline.SCRIPT_INSTALL, timeline.IMAGE] * 2


def test_only_the_newest_events_of_a_node_are_kept(database):
    observer = Observer(database)
    for at in range(KEPT_EVENTS * 2):
        observer.note(script(at))
    observer.flush()
    events = Records(database).timelines()["test", HOST]
    assert [event.at for event in events] == list(range(KEPT_EVENTS, KEPT_EVENTS * 2))


def test_a_status_does_not_wipe_what_the_boot_query_told(database):
    observer = Observer(database)
    told = Sighting(1, "10.0.0.1", "x86_64", "efi", "Example", "Server", "S1")
    observer.note(Seen("test", HOST, told))
    observer.note(Seen("test", HOST, Sighting(2, "10.0.0.1", simulated=True)))
    observer.flush()
    found = Records(database).sightings()["test", HOST]
    assert (found.at, found.serial, found.simulated) == (2, "S1", True)


def test_what_waits_is_written_when_the_server_ends(database):
    with Observer(database) as observer:
        observer.note(script(1))
    assert kinds(database) == [timeline.SCRIPT_INSTALL]


def test_under_a_flood_the_oldest_observations_are_dropped_and_counted(database):
    observer = Observer(database)
    for at in range(20_050):
        observer.note(script(at))
    assert observer.dropped == 50


def test_there_is_a_bound_on_unknown_machines_and_the_oldest_goes_first(database):
    observer = Observer(database)
    for number in range(MOST + 20):
        mac = f"de:ad:00:00:{number // 256:02x}:{number % 256:02x}"
        observer.note(Unknown(mac, Sighting(float(number), "10.0.0.7")))
    observer.flush()
    found = list_unknown(database)
    assert len(found) == MOST
    assert found[0]["last_seen"] == MOST + 19 and found[-1]["last_seen"] == 20


def test_an_unknown_machine_is_listed_with_what_it_says_of_itself(server):
    machine = {"platform": "efi", "manufacturer": "<b>Evil</b>\n", "product": "P" * 900}
    script = server.boot("DE-AD-BE-EF-00-01", serial="S1", **machine)
    assert "sanboot" in script and "Evil" not in script
    (found,) = server.operator("GET", "/api/unknown").json()
    assert found["mac"] == "de:ad:be:ef:00:01" and found["serial"] == "S1"
    assert found["manufacturer"] == "<b>Evil</b>" and len(found["product"]) == 128


def test_a_machine_that_becomes_a_node_is_no_longer_listed_as_unknown(server):
    server.boot()
    assert len(server.operator("GET", "/api/unknown").json()) == 1
    server.publish(node_document())
    server.boot()
    assert server.operator("GET", "/api/unknown").json() == []


def test_one_address_can_add_only_so_many_unknown_machines_but_gets_its_scripts(server):
    for number in range(60):
        assert "sanboot" in server.boot(f"de-ad-be-ef-00-{number:02x}")
    assert 20 <= len(server.operator("GET", "/api/unknown").json()) < 40


def test_a_limiter_lets_through_a_burst_and_then_its_rate():
    now = [0.0]
    limiter = Limiter(burst=3, refill=0.5, clock=lambda: now[0])
    assert [limiter.allows("a") for _ in range(4)] == [True, True, True, False]
    assert limiter.allows("b")
    now[0] = 2.0
    assert [limiter.allows("a"), limiter.allows("a")] == [True, False]


def test_fetched_and_missing_files_are_steps_of_the_boot(server):
    server.publish(node_document())
    server.boot()
    server.machine.get(KERNEL)
    folder = server.directory / "assets/flatcar/x86-64/4230.2.3"
    folder.mkdir(parents=True)
    (folder / "flatcar_production_pxe_image.cpio.gz").write_bytes(b"initrd")
    server.machine.get(KERNEL.replace("pxe.vmlinuz", "pxe_image.cpio.gz"))
    (boot,) = server.node()["boots"]
    assert [event["kind"] for event in boot] == ["script-install", "missing", "initrd"]
    assert boot[1]["text"] == "flatcar_production_pxe.vmlinuz"


def test_a_file_fetched_from_a_static_address_is_a_step_of_the_node_that_has_it(server):
    """No script was served there, and no other worker needs to tell of it."""
    boot = node_document().boot.model_copy(update={"address": "192.0.2.5"})
    server.publish(node_document(boot=boot))
    server.boot()
    server.machine.get(KERNEL)
    server.at("192.0.2.5").get(KERNEL.replace("pxe.vmlinuz", "image.bin.bz2"))
    server.at("192.0.2.6").get(KERNEL.replace("pxe.vmlinuz", "image.bin.bz2"))
    (found,) = server.node()["boots"]
    told = [(event["text"], event["address"]) for event in found[1:]]
    assert told == [
        ("flatcar_production_pxe.vmlinuz", "10.0.0.1"),
        ("flatcar_production_image.bin.bz2", "192.0.2.5"),
    ]


def test_machines_that_say_they_are_simulated_are_shown_as_such(server):
    server.publish(node_document())
    server.boot()
    assert server.node()["simulated"] is False
    server.clock.turn(10)  # the same script again is noted once within some seconds
    server.boot(simulated="1")
    assert server.node()["simulated"] is True


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("10.0.0.1", "1.2.3.4", "10.0.0.1"),
        ("192.168.7.2", "1.2.3.4", "1.2.3.4"),
        ("192.168.7.2", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("192.168.7.2", "1.2.3.4, 192.168.7.3", "1.2.3.4"),
        ("192.168.7.2", "2001:0DB8::0:5", "2001:db8::5"),
        ("192.168.7.2", "nonsense", "192.168.7.2"),
        ("192.168.7.2", "", "192.168.7.2"),
    ],
)
def test_a_forwarded_address_counts_only_as_far_as_trusted_proxies_wrote_it(
    client, forwarded, expected
):
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"client": (client, 1), "headers": headers}
    assert client_address(scope, ["192.168.7.0/24"]) == expected
    assert client_address(scope) == client


@pytest.mark.parametrize(
    ("written", "seen"),
    [("::ffff:10.0.0.1", "10.0.0.1"), ("2001:DB8:0::1", "2001:db8::1"), ("a:socket", "a:socket")],
)
def test_an_address_is_seen_in_one_spelling(written, seen):
    assert client_address({"client": (written, 1), "headers": []}) == seen


def test_macs_and_texts_are_made_safe_at_the_door():
    assert normalise_mac("AA-BB-CC-00-11-22") == "aa:bb:cc:00:11:22"
    assert normalise_mac("aabbcc001122") is None
    assert short_text("a\x00b\né", 10) == "a b"
    assert for_script("${x} && `id` | held: a, b") == "x id held: a, b"
