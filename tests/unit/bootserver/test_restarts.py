"""Restarts that an operator asks for: how the machine hears of them, and when they are done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import requests

from kindling.bootserver.client import (
    arm,
    cancel_reboot,
    disarm,
    nodes,
    operate,
    release,
    request_reboot,
)
from kindling.errors import BootServerError
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
from tests.fakes.server import TOKEN, running_server

PATH = f"/api/nodes/{HOST}/reboot"
OPERATOR = {"Kindling-Operator": "ada"}


@pytest.fixture
def server(tmp_path) -> Iterator[Published]:
    """One machine that runs, in the cluster."""
    with boot_server(tmp_path / "store") as running:
        running.publish(node_document())
        running.publish_site()
        running.install()
        running.tell("ready")
        yield running


def test_a_machine_hears_of_a_restart_in_the_answer_to_its_next_report(server):
    answer = server.operator("POST", PATH, **OPERATOR)
    assert answer.json()["rebootRequested"] == server.node()["rebootRequested"] is not None
    for _ in range(2):
        assert server.tell("ready") == {"state": "ready", "reboot": True}
    assert server.tell("joining", message="again")["reboot"] is True
    (entry,) = server.node()["audit"]
    assert (entry["what"], entry["who"]) == ("reboot", "ada")
    assert "to restart" in server.operator("GET", "/fragment").text


def test_a_restart_has_happened_when_the_machine_asks_for_its_boot_script(server):
    server.operator("POST", PATH)
    assert "sanboot" in server.boot()
    assert server.node()["rebootRequested"] is None
    assert server.tell("ready")["reboot"] is False


@pytest.mark.parametrize("state", ["booted", "installing"])
def test_a_restart_has_happened_when_the_machine_reports_a_boot_or_an_installation(server, state):
    server.publish(node_document(generation=2))
    server.operator("POST", PATH)
    generation = 1 if state == "booted" else 2
    assert server.tell(state, generation=generation)["reboot"] is False
    assert server.node()["rebootRequested"] is None


def test_a_restart_that_is_asked_for_after_the_script_is_not_taken_for_done(server):
    server.boot()
    server.clock.turn(1)
    server.operator("POST", PATH)
    assert server.tell("ready")["reboot"] is True


@pytest.mark.parametrize(("method", "path"), [("DELETE", PATH), ("POST", f"{PATH}/cancel")])
def test_a_restart_is_taken_back_as_often_as_somebody_likes(server, method, path):
    server.operator("POST", PATH)
    for _ in range(2):
        assert server.operator(method, path, **OPERATOR).json()["rebootRequested"] is None
    assert server.tell("ready")["reboot"] is False
    cancelled, asked = server.node()["audit"]
    assert (cancelled["what"], cancelled["who"], asked["what"]) == ("cancel", "ada", "reboot")


def test_a_restart_is_not_asked_of_a_machine_that_has_no_known_system(server):
    other = server.publish(cluster_documents(w1="worker")[0])
    answer = server.operator("POST", f"/api/nodes/{other.hostname}/reboot")
    assert answer.status_code == 409 and "switch the machine on" in answer.json()["error"]
    assert server.operator("POST", "/api/nodes/nobody.example/reboot").status_code == 404


@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("DELETE", PATH)])
def test_only_the_operator_restarts_machines(server, method, path):
    server.publish_site(public_page=True)
    assert server.machine.request(method, path).status_code == 401
    token = {"Authorization": f"Bearer {token_of(HOST, 1)}"}
    assert server.machine.request(method, path, headers=token).status_code == 401


def test_a_restart_that_is_not_followed_is_explained(server):
    server.operator("POST", PATH, **OPERATOR)
    server.clock.turn(9 * 60)
    server.tell("ready")
    assert server.node()["diagnosis"] == ""
    server.clock.turn(2 * 60)
    assert "ada asked for a restart 11 min ago" in server.node()["diagnosis"]


def test_a_request_survives_a_restart_of_the_server(tmp_path):
    with boot_server(tmp_path / "store") as server:
        server.publish(node_document())
        server.install()
        server.operator("POST", PATH)
    with boot_server(tmp_path / "store", server.clock) as again:
        assert again.tell("ready")["reboot"] is True


def test_programs_read_nodes_and_ask_for_restarts_with_the_operator_s_token(tmp_path):
    with running_server(tmp_path / "store") as running:
        tree = Published(running.directory)
        document = tree.publish(node_document(role="control-plane", pool="first"))
        tree.publish_site()
        for state in ("installed", "booted", "ready"):
            told = {"state": state, "generation": 1, "digest": digest_of("g1")}
            answer = post(running.url, document.macs[0], told)
            assert answer == {"state": state, "reboot": False}
        (node,) = nodes(running.url, TOKEN)
        assert (node.host, node.role, node.pool, node.state) == (
            HOST, "control-plane", "first", "ready",
        )  # fmt: skip
        assert node.ready and node.stage is not None and node.stage.incarnation == 1
        assert node.running_digest == node.digest == digest_of("g1")
        assert node.last_seen is not None and node.reboot_requested is None
        request_reboot(running.url, TOKEN, HOST)
        assert nodes(running.url, TOKEN)[0].reboot_requested is not None
        assert post(running.url, MAC, told)["reboot"] is True
        cancel_reboot(running.url, TOKEN, MAC)
        assert nodes(running.url, TOKEN)[0].reboot_requested is None
        with pytest.raises(BootServerError, match=f"{HOST} was not armed: generation 1"):
            arm(running.url, TOKEN, HOST)
        with pytest.raises(BootServerError, match=f"{HOST} was not disarmed: generation 1"):
            disarm(running.url, TOKEN, HOST)
        with pytest.raises(BootServerError, match=r"nobody\.example was not asked to restart: no"):
            request_reboot(running.url, TOKEN, "nobody.example")
        with pytest.raises(BootServerError, match="token is wrong"):
            nodes(running.url, "another-token-of-nobody")


def post(url: str, mac: str, told: Mapping[str, object]) -> dict[str, object]:
    answer = requests.post(
        f"{url}/status/{mac}",
        json=told,
        headers={"Authorization": f"Bearer {token_of(HOST, 1)}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_the_command_line_restarts_a_machine_and_releases_a_claim(tmp_path, monkeypatch):
    monkeypatch.setenv("KINDLING_STORE_TOKEN", TOKEN)
    with running_server(tmp_path / "store", claim_grace=0) as running:
        tree = Published(running.directory)
        document = tree.publish(node_document(role="control-plane"))
        tree.publish_site()
        booted = {"state": "booted", "generation": 1, "digest": digest_of("g1")}
        post(running.url, document.macs[0], booted)
        said = f"{HOST} is asked to restart; its state is booted"
        assert operate(running.url, HOST, "reboot") == said
        assert "not asked to restart any more" in operate(running.url, HOST, "cancel")
        with pytest.raises(BootServerError, match=r"not released: nobody holds the claim"):
            release(running.url, "test", "kubernetes")
        with pytest.raises(BootServerError, match="no stack of this name"):
            release(running.url, "other", "kubernetes")
        monkeypatch.setattr(tree, "machine", Client(running.url), raising=False)
        assert tree.claim()["granted"] is True
        said = f"{HOST} no longer holds the claim of kubernetes; who asks next is granted it"
        assert release(running.url, "test", "kubernetes") == said


class Client:
    """Posts as `Published` does, to a server in another process."""

    def __init__(self, url: str) -> None:
        self._url = url

    def post(self, path: str, **options):
        return requests.post(f"{self._url}{path}", timeout=60, **options)
