"""``status/<mac>`` and ``live/<mac>``: what machines say, and what strangers cannot."""

from __future__ import annotations

import base64
import hashlib
import random
import string
from urllib.parse import quote

import pytest

from tests.fakes.published import (
    HOST,
    MAC,
    Clock,
    boot_server,
    digest_of,
    node_document,
    token_of,
)

BEARER = {"Authorization": f"Bearer {token_of(HOST, 1)}"}


@pytest.fixture
def server(tmp_path):
    with boot_server(tmp_path / "store") as running:
        running.publish(node_document())
        yield running


def post(server, body: bytes, mac: str = MAC, **headers: str):
    return server.machine.post(f"/status/{mac}", content=body, headers={**BEARER, **headers})


def test_an_installation_is_followed_from_its_first_report_to_its_first_boot(server):
    server.boot()
    for state in ("installing", "installed", "booted"):
        answer = server.report(state)
        assert (answer.status_code, answer.json()) == (200, {"state": state, "reboot": False})
        assert server.state() == state


def test_installed_survives_a_server_that_is_killed_right_after_its_answer(tmp_path):
    """The record is committed before the answer: a new server over the same files knows it."""
    clock = Clock()
    with boot_server(tmp_path / "store", clock) as server:
        server.publish(node_document())
        server.boot()
        server.report("installing")
        assert server.report("installed").json()["state"] == "installed"
        with boot_server(tmp_path / "store", clock) as second:
            assert second.state() == "installed"


def test_a_repeated_installed_is_answered_again_and_changes_nothing(server):
    server.boot()
    first, again = server.report("installed"), server.report("installed")
    assert first.json() == again.json()


def test_a_lost_database_is_rebuilt_by_a_node_that_boots_and_wipes_nothing(tmp_path):
    with boot_server(tmp_path / "store") as server:
        server.publish(node_document())
        server.install()
    for file in (tmp_path / "store" / ".kindling").glob("records.sqlite*"):
        file.unlink()
    with boot_server(tmp_path / "store") as server:
        assert server.report("booted").json()["state"] == "booted"
        assert "ignition.config.url" not in server.boot()


def test_an_installer_that_finds_a_newer_marker_reports_it_with_its_own_token(server):
    """The stack was rolled back to generation 1; the disk has generation 4."""
    answer = server.report("installed", 4, token=token_of(HOST, 1))
    assert answer.json()["state"] == "installed"
    assert server.node()["installedGeneration"] == 4
    assert "rolled back" in server.node()["diagnosis"]


def test_a_token_speaks_for_its_own_generation_only(server):
    server.publish(node_document(generation=2))
    server.report("installed", 2)
    for state in ("installing", "installed", "booted", "failed"):
        answer = server.report(state, 2, token=token_of(HOST, 1))
        assert answer.status_code == 403
    assert server.report("installed", 1).status_code == 409
    assert server.report("booted", 1).status_code == 409
    assert server.node()["installedGeneration"] == 2


def test_a_machine_that_is_not_armed_is_told_to_stop_installing(server):
    server.operator("POST", f"/api/nodes/{HOST}/disarm")
    answer = server.report("installing")
    assert answer.status_code == 409 and "stop" in answer.json()["error"]


def test_drift_and_outdated_are_told_apart(server):
    server.install()
    server.report("booted", digest=digest_of("something else"))
    assert server.node()["drift"] is True and server.state() == "booted"
    assert "Drift" in server.node()["diagnosis"]
    server.report("booted")
    changed = node_document(
        digest=digest_of("changed"),
        history=({"generation": 1, "digest": digest_of("g1")},),
    )
    server.publish(changed)
    assert server.node()["drift"] is False and server.state() == "outdated"


def test_a_failure_keeps_its_message_and_the_end_of_its_log(server):
    server.boot()
    log = "first\n" + "x" * 40_000 + "\nlast line"
    assert server.report("failed", message="no disk", log=log[-20_000:]).status_code == 200
    node = server.node()
    assert node["failure"] == "no disk"
    assert node["failureLog"].endswith("last line") and len(node["failureLog"]) <= 16_384


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, 401),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": "Bearer " + "x" * 5000}, 403),
    ],
)
def test_without_the_node_s_token_nothing_is_stored(server, headers, status):
    body = b'{"state": "installed", "generation": 1, "digest": "' + b"a" * 64 + b'"}'
    answer = post(server, body, **headers)
    assert answer.status_code == status and answer.json()["error"]
    assert server.state() == "armed"


