"""``/api``, its guard, its event stream, and the operator's client."""

from __future__ import annotations

import threading

import orjson
import pytest
import requests

from kindling.bootserver.access import COOKIE
from kindling.bootserver.client import operate
from kindling.errors import BootServerError
from tests.fakes.published import (
    HOST,
    MAC,
    OPERATOR,
    Published,
    boot_server,
    digest_of,
    node_document,
    token_of,
)
from tests.fakes.server import TOKEN, running_server

READ = ("/api/nodes", f"/api/nodes/{HOST}", "/api/unknown", "/api/artifacts", "/fragment")


@pytest.fixture
def server(tmp_path):
    with boot_server(tmp_path / "store") as running:
        running.publish(node_document())
        yield running


def test_a_node_shows_what_is_published_and_what_it_runs(server):
    server.install()
    (node,) = server.operator("GET", "/api/nodes").json()
    expected = {
        "host": HOST, "role": "worker", "arch": "x86-64", "state": "booted", "generation": 1,
        "digest": digest_of("g1"), "runningDigest": digest_of("g1"), "installedGeneration": 1,
        "drift": False, "armed": False, "address": "10.0.0.1", "macs": [MAC],
    }  # fmt: skip
    assert expected.items() <= node.items()


def test_a_node_s_timeline_tells_its_boots_newest_first(server):
    server.install()
    server.boot()
    latest, before = server.node()["boots"]
    assert [event["kind"] for event in latest] == ["script-disk"]
    kinds = [event["kind"] for event in before]
    assert kinds == ["script-install", "installing", "installed", "booted"]


def test_a_node_is_found_by_its_name_in_any_case_and_by_its_mac(server):
    for name in (HOST, HOST.upper(), MAC, MAC.replace(":", "-")):
        assert server.operator("GET", f"/api/nodes/{name}").json()["host"] == HOST
    assert server.operator("GET", "/api/nodes/other.example").status_code == 404


def test_arming_and_disarming_are_kept_with_who_and_when(server):
    name = {"Kindling-Operator": "ada"}
    assert server.operator("POST", f"/api/nodes/{HOST}/disarm", **name).json()["state"] == "pending"
    assert server.operator("POST", f"/api/nodes/{HOST}/arm", **name).json()["state"] == "armed"
    newest, oldest = server.node()["audit"]
    assert (newest["what"], newest["who"]) == ("arm", "ada")
    assert (oldest["what"], oldest["who"]) == ("disarm", "ada")


def test_a_hold_and_its_release_are_in_the_audit_trail(server):
    for _ in range(3):
        server.attempt()
        server.report("failed")
    assert server.operator("POST", f"/api/nodes/{HOST}/arm").json()["state"] == "armed"
    released, hold = server.node()["audit"]
    assert hold["what"] == "hold" and hold["who"] == "boot server"
    assert "was held" in released["detail"]


def test_an_installed_node_is_not_armed_again_and_the_answer_says_what_to_do(server):
    server.install()
    answer = server.operator("POST", f"/api/nodes/{HOST}/arm")
    assert answer.status_code == 409 and "raise its generation" in answer.json()["error"]
    assert server.node()["audit"] == []


@pytest.mark.parametrize("path", READ)
def test_nothing_is_shown_without_the_operator_s_token(server, path):
    assert server.machine.get(path).status_code == 401
    assert server.machine.get(path, headers={"Authorization": "Bearer x"}).status_code == 401
    assert server.operator("GET", path).status_code == 200


@pytest.mark.parametrize("path", READ)
def test_a_public_page_is_open_for_reading_but_arming_stays_the_operator_s(server, path):
    server.publish_site(public_page=True)
    assert server.machine.get(path).status_code == 200
    assert server.machine.get("/").status_code == 200
    assert server.machine.post(f"/api/nodes/{HOST}/arm").status_code == 401


def test_a_browser_logs_in_once_and_its_cookie_is_a_session_and_not_the_token(server):
    assert server.machine.get("/").headers["location"] == "/login"
    assert server.machine.post("/login", content="token=wrong").status_code == 401
    answer = server.machine.post("/login", content=f"token={OPERATOR}")
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 303 and "httponly" in cookie and "samesite=strict" in cookie
    assert OPERATOR not in answer.headers["set-cookie"]
    assert server.machine.get("/").status_code == 200
    assert server.machine.get("/api/nodes").status_code == 200
    assert server.machine.post(f"/api/nodes/{HOST}/arm").status_code == 401, "a cookie cannot arm"
    server.machine.post("/logout")
    assert server.machine.get("/").status_code == 303


