"""A real cluster from rendered files: three control planes, a worker, a load balancer in front.

Nothing but the machines' own units acts on them. The tests are one story, told in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.harness.commands import wait_until
from tests.cluster.lab import Lab, node, running_lab

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

VIRTUAL = "192.0.2.100"
PLANES = ("cp1", "cp2", "cp3")
NODES = [
    *(node(name, "control-plane", 11 + index) for index, name in enumerate(PLANES)),
    node("lb1", "load-balancer", 31),
    node(
        "worker1",
        "worker",
        41,
        pool="edge",
        labels={"example.com/rack": "r1", "node-role.kubernetes.io/edge": "", "tier": "front"},
        taints=[{"key": "example.com/slow", "value": "yes", "effect": "PreferNoSchedule"}],
    ),
]
KUBERNETES = {
    "endpoint": {"virtualAddress": f"{VIRTUAL}/24"},
    # Debian's nft, of which kube-proxy's image is made here, loses its table over a restart.
    "kubeProxy": {"mode": "iptables"},
}
BUSYBOX = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: default}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: docker.io/library/busybox:1.36
      imagePullPolicy: Never
      command: [sleep, "3600"]
"""


MANIFESTS = [
    {
        "name": "greeting",
        "inline": """\
apiVersion: v1
kind: Namespace
metadata: {name: greetings}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting, namespace: greetings}
data: {hello: world}
""",
    }
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Everything is published, and no machine has been switched on."""
    folder = tmp_path_factory.mktemp("lab")
    with running_lab(
        folder, folder / "logs", NODES, kubernetes=KUBERNETES, manifests=MANIFESTS
    ) as running:
        yield running


def test_the_kubeconfig_is_an_output_before_the_first_machine_boots(lab: Lab):
    assert f"https://{VIRTUAL}:6443" in lab.outputs()["kubeconfig"]
    assert lab.machines == {}


def test_machines_form_a_cluster_whatever_the_order_of_start(lab: Lab):
    lab.boot("worker1", "cp3", "lb1", "cp1")
    lab.wait_for_stage("ready", "cp1", "cp3", "worker1", "lb1")
    versions = {each["metadata"]["name"] for each in lab.nodes()}
    assert versions == {f"{name}.lab.example" for name in ("cp1", "cp3", "worker1")}


def test_a_machine_that_is_killed_in_the_middle_of_joining_recovers(lab: Lab):
    machine = lab.install("cp2")
    lab.start("cp2")
    machine.wait_for("test", "-e", "/var/lib/kindling/attempt", timeout=180)
    machine.wait_for("test", "-s", "/etc/kubernetes/pki/apiserver.crt", timeout=120)
    machine.kill()
    assert not (machine.tree.root / "var/lib/kindling/member").exists()
    lab.start("cp2")
    lab.wait_for_stage("ready", "cp2")


def test_only_one_machine_initialised(lab: Lab):
    words = "Your Kubernetes control-plane has initialized successfully"
    journals = [lab.machines[name].journal("kindling-cluster") for name in PLANES]
    assert sum(words in journal for journal in journals) == 1


def test_every_node_has_its_labels_and_taints(lab: Lab):
    def applied() -> bool:
        return "node-role.kubernetes.io/edge" in lab.node("worker1")["metadata"]["labels"]

    wait_until("labels that only a control plane may set", applied, 240, 2)
    worker = lab.node("worker1")
    labels = worker["metadata"]["labels"]
    expected = {
        "example.com/rack": "r1",
        "kubernetes.io/arch": "amd64",
        "node-role.kubernetes.io/edge": "",
        "node-role.kubernetes.io/worker": "",
        "node.kubernetes.io/pool": "edge",
        "tier": "front",
    }
    assert {key: labels.get(key) for key in expected} == expected
    assert taints_of(worker) == ["example.com/slow"]
    for name in PLANES:
        assert taints_of(lab.node(name)) == ["node-role.kubernetes.io/control-plane"]


def test_a_control_plane_applies_the_stacks_manifests_and_prunes_what_left_the_stack(lab: Lab):
    greeting = ("--namespace=greetings", "get", "configmap", "greeting")
    lab.kubectl(*greeting, retry=240)
    lab.project.cluster["manifests"] = []
    lab.up()
    for name in PLANES:
        lab.machines[name].run("systemctl", "start", "kindling-live.service", timeout=120)
    gone = "the manifest that left the stack"
    wait_until(gone, lambda: lab.ask_kubectl(*greeting).returncode != 0, 240, 2)


def test_a_pod_runs_and_dns_answers_in_it(lab: Lab):
    lab.kubectl("apply", "-f", "-", stdin=BUSYBOX.replace("NAME", "first"))
    lab.kubectl("wait", "--for=condition=Ready", "pod/first", "--timeout=100s")
    dns = ["wait", "--for=condition=Available", "deployment/coredns", "--timeout=110s"]
    lab.kubectl("--namespace=kube-system", *dns)

    def answer() -> str:
        name = "kubernetes.default.svc.cluster.local"
        done = lab.ask_kubectl("exec", "first", "--", "nslookup", name, "10.96.0.10")
        return done.stdout.decode()

    wait_until("DNS in a pod", lambda: "10.96.0.1\n" in answer() + "\n", 120, 2)


def test_the_endpoint_survives_the_death_of_a_control_plane(lab: Lab):
    lab.machines["cp1"].kill()
    lab.kubectl("create", "configmap", "without-cp1", "--from-literal=a=b", retry=60)
    lab.start("cp1")
    lab.wait_for_stage("ready", "cp1")


def test_a_control_plane_that_is_installed_again_rejoins(lab: Lab):
    before = etcd_members(lab, "cp1")
    lab.raise_generation("cp2")
    lab.boot("cp2")
    lab.wait_for_stage("ready", "cp2")
    after = etcd_members(lab, "cp1")
    assert sorted(after) == sorted(before) == [f"{name}.lab.example" for name in PLANES]
    assert after["cp2.lab.example"] != before["cp2.lab.example"]
    assert after["cp1.lab.example"] == before["cp1.lab.example"]


def test_a_worker_joins_after_the_first_join_credential_has_lapsed(lab: Lab):
    token = f"bootstrap-token-{lab.bootstrap_token_id()}"
    lapsed = {"stringData": {"expiration": "2020-01-01T00:00:00Z"}}
    patch = ("patch", "secret", token, "--type=merge", f"--patch={json.dumps(lapsed)}")
    lab.kubectl("--namespace=kube-system", *patch)
    gone = ("--namespace=kube-system", "get", "secret", token)
    wait_until("the cleaner of tokens", lambda: lab.ask_kubectl(*gone).returncode != 0, 120, 2)
    lab.add(node("worker2", "worker", 42))
    lab.boot("worker2")
    lab.wait_for_stage("ready", "worker2", timeout=400)


def test_a_roll_installs_an_outdated_worker_again_while_the_cluster_works(lab: Lab):
    worker = next(each for each in lab.project.cluster["nodes"] if "worker2" in each["hostname"])
    worker["kubelet"] = {"maxPods": 42}
    shown = lab.up()
    assert "worker2.lab.example: re-install, once the generation is raised above 1" in shown
    assert lab.node("worker2")["status"]["capacity"]["pods"] == "110"
    lab.roll("--yes", "--node", "worker2.lab.example")
    assert lab.node("worker2")["status"]["capacity"]["pods"] == "42"
    assert lab.state("worker2")["installedGeneration"] == 2
    assert not lab.node("worker2")["spec"].get("unschedulable")


def test_a_snapshot_restores(lab: Lab):
    lab.kubectl("create", "configmap", "before", "--from-literal=a=b")
    machine, others = lab.machines["cp1"], [lab.machines[name] for name in ("cp2", "cp3")]
    machine.run("systemctl", "start", "kindling-snapshot.service", timeout=120)
    lab.kubectl("create", "configmap", "after", "--from-literal=a=b")
    for other in others:
        other.run("systemctl", "stop", "etcd.service")
    machine.run("/opt/kindling/restore", "latest", timeout=300)
    for other in others:
        other.run("systemctl", "start", "--no-block", "etcd.service")
    lab.kubectl("get", "configmap", "before", retry=120)
    assert lab.ask_kubectl("get", "configmap", "after").returncode != 0

    def complete() -> bool:
        return sorted(etcd_members(lab, "cp1")) == [f"{name}.lab.example" for name in PLANES]

    wait_until("every member of etcd", complete, 240, 2)
    lab.kubectl("create", "configmap", "after", "--from-literal=a=c", retry=60)


def test_nothing_failed_on_the_machines(lab: Lab):
    failed = {name: machine.failed_units() for name, machine in lab.machines.items()}
    assert not any(failed.values()), failed


def taints_of(found: dict[str, Any]) -> list[str]:
    """Keys of a node's taints, without those that come and go with its conditions."""
    keys = [each["key"] for each in found["spec"].get("taints", ())]
    return [key for key in keys if not key.startswith("node.kubernetes.io/")]


def etcd_members(lab: Lab, through: str) -> dict[str, str]:
    """Member ids by host name, of those that vote."""
    pki = "/etc/kubernetes/pki/etcd"
    command = (
        *("etcdctl", "--endpoints=https://127.0.0.1:2379", f"--cacert={pki}/ca.crt"),
        *(f"--cert={pki}/healthcheck-client.crt", f"--key={pki}/healthcheck-client.key"),
        *("member", "list", "--write-out=json", "--hex"),
    )
    listed = json.loads(lab.machines[through].run(*command))
    return {
        each["name"]: str(each["ID"]) for each in listed["members"] if not each.get("isLearner")
    }
