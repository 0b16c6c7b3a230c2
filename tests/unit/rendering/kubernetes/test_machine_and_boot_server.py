"""A machine's programs and the real boot server: they speak of the same things."""

import json
from hashlib import sha256

import pytest
import requests

from kindling.models.documents import SiteDocument, path_of_node
from tests.fakes.api_server import api_server
from tests.fakes.cluster_server import TOKEN, ClusterServer
from tests.fakes.joining_machine import JoiningMachine
from tests.fakes.published import digest_of, node_document
from tests.fakes.server import TOKEN as OPERATOR
from tests.fakes.server import running_server

FILES = {"node-labels.json": "{}\n", "etcd-members": "cp1.example.com 192.0.2.11\n"}


@pytest.fixture
def plane(tmp_path):
    with running_server(tmp_path / "served") as server, api_server(tmp_path) as api:
        machine = JoiningMachine(tmp_path, ClusterServer(url=server.url), api)
        document = node_document(
            machine.host,
            machine.plan.node.primary_mac,
            role="control-plane",
            live=FILES,
            status_tokens={1: sha256(TOKEN.encode()).hexdigest()},
        )
        site = SiteDocument(stack="test", cluster="test", base_url=server.url)
        write(tmp_path / "served" / path_of_node(document.macs[0]), document.to_json())
        write(tmp_path / "served" / "sites" / "test.json", site.to_json())
        install(machine, server)
        yield machine


def write(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def install(machine, server):
    """What happened before the first boot, as far as the boot server knows."""
    for state in ("installing", "installed", "booted"):
        answer = requests.post(
            f"{server.url}/status/{machine.plan.node.primary_mac}",
            json={"state": state, "generation": 1, "digest": digest_of("g1")},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text


def known(machine):
    """The node as the page shows it."""
    answer = requests.get(
        f"{machine.server.url}/api/nodes/{machine.host}",
        headers={"Authorization": f"Bearer {OPERATOR}"},
        timeout=10,
    )
    answer.raise_for_status()
    return answer.json()


def test_the_claim_is_granted_once_and_the_stages_are_taken(plane):
    plane.api.statuses = [503]
    done = plane.run()
    assert done.status == 0, done.output
    assert plane.called("kubeadm init --config")
    assert known(plane)["stage"]["state"] == "ready"
    claim = json.loads(plane.path("/run/kindling/claim.answer").read_text())
    assert claim["granted"], claim  # the answer to `done`


def test_a_failure_is_known_with_its_reason_and_log(plane):
    plane.set("kubeadm", "error execution phase preflight: no port\n")
    plane.set("machine", "aarch64\n")
    plane.run()
    stage = known(plane)["stage"]
    assert stage["state"] == "failed"
    assert "this machine is aarch64" in stage["message"]


def test_the_live_document_arrives_as_it_was_published(plane):
    done = plane.run("live")
    assert done.status == 0, done.output
    for name, text in FILES.items():
        assert plane.path(f"/var/lib/kindling/live/{name}").read_text() == text
    assert json.loads(plane.path("/var/lib/kindling/live.json").read_text())["anyArmed"] is True


def test_an_operators_restart_reaches_the_machine_in_its_heartbeat(plane):
    plane.run()
    answer = requests.post(
        f"{plane.server.url}/api/nodes/{plane.host}/reboot",
        headers={"Authorization": f"Bearer {OPERATOR}"},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text
    plane.run("live")
    assert "systemctl start --no-block kindling-reboot.service" in plane.calls