def test_a_session_ends_and_a_made_up_one_is_none(server):
    server.machine.post("/login", content=f"token={OPERATOR}")
    server.clock.turn(13 * 3600)
    assert server.machine.get("/").status_code == 303
    other = server.at("10.0.0.2")
    other.cookies.set(COOKIE, "OTk5OTk5OTk5OTk.AAAA")
    assert other.get("/").status_code == 303


def test_guessing_the_operator_s_token_is_slowed_down(server):
    found = [server.machine.post("/login", content="token=x").status_code for _ in range(15)]
    assert found[0] == 401 and found[-1] == 429


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"token=\xff", b"token=" + b"x" * 9000, b"&&="])
def test_a_malformed_login_is_refused(server, body):
    assert server.machine.post("/login", content=body).status_code == 401


def test_a_server_without_an_operator_s_token_shows_nothing(tmp_path):
    with running_server(tmp_path / "store", token=None) as running:
        assert requests.get(f"{running.url}/api/nodes", timeout=30).status_code == 403
        login = requests.post(f"{running.url}/login", data={"token": ""}, timeout=30)
        assert login.status_code == 403


def test_the_page_allows_no_inline_script_and_nothing_from_elsewhere(server):
    answer = server.operator("GET", "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "<script>" not in answer.text and " style=" not in answer.text


def test_artifacts_are_listed_with_size_and_digest(server):
    path = server.directory / "assets/extensions/containerd-2.0.1-arm64.raw"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"sysext")
    (found,) = server.operator("GET", "/api/artifacts").json()
    assert found["path"] == "assets/extensions/containerd-2.0.1-arm64.raw"
    assert (found["arch"], found["size"], found["sha256"]) == ("arm64", 6, digest_of("sysext"))


def test_metrics_count_nodes_by_state_and_name_no_machine(server):
    text = server.machine.get("/metrics").text
    assert 'kindling_nodes{state="armed"} 1.0' in text
    assert HOST not in text and MAC not in text


def test_an_event_stream_tells_of_a_change_within_seconds(tmp_path):
    """The stream of the real server, read as a browser reads it."""
    with running_server(tmp_path / "store") as running:
        Published(running.directory).publish(node_document())
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with requests.get(
            f"{running.url}/api/events", headers=headers, stream=True, timeout=60
        ) as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith(b"event:")) == b"event: hello"
            report = threading.Thread(
                target=requests.post,
                args=(f"{running.url}/status/{MAC}",),
                kwargs={
                    "json": {"state": "installed", "generation": 1, "digest": digest_of("g1")},
                    "headers": {"Authorization": f"Bearer {token_of(HOST, 1)}"},
                    "timeout": 60,
                },
            )
            report.start()
            data = (line for line in lines if line.startswith(b"data:"))
            seen = (n for line in data for n in orjson.loads(line[5:]).get("nodes", []))
            assert next(n["state"] for n in seen if n["state"] == "installed") == "installed"
            report.join()


def test_an_open_event_stream_does_not_keep_the_server_from_stopping(tmp_path):
    with running_server(tmp_path / "store") as running:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with requests.get(
            f"{running.url}/api/events", headers=headers, stream=True, timeout=60
        ) as stream:
            assert next(stream.iter_lines()).startswith(b"retry:")
            assert running.stop() == 0
            assert "Traceback" not in running.log


def test_the_command_line_arms_and_disarms_with_the_operator_s_token(tmp_path, monkeypatch):
    with running_server(tmp_path / "store") as running:
        Published(running.directory).publish(node_document())
        monkeypatch.setenv("KINDLING_STORE_TOKEN", TOKEN)
        assert operate(running.url, HOST, "disarm") == f"{HOST} is disarmed; its state is pending"
        assert operate(running.url + "/", MAC, "arm") == f"{HOST} is armed; its state is armed"
        with pytest.raises(BootServerError, match="no published node"):
            operate(running.url, "other.example", "arm")
        monkeypatch.setenv("KINDLING_STORE_TOKEN", "another-token-of-nobody")
        with pytest.raises(BootServerError, match="token is wrong"):
            operate(running.url, HOST, "arm")
    monkeypatch.setenv("KINDLING_STORE_TOKEN", TOKEN)
    with pytest.raises(BootServerError, match="does not answer"):
        operate(running.url, HOST, "arm")
    monkeypatch.delenv("KINDLING_STORE_TOKEN")
    with pytest.raises(BootServerError, match="KINDLING_STORE_TOKEN"):
        operate(running.url, HOST, "arm")
