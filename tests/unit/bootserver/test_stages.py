"""What installed systems say of the cluster: the rules, and ``status/<mac>`` that applies them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kindling.bootserver.diagnosis import diagnose_stage
from kindling.bootserver.heartbeats import EVERY, Heartbeats
from kindling.bootserver.records import Sighting
from kindling.bootserver.stages import SILENT_AFTER, may_join, silent_since, staged
from kindling.bootserver.states import Record, State, explain, since, state_of
from kindling.bootserver.transitions import Refusal, Report, published, report
from tests.fakes.published import (
    HOST,
    MAC,
    Published,
    boot_server,
    cluster_documents,
    digest_of,
    node_document,
    token_of,
)

DOCUMENT = node_document(generation=2)
NOW = 1_000_000.0
ARMED = published(None, DOCUMENT, NOW - 100)
BOOTED = replace(
    ARMED, installed_generation=2, settled_generation=2, installed_digest=digest_of("g2"),
    installed_at=NOW - 50, booted_at=NOW - 20, booted_digest=digest_of("g2"),
)  # fmt: skip


@pytest.fixture
def server(tmp_path) -> Iterator[Published]:
    with boot_server(tmp_path / "store") as running:
        running.publish(node_document())
        running.publish_site()
        yield running


def told(state: str, generation: int = 2, **more: Any) -> Report:
    return Report(state, generation, vouched=generation, **more)  # type: ignore[arg-type]


def stage(record: Record, state: str, at: float = NOW, generation: int = 2, **more: Any) -> Record:
    found = staged(record, DOCUMENT, told(state, generation, **more), at, incarnation=1)
    assert isinstance(found, Record)
    return found


def kinds(server: Published, host: str = HOST) -> list[str]:
    boots = server.node(host)["boots"]
    return [event["kind"] for boot in reversed(boots) for event in boot]


def test_a_repeated_stage_gives_the_very_same_record():
    once = stage(BOOTED, "ready", message="all pods run")
    assert stage(once, "ready", NOW + 120, message="all pods run") == once


def test_a_stage_began_when_it_was_first_told_whatever_is_said_of_it_since():
    joining = stage(BOOTED, "joining", NOW, message="waits for the endpoint")
    again = stage(joining, "joining", NOW + 60, message="kubeadm join")
    assert (again.stage_at, again.stage_message) == (NOW, "kubeadm join")
    assert stage(again, "ready", NOW + 90).stage_at == NOW + 90


def test_a_failure_in_the_cluster_is_failed_with_its_reason_and_no_failed_installation():
    failed = stage(BOOTED, "failed", message="etcd does not answer", log="last", of_cluster=True)
    assert state_of(failed, DOCUMENT, NOW) is State.FAILED
    assert "etcd does not answer" in explain(failed, DOCUMENT, NOW)
    assert since(failed, State.FAILED) == NOW
    assert (failed.failures, failed.held, failed.stage_log) == (0, "", "last")
    assert state_of(stage(failed, "ready"), DOCUMENT, NOW) is State.READY


def test_outdated_wins_over_ready_and_a_failure_over_both():
    changed = node_document(generation=2, digest=digest_of("new"), history=DOCUMENT.history)
    ready = stage(BOOTED, "ready")
    assert state_of(ready, changed, NOW) is State.OUTDATED
    assert state_of(replace(ready, stage="failed"), changed, NOW) is State.FAILED


def test_a_stage_is_told_also_while_a_newer_generation_is_armed():
    older = replace(ARMED, installed_generation=1, settled_generation=1, installed_at=NOW - 500)
    found = stage(older, "ready", generation=1)
    assert (found.stage, state_of(found, DOCUMENT, NOW)) == ("ready", State.ARMED)


def test_a_stage_of_a_superseded_generation_is_refused():
    found = staged(BOOTED, DOCUMENT, told("ready", 1), NOW, incarnation=1)
    assert isinstance(found, Refusal) and found.status == 409 and "generation 2" in found.reason


@pytest.mark.parametrize("state", ["installing", "installed"])
def test_a_machine_that_is_installed_again_forgets_its_stage(state):
    older = replace(ARMED, installed_generation=1, settled_generation=1, installed_at=NOW - 500)
    ready = stage(older, "ready", generation=1)
    found = report(ready, DOCUMENT, replace(told(state), digest=digest_of("g2")), NOW)
    assert isinstance(found, Record)
    assert (found.stage, found.stage_generation, found.joined_at) == ("", 0, None)


def test_a_boot_ends_the_stage_but_the_machine_stays_known_to_have_joined():
    ready = stage(BOOTED, "ready", NOW)
    found = report(ready, DOCUMENT, replace(told("booted"), digest=digest_of("g2")), NOW + 60)
    assert isinstance(found, Record) and state_of(found, DOCUMENT, NOW + 60) is State.BOOTED
    assert (found.stage, found.joined_at, found.stage_generation) == ("", NOW, 2)
    assert stage(found, "ready", NOW + 90).stage_at == NOW + 90


def test_lost_records_are_rebuilt_by_a_stage_and_completed_by_the_next_boot():
    found = stage(ARMED, "ready")
    assert state_of(found, DOCUMENT, NOW) is State.READY
    assert (found.installed_generation, found.installed_digest) == (2, "")
    booted = report(found, DOCUMENT, replace(told("booted"), digest=digest_of("g2")), NOW + 9)
    assert isinstance(booted, Record) and booted.installed_digest == digest_of("g2")
    assert state_of(booted, DOCUMENT, NOW + 9) is State.BOOTED


def test_the_cluster_s_incarnation_is_the_machine_s_or_what_was_published_when_it_came():
    ready = stage(BOOTED, "ready")
    later = staged(ready, DOCUMENT, told("ready"), NOW + 9, incarnation=2)
    assert isinstance(later, Record) and later.stage_incarnation == 1
    said = staged(ready, DOCUMENT, told("ready", incarnation=3), NOW + 9, incarnation=2)
    assert isinstance(said, Record) and said.stage_incarnation == 3


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ARMED, True),
        (replace(ARMED, armed_at=None, disarmed_by="ada"), False),
        (replace(ARMED, armed_at=None, phase="installing", installing_at=NOW), True),
        (BOOTED, True),
        (replace(BOOTED, installed_at=NOW - 2 * 86_400), False),
        (stage(BOOTED, "joining"), True),
        (replace(stage(BOOTED, "joining"), installed_at=NOW - 2 * 86_400), True),
        (replace(stage(BOOTED, "joining"), installed_at=0, stage_at=NOW - 8 * 86_400), False),
        (stage(BOOTED, "joined"), False),
        (stage(BOOTED, "ready"), False),
    ],
)
def test_a_machine_may_join_from_its_arming_until_it_joined_or_gave_up(record, expected):
    assert may_join(record, DOCUMENT, NOW) is expected


def test_only_a_machine_that_once_told_a_stage_and_is_not_being_installed_is_silent():
    ready, late = stage(BOOTED, "ready"), NOW + SILENT_AFTER + 1
    assert silent_since(ready, NOW, NOW, late) == NOW
    assert silent_since(ready, NOW, NOW, late - 2) is None
    assert silent_since(BOOTED, NOW, NOW, late) is None
    assert silent_since(replace(ready, phase="installing"), NOW, NOW, late) is None
    assert silent_since(ready, None, NOW, late) is None


def test_a_server_that_was_down_itself_calls_nobody_silent():
    ready, started = stage(BOOTED, "ready"), NOW + 5000
    assert silent_since(ready, NOW, started, started + SILENT_AFTER - 1) is None
    assert silent_since(ready, NOW, started, started + SILENT_AFTER + 1) == NOW


def test_heartbeats_are_known_at_once_and_written_only_now_and_then():
    clock = [0.0]
    beats = Heartbeats(lambda: clock[0])
    for at in (1.0, 2.0):
        beats.note(("test", HOST), Sighting(at, "10.0.0.1"))
    last = beats.last(("test", HOST))
    assert last is not None and last.at == 2.0 and beats.take() == {}
    clock[0] = EVERY
    assert [each.at for each in beats.take().values()] == [2.0]
    assert beats.take(everything=True) == {}


def test_written_heartbeats_and_their_interval_never_make_a_living_machine_silent():
    assert EVERY + 2 * 120 < SILENT_AFTER


def test_a_machine_is_followed_from_its_boot_to_ready(server):
    server.install()
    for state in ("initialising", "joining", "joined", "ready"):
        assert server.tell(state, message=f"{state} now") == {"state": state, "reboot": False}
        node = server.node()
        assert node["state"] == node["stage"]["state"] == state
        assert node["stage"]["message"] == f"{state} now"
    assert kinds(server)[-5:] == ["booted", "initialising", "joining", "joined", "ready"]


def test_a_cluster_failure_shows_its_reason_and_its_log_and_another_failed_is_refused(server):
    server.install()
    server.tell("failed", stage="cluster", message="kubeadm join: timed out", log="the last line")
    node = server.node()
    assert node["state"] == "failed" and "kubeadm join: timed out" in node["diagnosis"]
    assert (node["stage"]["state"], node["stageLog"]) == ("failed", "the last line")
    assert kinds(server)[-1] == "cluster-failed" and node["failures"] == 0
    assert server.report("failed", message="no disk").status_code == 409


def test_a_repeated_stage_writes_nothing_and_is_no_event_but_is_seen(server):
    server.install()
    server.tell("ready", message="well")
    before, seen = len(kinds(server)), server.node()["lastSeen"]
    records = sqlite3.connect(server.directory / ".kindling" / "records.sqlite")
    pulse = records.execute("PRAGMA data_version").fetchone()
    server.clock.turn(120)
    for _ in range(5):
        assert server.tell("ready", message="well")["state"] == "ready"
    time.sleep(1.0)  # longer than what is written behind waits
    assert records.execute("PRAGMA data_version").fetchone() == pulse
    records.close()
    assert len(kinds(server)) == before and server.node()["lastSeen"] > seen + 100


def test_a_message_that_changes_within_a_stage_is_no_event(server):
    server.install()
    for attempt in range(5):
        server.tell("joining", message=f"attempt {attempt}")
    assert kinds(server).count("joining") == 1
    assert server.node()["stage"]["message"] == "attempt 4"


def test_a_machine_that_stops_reporting_is_silent_until_it_reports_again(server):
    server.install()
    server.tell("ready")
    server.clock.turn(SILENT_AFTER - 10)
    assert server.node()["silentSince"] is None
    server.clock.turn(20)
    node = server.node()
    assert node["state"] == "ready" and node["silentSince"] == node["lastSeen"]
    assert "has not reported for 10 min" in node["diagnosis"]
    assert "kindling_nodes_silent 1.0" in server.machine.get("/metrics").text
    assert "silent" in server.operator("GET", "/fragment").text
    server.tell("ready")
    server.clock.turn(6)  # a picture is shown for some seconds when nothing was stored
    assert server.node()["silentSince"] is None


def test_asking_for_a_boot_script_with_its_mac_does_not_make_a_silent_machine_heard(server):
    server.install()
    server.tell("ready")
    server.clock.turn(SILENT_AFTER + 10)
    server.boot(at="10.0.0.66")
    assert server.node()["silentSince"] is not None


def test_heartbeats_outlive_a_server_that_is_stopped(tmp_path):
    with boot_server(tmp_path / "store") as server:
        server.publish(node_document())
        server.install()
        server.tell("ready")
        server.clock.turn(500)
        server.tell("ready")
        seen = server.node()["lastSeen"]
    with boot_server(tmp_path / "store", server.clock) as again:
        assert again.node()["lastSeen"] == seen


def test_refused_repetitions_do_not_push_the_boot_out_of_the_timeline(server):
    server.publish(node_document(generation=2))
    server.report("installed", 2)
    for _ in range(40):
        assert server.report("ready", 1, token=token_of(HOST, 1)).status_code == 409
    assert kinds(server).count("refused") <= 10


@pytest.mark.parametrize(
    "body",
    [
        {"state": "failed", "stage": "elsewhere"},
        {"state": "ready", "incarnation": 0},
        {"state": "ready", "incarnation": "1"},
        {"state": "resting"},
    ],
)
def test_a_malformed_stage_is_refused(server, body):
    more = {name: value for name, value in body.items() if name != "state"}
    assert server.report(body["state"], **more).status_code == 422


def test_the_live_document_has_the_files_of_the_node_each_with_its_digest(server):
    server.publish(node_document(live={"haproxy.cfg": "backend\n", "coredns.json": "{}"}))
    answer = server.machine.get(
        f"/live/{MAC}", headers={"Authorization": f"Bearer {token_of(HOST, 1)}"}
    ).json()
    assert answer["files"] == {"haproxy.cfg": "backend\n", "coredns.json": "{}"}
    digests = {"haproxy.cfg": digest_of("backend\n"), "coredns.json": digest_of("{}")}
    assert answer["digests"] == digests and answer["schemaVersion"] == 1


def test_any_armed_holds_from_the_arming_of_a_machine_until_it_is_in_the_cluster(server):
    document = server.documents[0]
    other = cluster_documents(w1="worker")[0]
    server.install()
    server.tell("ready")

    def any_armed() -> bool:
        bearer = {"Authorization": f"Bearer {token_of(HOST, 1)}"}
        answer = server.machine.get(f"/live/{document.macs[0]}", headers=bearer)
        return answer.json()["anyArmed"] is True

    assert not any_armed()
    server.publish(other)
    for state in ("installing", "installed", "booted", "joining"):
        assert any_armed(), f"before {state}"
        server.tell(state, other.hostname)
    assert any_armed()
    server.tell("joined", other.hostname)
    assert not any_armed()


def test_a_stage_that_takes_too_long_is_explained_with_what_helps():
    later = NOW + 3600
    initialising = stage(BOOTED, "initialising", message="kubeadm init")
    said = diagnose_stage(initialising, DOCUMENT, None, later)
    assert "initialising for 60 min: kubeadm init" in said
    assert "python -m kindling release test kubernetes" in said
    assert "endpoint" in diagnose_stage(stage(BOOTED, "joining"), DOCUMENT, None, later)
    assert diagnose_stage(stage(BOOTED, "joining"), DOCUMENT, None, NOW + 60) == ""
    assert diagnose_stage(stage(BOOTED, "ready"), DOCUMENT, None, later) == ""


def test_a_machine_that_is_ready_but_warns_of_something_needs_attention():
    ready = stage(BOOTED, "ready", message="v1.33.6; warning: etcd: the disk is full")
    assert diagnose_stage(ready, DOCUMENT, None, NOW) == "It warns: etcd: the disk is full"
    assert state_of(ready, DOCUMENT, NOW) is State.READY
