"""The live document on the machine, and the heartbeat: the rendered program runs for real."""

import json

import pytest

from kindling.models.role import Role
from tests.fakes.api_server import api_server
from tests.fakes.cluster_server import TOKEN, cluster_server
from tests.fakes.joining_machine import JoiningMachine

STAGE = {"state": "ready", "generation": 1, "digest": None, "message": "well", "log": ""}


@pytest.fixture
def machine(tmp_path):
    with api_server(tmp_path) as api, cluster_server() as server:
        made = JoiningMachine(tmp_path, server, api, role=Role.WORKER)
        publish(made, haproxy="first")
        yield made


def publish(machine, *, armed=False, **files):
    """Names of files without their endings."""
    named = {f"{name}.cfg": text for name, text in files.items()}
    machine.server.publish(named, host=machine.host, armed=armed)


def hook(machine, name="haproxy.cfg", **steps):
    """A consumer that writes down how it is called; ``check`` and ``apply`` are its bodies."""
    body = 'echo "hook $1 $(cat "$2")" >>"$STATE/calls"\ncase $1 in\n'
    body += "".join(f"{step}) {text} ;;\n" for step, text in steps.items())
    machine.write(f"/opt/kindling/live.d/{name}", f"#!/bin/bash\n{body}esac\n", 0o755)


def staged(machine):
    machine.write("/run/kindling/stage", json.dumps(STAGE))


def kept(machine, name="haproxy.cfg"):
    return machine.path(f"/var/lib/kindling/live/{name}").read_text()


def test_each_file_of_the_document_is_kept(machine):
    publish(machine, haproxy="first\nline\n", other="x")
    assert machine.run("live").status == 0
    assert (kept(machine), kept(machine, "other.cfg")) == ("first\nline\n", "x")


def test_the_token_is_in_the_request_and_in_no_argument(machine):
    done = machine.run("live")
    assert machine.server.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in "\n".join(machine.calls) + done.output


def test_the_consumer_tests_a_file_before_and_takes_it_after_it_is_in_place(machine):
    hook(machine, check='[ ! -e "$ROOT/var/lib/kindling/live/haproxy.cfg" ]', apply="")
    machine.run("live")
    assert machine.called("hook") == ["hook check first", "hook apply first"]
    assert kept(machine) == "first"


def test_what_has_not_changed_is_not_taken_again(machine):
    hook(machine, check="", apply="")
    machine.run("live")
    machine.run("live")
    assert machine.called("hook") == []


def test_a_refused_file_keeps_the_old_one_and_is_a_warning_until_it_is_good(machine):
    machine.run("live")
    staged(machine)
    hook(machine, check="echo 'line 3: unknown keyword' >&2; exit 1", apply="")
    publish(machine, haproxy="second")
    machine.run("live")
    assert kept(machine) == "first"
    said = machine.server.messages[-1]
    assert said == (
        "well; warning: live document, haproxy.cfg: refused, the one before stays: "
        "line 3: unknown keyword"
    )
    hook(machine, check="", apply="")
    machine.run("live")
    assert kept(machine) == "second"
    assert machine.server.messages[-1] == "well"


def test_what_could_not_be_applied_is_applied_again(machine):
    staged(machine)
    hook(machine, check="", apply="echo 'no such process' >&2; exit 1")
    machine.run("live")
    assert "could not be applied: no such process" in machine.server.messages[-1]
    assert kept(machine) == "first"
    hook(machine, check="", apply="")
    machine.run("live")
    assert machine.called("hook") == ["hook check first", "hook apply first"]
    assert machine.server.messages[-1] == "well"


@pytest.mark.parametrize(
    "damage",
    [
        {"digests": {"haproxy.cfg": "0" * 64}},
        {"host": "other.example.com"},
        {"schemaVersion": 2},
    ],
    ids=["digest of a file", "another host", "another schema"],
)
def test_a_document_that_is_not_right_changes_nothing_and_is_a_warning(machine, damage):
    machine.run("live")
    staged(machine)
    publish(machine, haproxy="second")
    machine.server.live |= damage
    machine.run("live")
    assert kept(machine) == "first"
    assert "warning: live document" in machine.server.messages[-1]


def test_a_document_that_was_damaged_on_its_way_changes_nothing(machine):
    machine.run("live")
    publish(machine, haproxy="second")
    machine.server.digest = "AAAA"
    machine.run("live")
    assert kept(machine) == "first"


def test_a_name_that_is_more_than_a_name_is_left_alone(machine):
    machine.server.publish({"../evil": "x", ".hidden": "y", "fine": "z"}, host=machine.host)
    machine.run("live")
    assert kept(machine, "fine") == "z"
    assert not machine.has("/var/lib/kindling/evil")
    assert not machine.has("/var/lib/kindling/live/.hidden")


def test_the_first_document_is_waited_for(machine):
    live, machine.server.live = machine.server.live, None
    asked = []

    def give():
        asked.append(1)
        if len(asked) == 3:
            machine.server.live = live
        return type(machine.server).give(machine.server)

    machine.server.give = give
    machine.run("live")
    assert kept(machine) == "first"


def test_a_boot_server_that_is_gone_leaves_everything_as_it_was(machine):
    machine.run("live")
    machine.server.silent = True
    assert machine.run("live").status == 0
    assert kept(machine) == "first"


def test_whether_a_machine_is_armed_is_remembered_without_the_files(machine):
    publish(machine, armed=True, haproxy="first")
    machine.run("live")
    written = json.loads(machine.path("/var/lib/kindling/live.json").read_text())
    assert written["anyArmed"] is True
    assert "files" not in written


def test_a_control_plane_reconciles_after_a_change_and_only_then(tmp_path):
    with api_server(tmp_path) as api, cluster_server() as server:
        plane = JoiningMachine(tmp_path, server, api)
        publish(plane, labels="x")
        plane.run("live")
        assert plane.called("systemctl") == [
            "systemctl start --no-block kindling-reconcile.service"
        ]
        plane.run("live")
        assert plane.called("systemctl") == []


def test_the_heartbeat_repeats_the_last_stage(machine):
    staged(machine)
    machine.run("live")
    machine.run("live")
    assert [report["state"] for report in machine.server.reports] == ["ready", "ready"]


def test_before_the_first_stage_of_a_boot_there_is_no_heartbeat(machine):
    machine.run("live")
    assert machine.server.reports == []


def test_the_answer_to_a_heartbeat_can_ask_for_a_restart(machine):
    staged(machine)
    machine.run("live")
    assert machine.called("systemctl") == []
    machine.server.reboot = True
    machine.run("live")
    assert machine.called("systemctl") == ["systemctl start --no-block kindling-reboot.service"]
