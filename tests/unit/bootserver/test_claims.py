"""The one claim to initialise: its rules, its route, and what outlives a lost database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests

from kindling.bootserver.claims import Asking, Claim, Known, Member, judge, role_of
from kindling.bootserver.states import Record
from tests.fakes.published import (
    Published,
    boot_server,
    cluster_documents,
    node_document,
    token_of,
)
from tests.fakes.server import running_server

NOW = 1_000_000.0
PLANES = cluster_documents(
    cp1="control-plane", cp2="control-plane", cp3="control-plane", w1="worker", lb1="load-balancer"
)
WITH_ETCD = cluster_documents(cp1="control-plane", etcd1="etcd", etcd2="etcd")
CP1, CP2, CP3 = "cp1.example", "cp2.example", "cp3.example"
HELD_BY_CP1 = Claim("test", "test", "kubernetes", 1, CP1, NOW - 300)
DONE_BY_CP1 = replace(HELD_BY_CP1, done_at=NOW - 200)


@pytest.fixture
def server(tmp_path) -> Iterator[Published]:
    """A cluster of three control planes; the database is old enough to be trusted."""
    with boot_server(tmp_path / "store", claim_grace=0) as running:
        publish(running)
        yield running


def publish(server: Published, **site: int) -> None:
    for document in PLANES:
        server.publish(document)
    server.publish_site(**site)


def asking(host: str = CP1, documents=PLANES, **values) -> Asking:
    document = next(d for d in documents if d.hostname == host)
    given = {"purpose": "kubernetes", "generation": 1, "incarnation": 1, **values}
    return Asking(document, **given)


def known(documents=PLANES, *, incarnation: int = 1, waiting: float = 0, **records) -> Known:
    """What is known: ``cp2={"joined_at": 5}`` gives fields of that host's record."""
    members = [
        Member(d, Record("test", d.hostname, **records.get(d.hostname.partition(".")[0], {})))
        for d in documents
    ]
    return Known(incarnation, members, waiting)


def lose_database(server: Published) -> None:
    for file in (server.directory / ".kindling").glob("records.sqlite*"):
        file.unlink()


def test_the_first_control_plane_that_asks_is_granted_the_claim():
    verdict = judge(asking(), None, known(), NOW)
    assert verdict.granted and verdict.holder == CP1
    assert verdict.claim == Claim("test", "test", "kubernetes", 1, CP1, NOW)


def test_the_holder_is_granted_again_until_it_is_done_and_then_nobody_is():
    assert judge(asking(), HELD_BY_CP1, known(), NOW).granted
    assert judge(asking(), HELD_BY_CP1, known(), NOW).claim is None
    for host in (CP1, CP2):
        verdict = judge(asking(host), DONE_BY_CP1, known(), NOW)
        assert (verdict.granted, verdict.holder) == (False, CP1)
        assert "initialised kubernetes" in verdict.reason and "join" in verdict.reason


def test_a_holder_that_is_installed_again_does_not_begin_anew_where_others_have_joined():
    """The word that it was done may have been lost, and its disk with it."""
    later = {"installed_at": HELD_BY_CP1.claimed_at + 60}
    inside = {"joined_at": NOW - 100, "stage_incarnation": 1}
    verdict = judge(asking(), HELD_BY_CP1, known(cp1=later, cp2=inside), NOW)
    assert not verdict.granted and "cp2.example is in the cluster already" in verdict.reason
    assert judge(asking(), HELD_BY_CP1, known(cp1=later), NOW).granted
    earlier = {"installed_at": HELD_BY_CP1.claimed_at - 60}
    assert judge(asking(), HELD_BY_CP1, known(cp1=earlier, cp2=inside), NOW).granted


def test_another_machine_is_told_who_holds_the_claim_and_since_when():
    verdict = judge(asking(CP2), HELD_BY_CP1, known(), NOW)
    assert (verdict.granted, verdict.holder) == (False, CP1)
    assert "since 5 min" in verdict.reason and "wait" in verdict.reason