def test_an_unknown_machine_s_status_is_a_small_404(server):
    answer = post(server, b"{}", mac="de-ad-be-ef-00-01")
    assert answer.status_code == 404 and len(answer.content) < 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"installed"',
        b"\xff\xfe\x00",
        b'{"state": "installed"}',
        b'{"state": "wiped", "generation": 1}',
        b'{"state": "installing", "generation": "1"}',
        b'{"state": "installing", "generation": 1.5}',
        b'{"state": "installing", "generation": true}',
        b'{"state": "installing", "generation": -1}',
        b'{"state": "installing", "generation": 99999999999999999999}',
        b'{"state": ["installing"], "generation": 1}',
        b'{"state": "installed", "generation": 1, "digest": "ABC"}',
        b'{"state": "installed", "generation": 1, "digest": 5}',
        b'{"state": "installed", "generation": 1, "digest": null}',
        b'{"state": "installing", "generation": 1, "log": {"a": 1}}',
        b'{"state": "installing", "generation": 1, "message": "\xff"}',
        b'{"state": "installing", "generation": 1, "simulated": "yes"}',
        b"[" * 5000,
    ],
)
def test_a_malformed_report_is_refused_in_one_sentence_and_changes_nothing(server, body):
    answer = post(server, body)
    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]
    assert server.state() == "armed"


def test_random_bytes_never_break_the_server(server):
    chance = random.Random(5)
    for _ in range(40):
        body = chance.randbytes(chance.randrange(300))
        path = "".join(chance.choices(string.printable, k=chance.randrange(1, 30)))
        assert post(server, body).status_code == 422
        assert server.machine.get("/boot/" + quote(path, safe="")).status_code == 404
    assert server.state() == "armed"


def test_an_over_long_body_is_refused_whether_it_declares_its_length_or_not(server):
    body = b'{"state": "installing", "generation": 1, "log": "' + b"x" * 200_000 + b'"}'

    def chunks():
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    assert post(server, body).status_code == 413
    assert (
        server.machine.post(f"/status/{MAC}", content=chunks(), headers=BEARER).status_code == 413
    )
    assert server.state() == "armed"


def test_control_characters_and_markup_in_a_message_stay_text(server):
    server.boot()
    server.report("failed", message="\x1b[31m<b>\x00red</b>", log="a\x07b\nc")
    node = server.node()
    assert "\x1b" not in node["failure"] and "<b>" in node["failure"]
    assert node["failureLog"] == "a\N{REPLACEMENT CHARACTER}b\nc"


def test_unknown_keys_are_ignored_because_a_machine_in_the_field_cannot_be_mended(server):
    server.boot()
    assert server.report("installing", colour="blue").status_code == 200


def test_too_many_reports_of_one_node_are_slowed_down_and_no_other_node_s(server):
    server.publish(node_document("n2.example", "52:54:00:00:00:02"))
    found = {server.report("failed").status_code for _ in range(90)}
    assert 429 in found
    other = server.report("installed", mac="52:54:00:00:00:02", token=token_of("n2.example", 1))
    assert other.status_code == 200


def test_guessing_tokens_is_slowed_down_and_does_not_lock_the_node_out(server):
    found = [server.report("failed", token=f"guess-{n}").status_code for n in range(60)]
    assert set(found) == {403, 429}
    server.boot()
    assert server.report("installing").status_code == 200


def test_the_live_document_needs_the_node_s_token_and_proves_its_bytes(server):
    assert server.machine.get(f"/live/{MAC}").status_code == 401
    wrong = {"Authorization": "Bearer wrong"}
    assert server.machine.get(f"/live/{MAC}", headers=wrong).status_code == 403
    assert server.machine.get("/live/52-54-00-00-00-99", headers=BEARER).status_code == 404
    answer = server.machine.get(f"/live/{MAC}", headers=BEARER)
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["content-digest"] == f"sha-256=:{digest}:"
    assert answer.json()["host"] == HOST and answer.json()["generation"] == 1


def test_the_live_document_says_whether_any_machine_of_the_cluster_is_armed(server):
    assert server.machine.get(f"/live/{MAC}", headers=BEARER).json()["anyArmed"] is True
    server.install()
    server.report("ready")
    assert server.machine.get(f"/live/{MAC}", headers=BEARER).json()["anyArmed"] is False
    server.publish(node_document("n2.example", "52:54:00:00:00:02"))
    assert server.machine.get(f"/live/{MAC}", headers=BEARER).json()["anyArmed"] is True
