"""CoreDNS' settings: judged by the real CoreDNS, and applied to what kubeadm really installs."""

from __future__ import annotations

import json
import socket
import subprocess
import time

import pytest
import yaml

from kindling.models.addons import CoreDns
from kindling.rendering.addons.coredns import coredns_text
from tests.fakes.programs import need
from tools.places import BIN

SETTINGS = CoreDns.model_validate(
    {
        "replicas": 3,
        "forward": ["192.0.2.53", "tls://192.0.2.54"],
        "cache": 60,
        "hosts": {"192.0.2.10": ["registry.example.com", "registry"]},
        "stubDomains": {"corp.example.com": ["192.0.2.60"]},
    }
)


def corefile(settings):
    return json.loads(coredns_text(settings, "cluster.local"))["corefile"]


def kubeadms_own():
    """The manifests that kubeadm installs, from kubeadm itself."""
    need("kubeadm")
    done = subprocess.run(
        [BIN / "kubeadm", "init", "phase", "addon", "coredns", "--print-manifest",
         "--kubernetes-version", "v1.33.4"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_without_settings_the_corefile_is_kubeadms_own():
    (config,) = [each for each in kubeadms_own() if each["kind"] == "ConfigMap"]
    assert corefile(None) == config["data"]["Corefile"]
    document = json.loads(coredns_text(None, "cluster.local"))
    assert (document["changed"], document["replicas"]) == (False, 2)


@pytest.fixture
def server(tmp_path):
    """The real CoreDNS with the rendered Corefile; only what needs a cluster is left out."""
    need("coredns")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = iter(corefile(SETTINGS).splitlines())
    kept = []
    for line in lines:
        if line.strip().startswith("kubernetes "):
            while next(lines).strip() != "}":
                pass
            continue
        kept.append(line)
    text = "\n".join(kept).replace(":53", f":{port}").replace("health {", "health 127.0.0.1:0 {")
    text = text.replace("prometheus :9153", "").replace("    ready\n", "")
    (tmp_path / "Corefile").write_text(text)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "coredns", "-conf", str(tmp_path / "Corefile")], stdout=log, stderr=log
        )
    yield process, port, tmp_path / "log"
    process.terminate()
    process.wait(20)


def ask(port, name):
    """The addresses that the server gives for a name; no library: one question, one answer."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.sendto(query, ("127.0.0.1", port))
        return client.recv(512)


def test_the_real_coredns_takes_the_corefile_and_answers_from_hosts(server):
    process, port, log = server
    deadline = time.monotonic() + 30
    answer = b""
    while not answer and time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            answer = ask(port, "registry.example.com")
        except OSError:
            time.sleep(0.2)
    assert answer.endswith(socket.inet_aton("192.0.2.10")), log.read_text()
    assert f"corp.example.com.:{port}" in log.read_text()


@pytest.fixture
def installed(cluster):
    """kubeadm's CoreDNS in the cluster, written by kubeadm's field manager."""
    wanted = [each for each in kubeadms_own() if each["kind"] in {"ConfigMap", "Deployment"}]
    text = "\n---\n".join(map(json.dumps, wanted))
    cluster.kubectl("create", "--field-manager=kubeadm", "-f", "-", stdin=text)
    yield wanted
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)
    cluster.kubectl("delete", "configmap", "kindling-coredns", "-n", "kube-system",
                    "--ignore-not-found")  # fmt: skip


def state(cluster):
    def get(kind):
        found = cluster.kubectl("get", kind, "coredns", "-n", "kube-system", "-o", "json")
        return json.loads(found)

    return get("configmap")["data"]["Corefile"], get("deployment")["spec"]["replicas"]


def test_settings_reach_what_kubeadm_installed_and_nothing_else_of_it_changes(
    installed, machine, cluster
):
    before = json.loads(cluster.kubectl("get", "deploy/coredns", "-n", "kube-system", "-o", "json"))
    machine.told_coredns(coredns_text(SETTINGS, "cluster.local"))
    machine.apply()
    assert state(cluster) == (corefile(SETTINGS), 3)
    after = json.loads(cluster.kubectl("get", "deploy/coredns", "-n", "kube-system", "-o", "json"))
    assert after["spec"]["template"] == before["spec"]["template"]


def test_settings_that_the_stack_drops_leave_kubeadms_own(installed, machine, cluster):
    machine.told_coredns(coredns_text(SETTINGS, "cluster.local"))
    machine.apply()
    machine.told_coredns(coredns_text(None, "cluster.local"))
    machine.apply()
    assert state(cluster) == (corefile(None), 2)


def test_without_settings_a_corefile_of_somebody_else_is_left_alone(installed, machine, cluster):
    patch = json.dumps({"data": {"Corefile": ".:53 {\n    whoami\n}\n"}})
    cluster.kubectl("patch", "configmap", "coredns", "-n", "kube-system", "-p", patch)
    machine.told_coredns(coredns_text(None, "cluster.local"))
    machine.apply()
    assert "whoami" in state(cluster)[0]


def test_a_cluster_without_coredns_is_reported(machine):
    machine.told_coredns(coredns_text(SETTINGS, "cluster.local"))
    machine.told()
    assert machine.run().returncode == 0
    assert machine.status["coredns"].startswith("failed its Corefile was not taken: ")