def test_done_is_taken_from_the_holder_as_often_as_it_says_so_and_from_nobody_else():
    verdict = judge(asking(done=True), HELD_BY_CP1, known(), NOW)
    assert verdict.granted and verdict.claim == replace(HELD_BY_CP1, done_at=NOW)
    assert judge(asking(done=True), DONE_BY_CP1, known(), NOW).claim == DONE_BY_CP1
    for claim in (HELD_BY_CP1, DONE_BY_CP1):
        other = judge(asking(CP2, done=True), claim, known(), NOW)
        assert (other.granted, other.holder, other.claim) == (False, CP1, None)


def test_done_counts_also_when_the_claim_was_lost_or_a_newer_generation_is_published():
    verdict = judge(asking(done=True, generation=7), None, known(waiting=99), NOW)
    assert verdict.granted and verdict.claim and verdict.claim.done_at == NOW


@pytest.mark.parametrize(
    ("host", "documents", "purpose", "allowed"),
    [
        (CP1, PLANES, "kubernetes", True),
        ("w1.example", PLANES, "kubernetes", False),
        ("lb1.example", PLANES, "kubernetes", False),
        (CP1, PLANES, "etcd", True),
        ("w1.example", PLANES, "etcd", False),
        (CP1, WITH_ETCD, "kubernetes", True),
        (CP1, WITH_ETCD, "etcd", False),
        ("etcd1.example", WITH_ETCD, "etcd", True),
        ("etcd1.example", WITH_ETCD, "kubernetes", False),
    ],
)
def test_only_the_role_that_initialises_a_thing_may_claim_it(host, documents, purpose, allowed):
    verdict = judge(asking(host, documents, purpose=purpose), None, known(documents), NOW)
    assert verdict.granted is allowed
    assert allowed or "does not initialise" in verdict.reason
    assert role_of("etcd", PLANES) == "control-plane"


@pytest.mark.parametrize(
    ("asked", "facts", "reason"),
    [
        (asking(), known(incarnation=0), "not published yet"),
        (asking(incarnation=2), known(), "incarnation 2 of the cluster is not published"),
        (asking(incarnation=1), known(incarnation=2), "raise its generation"),
        (asking(generation=2), known(), "generation 1 of cp1.example is published"),
        (asking(), known(cp1={"held": "two addresses"}), "held: two addresses"),
        (
            asking(),
            known(cp2={"joined_at": 5.0, "stage_incarnation": 1}),
            "cp2.example is in the cluster already",
        ),
        (
            asking(),
            known(cp1={"joined_at": 5.0, "stage_incarnation": 1}),
            "cp1.example is in the cluster already",
        ),
        (asking(), known(waiting=120), "nothing was heard of cp2.example, cp3.example"),
    ],
)
def test_what_speaks_against_a_claim_is_said_in_a_sentence(asked, facts, reason):
    verdict = judge(asked, None, facts, NOW)
    assert not verdict.granted and verdict.claim is None and reason in verdict.reason


def test_what_joined_an_older_incarnation_does_not_keep_a_newer_one_from_beginning():
    facts = known(incarnation=2, cp2={"joined_at": 5.0, "stage_incarnation": 1})
    assert judge(asking(incarnation=2), None, facts, NOW).granted


def test_a_worker_in_the_cluster_is_no_proof_but_an_etcd_member_is_one_for_etcd():
    worker = known(w1={"joined_at": 5.0, "stage_incarnation": 1})
    assert judge(asking(), None, worker, NOW).granted
    etcd = known(WITH_ETCD, etcd2={"joined_at": 5.0, "stage_incarnation": 1})
    assert judge(asking(CP1, WITH_ETCD), None, etcd, NOW).granted
    assert not judge(asking("etcd1.example", WITH_ETCD, purpose="etcd"), None, etcd, NOW).granted


@pytest.mark.parametrize(
    ("record", "granted"),
    [
        ({}, False),
        ({"phase": "installing", "written_generation": 1}, True),
        ({"written_generation": 1, "installed_generation": 1}, True),
        ({"written_generation": 2, "installed_generation": 1}, False),
        ({"installed_generation": 1, "booted_at": 5.0}, False),
        ({"installed_generation": 1, "stage": "joining"}, True),
        ({"installed_generation": 1, "stage": "failed"}, False),
    ],
)
def test_with_new_records_the_first_claim_waits_for_who_may_be_in_a_running_cluster(
    record, granted
):
    """Not for a machine whose disk was written just now, or that says that it is outside."""
    facts = known(waiting=120, cp2=record, cp3={"phase": "installing"})
    assert judge(asking(), None, facts, NOW).granted is granted


def test_the_only_control_plane_waits_for_nobody():
    documents = cluster_documents(cp1="control-plane", w1="worker")
    assert judge(asking(documents=documents), None, known(documents, waiting=120), NOW).granted


def test_a_claim_is_granted_once_and_kept_with_who_and_when(server):
    assert server.claim(CP1) == {
        "granted": True, "holder": CP1, "reason": "cp1.example initialises kubernetes",
    }  # fmt: skip
    assert server.claim(CP2)["granted"] is False
    assert server.claim(CP1)["granted"] is True
    assert server.claim(CP1, done=True)["granted"] is True
    assert server.claim(CP1)["granted"] is False
    done, claim = server.node(CP1)["audit"]
    assert (claim["what"], claim["who"]) == ("claim", "boot server")
    assert claim["detail"] == "may initialise kubernetes of test, incarnation 1"
    assert (done["what"], done["detail"]) == (
        "done", "initialised kubernetes of test, incarnation 1",
    )  # fmt: skip
    (shown,) = server.node(CP1)["claims"]
    assert (shown["purpose"], shown["holder"]) == ("kubernetes", CP1) and shown["doneAt"]
    assert server.operator("GET", "/api/clusters").json()[0]["claims"] == [shown]


def test_purposes_and_incarnations_are_claimed_apart(server):
    assert server.claim(CP1)["granted"] and server.claim(CP2, "etcd")["granted"]
    server.claim(CP1, done=True)
    publish(server, incarnation=2)
    assert server.claim(CP1, incarnation=1)["granted"] is False
    assert server.claim(CP2, incarnation=2) == {
        "granted": True, "holder": CP2, "reason": "cp2.example initialises kubernetes",
    }  # fmt: skip


def test_a_control_plane_that_is_ready_ends_the_claim(server):
    server.claim(CP1)
    server.tell("ready", CP2)
    verdict = server.claim(CP1)
    assert verdict["granted"] is False and "cp1.example initialised" in verdict["reason"]
    assert "cp2.example is ready" in server.node(CP1)["audit"][0]["detail"]


def test_a_ready_worker_ends_no_claim(server):
    server.claim(CP1)
    server.tell("ready", "w1.example")
    assert server.claim(CP1)["granted"] is True


def test_a_re_installed_first_control_plane_joins(server):
    server.claim(CP1, done=True)
    server.tell("ready", CP1)
    server.publish(node_document(CP1, PLANES[0].macs[0], role="control-plane", generation=2))
    for state in ("installing", "installed", "booted"):
        server.tell(state, CP1, 2)
    assert server.claim(CP1, generation=2)["granted"] is False


def test_a_renamed_cluster_with_ready_control_planes_is_not_initialised_again(server):
    server.claim(CP1, done=True)
    server.tell("ready", CP2)
    for document in PLANES:
        server.publish(document.model_copy(update={"cluster": "renamed"}))
    assert "cp2.example is in the cluster already" in server.claim(CP1)["reason"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b"{}", 401),
        ({"Authorization": "Bearer wrong"}, b"{}", 403),
        ({"Authorization": f"Bearer {token_of(CP1, 1)}"}, b"{", 422),
        ({"Authorization": f"Bearer {token_of(CP1, 1)}"}, b'{"purpose": "kubernetes"}', 422),
        (
            {"Authorization": f"Bearer {token_of(CP1, 1)}"},
            b'{"purpose": "all", "generation": 1}',
            422,
        ),
        (
            {"Authorization": f"Bearer {token_of(CP1, 1)}"},
            b'{"purpose": "kubernetes", "generation": 1, "done": "yes"}',
            422,
        ),
        (
            {"Authorization": f"Bearer {token_of(CP1, 1)}"},
            b'{"purpose": "kubernetes", "generation": 2}',
            403,
        ),
        ({"Authorization": f"Bearer {token_of(CP1, 1)}"}, b"x" * 5000, 413),
        ({"Authorization": f"Bearer {token_of(CP2, 1)}"}, b"{}", 403),
    ],
)
def test_a_stranger_or_a_malformed_claim_gets_nothing(server, headers, body, status):
    answer = server.machine.post(f"/claim/{PLANES[0].macs[0]}", content=body, headers=headers)
    assert answer.status_code == status and answer.json()["error"]
    assert server.operator("GET", "/api/clusters").json()[0]["claims"] == []


def test_an_unknown_machine_claims_nothing(server):
    assert server.machine.post("/claim/de-ad-be-ef-00-01", content=b"{}").status_code == 404
    assert server.machine.get(f"/claim/{PLANES[0].macs[0]}").status_code == 405


def test_too_many_claims_of_a_machine_are_slowed_down(server):
    found = {
        server.machine.post(
            f"/claim/{PLANES[0].macs[0]}",
            json={"purpose": "kubernetes", "generation": 1},
            headers={"Authorization": f"Bearer {token_of(CP1, 1)}"},
        ).status_code
        for _ in range(90)
    }
    assert found == {200, 429}


def test_without_the_stack_s_own_document_nothing_is_granted(tmp_path):
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        for document in PLANES:
            server.publish(document)
        assert "not published yet" in server.claim(CP1)["reason"]
        assert "not published yet" in server.claim(CP1, done=True)["reason"]


def test_a_released_claim_is_granted_to_the_next_and_a_finished_one_is_not_released(server):
    path = "/api/clusters/test/release"
    server.claim(CP1)
    answer = server.operator("POST", path, {"purpose": "kubernetes"}, **{"Kindling-Operator": "a"})
    assert answer.json()["released"]["holder"] == CP1
    (released, _) = server.node(CP1)["audit"]
    assert (released["what"], released["who"]) == ("release", "a")
    assert server.claim(CP2)["holder"] == CP2
    server.claim(CP2, done=True)
    refused = server.operator("POST", path, {"purpose": "kubernetes"})
    assert refused.status_code == 409 and "incarnation" in refused.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/clusters/test/release", {"purpose": "etcd"}, 409),
        ("/api/clusters/test/release", {"purpose": "all"}, 422),
        ("/api/clusters/test/release", None, 422),
        ("/api/clusters/other/release", {"purpose": "etcd"}, 404),
    ],
)
def test_a_release_of_what_is_not_held_is_refused_in_a_sentence(server, path, body, status):
    answer = server.operator("POST", path, body)
    assert answer.status_code == status and answer.json()["error"]


def test_a_release_needs_the_operator_s_token(server):
    answer = server.machine.post("/api/clusters/test/release", json={"purpose": "kubernetes"})
    assert answer.status_code == 401


def test_a_lost_database_does_not_forget_who_initialised_the_cluster(tmp_path):
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        publish(server)
        server.claim(CP1)
        server.claim(CP1, done=True)
    lose_database(server)
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        verdict = server.claim(CP2)
        assert (verdict["granted"], verdict["holder"]) == (False, CP1)
        (shown,) = server.operator("GET", "/api/clusters").json()[0]["claims"]
        assert shown["holder"] == CP1 and shown["doneAt"]


def test_a_lost_database_does_not_forget_who_is_initialising_the_cluster(tmp_path):
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        publish(server)
        server.claim(CP1)
    lose_database(server)
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        assert server.claim(CP2)["holder"] == CP1
        assert server.claim(CP1)["granted"] is True
        server.operator("POST", "/api/clusters/test/release", {"purpose": "kubernetes"})
    lose_database(server)
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        assert server.claim(CP2)["granted"] is True


def test_an_older_copy_of_the_database_does_not_take_back_that_a_claim_is_done(tmp_path):
    records = tmp_path / "store" / ".kindling" / "records.sqlite"
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        publish(server)
        server.claim(CP1)
    copy = records.read_bytes()
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        server.claim(CP1, done=True)
    lose_database(server)
    records.write_bytes(copy)
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        assert server.claim(CP1)["granted"] is False


def test_a_note_that_cannot_be_read_grants_nothing_and_says_where_it_is(tmp_path):
    with boot_server(tmp_path / "store", claim_grace=0) as server:
        publish(server)
        server.claim(CP1)
        (note,) = (server.directory / ".kindling" / "claims").iterdir()
        assert note.stat().st_mode & 0o777 == 0o600
        note.write_text("{")
        answer = server.machine.post(
            f"/claim/{PLANES[1].macs[0]}",
            json={"purpose": "kubernetes", "generation": 1},
            headers={"Authorization": f"Bearer {token_of(CP2, 1)}"},
        )
        assert answer.status_code == 503 and str(note) in answer.json()["error"]
        assert server.tell("ready", CP1)["state"] == "ready"


def test_after_everything_was_lost_a_claim_waits_for_what_machines_repeat(tmp_path):
    """The notes too: only the machines know. Who is ready says so within two minutes."""
    with boot_server(tmp_path / "store") as server:
        publish(server)
        server.tell("installing", CP3)
        assert "nothing was heard of cp2.example," in server.claim(CP1)["reason"]
        server.tell("ready", CP2)
        assert "cp2.example initialised kubernetes" in server.claim(CP1)["reason"]
        server.clock.turn(3600)
        assert server.claim(CP1)["granted"] is False


def test_a_new_database_grants_the_first_claim_after_the_grace_though_nobody_was_heard(tmp_path):
    with boot_server(tmp_path / "store") as server:
        publish(server)
        assert server.claim(CP1)["granted"] is False
        server.clock.turn(301)
        assert server.claim(CP1)["granted"] is True


def test_of_control_planes_that_ask_two_servers_at_the_same_instant_exactly_one_is_granted(
    tmp_path,
):
    """Two servers in processes of their own, two workers each, over one directory."""
    directory = tmp_path / "store"
    options: dict[str, Any] = {"claim_grace": 0, "workers": 2}
    with running_server(directory, **options) as one, running_server(directory, **options) as two:
        tree = Published(directory)
        for incarnation in range(1, 7):
            publish(tree, incarnation=incarnation)
            urls, start = [one.url, two.url] * 5, threading.Barrier(9)
            with ThreadPoolExecutor(9) as pool:
                asked = [pool.submit(ask, urls[n], n % 3, incarnation, start) for n in range(9)]
            answers = [each.result() for each in asked]
            winners = {host for host, granted in answers if granted}
            assert len(winners) == 1
            assert all(granted for host, granted in answers if host in winners)


def ask(url: str, number: int, incarnation: int, start: threading.Barrier) -> tuple[str, bool]:
    document = PLANES[number]
    start.wait(30)
    answer = requests.post(
        f"{url}/claim/{document.macs[0]}",
        json={"purpose": "kubernetes", "generation": 1, "incarnation": incarnation},
        headers={"Authorization": f"Bearer {token_of(document.hostname, 1)}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return document.hostname, answer.json()["granted"]
