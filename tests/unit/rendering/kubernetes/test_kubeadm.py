"""kubeadm's documents, judged by the real kubeadm."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from kindling.models.loading import load_file
from kindling.models.role import Role
from kindling.planning.cluster import plan_cluster
from kindling.rendering.kubernetes.kubeadm import INIT, JOIN, kubeadm_files
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.credentials import make_credentials

ROOT = Path(__file__).resolve().parents[4]
STACKS = sorted([*ROOT.glob("examples/*.yaml"), *ROOT.glob("Pulumi.*.yaml")])
CREDENTIALS = make_credentials()
MACHINES = (machine("control-plane"), machine("worker"))


def files_of(plan):
    own = CREDENTIALS.of(plan)
    node = plan.node
    secrets = NodeSecrets.derive(own, node.hostname, node.generation)
    return {file.path: file.content for file in kubeadm_files(plan, secrets)}


def validated(text, tmp_path, *arguments):
    """What kubeadm says; empty when it accepts."""
    file = tmp_path / "kubeadm.yaml"
    file.write_text(text)
    done = subprocess.run(
        ["kubeadm", "config", "validate", "--config", str(file), *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    return "" if done.returncode == 0 else done.stderr


def documents(plan, path=INIT):
    return {each["kind"]: each for each in yaml.safe_load_all(files_of(plan)[path])}


def rendered_of(stack):
    plan = plan_cluster(load_file(stack), stack="test", lock_file=ROOT / "nothing.lock")
    joining = (Role.CONTROL_PLANE, Role.WORKER)
    return [each for each in plan.nodes if each.kubernetes and each.node.role in joining]


@pytest.mark.parametrize("stack", STACKS, ids=[each.name for each in STACKS])
def test_kubeadm_accepts_every_document_of_every_example(stack, tmp_path):
    plans = rendered_of(stack)
    assert plans
    for plan in plans:
        for path, text in files_of(plan).items():
            if path in (INIT, JOIN):
                assert validated(text, tmp_path) == "", f"{plan.node.hostname} {path}"


# kubeadm 1.33 reads v1beta3 still, but no cluster version before 1.32.
@pytest.mark.parametrize("version", ["1.29.15", "1.30.14", "1.31.14", "1.32.9", "1.33.6"])
def test_kubeadm_accepts_the_documents_of_every_version(version, tmp_path):
    plans = cluster_plans(*MACHINES, assets=_assets(version))
    for plan in plans.values():
        for path, text in files_of(plan).items():
            if path in (INIT, JOIN):
                known = text.replace(f"kubernetesVersion: v{version}", "kubernetesVersion: v1.33.4")
                assert validated(known, tmp_path, "--allow-experimental-api") == ""


@pytest.mark.parametrize(
    ("version", "api"), [("1.30.14", "v1beta3"), ("1.31.14", "v1beta4"), ("1.33.6", "v1beta4")]
)
def test_documents_are_of_the_api_that_the_version_knows(version, api):
    plan = cluster_plans(*MACHINES, assets=_assets(version))["cp1"]
    assert documents(plan)["ClusterConfiguration"]["apiVersion"] == f"kubeadm.k8s.io/{api}"
    assert documents(plan, JOIN)["JoinConfiguration"]["apiVersion"] == f"kubeadm.k8s.io/{api}"


def test_a_document_that_kubeadm_does_not_know_is_refused(tmp_path):
    text = files_of(cluster_plans(*MACHINES)["cp1"])[INIT]
    assert "unknown field" in validated(text.replace("clusterName:", "clusterNames:"), tmp_path)


def test_defaults_are_upstreams():
    plan = cluster_plans(*MACHINES)["cp1"]
    networking = documents(plan)["ClusterConfiguration"]["networking"]
    assert networking == {
        "podSubnet": "10.244.0.0/16",
        "serviceSubnet": "10.96.0.0/12",
        "dnsDomain": "cluster.local",
    }
    patch = yaml.safe_load(_patch(plan))
    assert patch["resolvConf"] == "/run/systemd/resolve/resolv.conf"


def test_each_api_server_talks_to_the_etcd_on_its_own_machine():
    etcd = documents(cluster_plans(*MACHINES)["cp1"])["ClusterConfiguration"]["etcd"]
    assert etcd["external"]["endpoints"] == ["https://127.0.0.1:2379"]


def test_with_machines_of_role_etcd_their_addresses_are_left_to_the_live_document():
    one = cluster_plans(machine("control-plane"), machine("etcd"))
    more = (machine("control-plane"), *(machine("etcd", number) for number in (1, 2, 3)))
    assert files_of(one["cp1"]) == files_of(cluster_plans(*more)["cp1"])
    etcd = documents(one["cp1"])["ClusterConfiguration"]["etcd"]
    assert etcd["external"]["endpoints"] == ["https://etcd-endpoints.invalid:2379"]


def test_kubeadms_own_etcd_is_the_other_choice():
    etcd = documents(cluster_plans(*MACHINES, etcd={"mode": "static-pod"})["cp1"])
    assert etcd["ClusterConfiguration"]["etcd"] == {"local": {"dataDir": "/var/lib/etcd"}}


def test_a_kubelet_sets_the_labels_that_it_may_and_no_others():
    labels = {"example.com/rack": "r1", "node-role.kubernetes.io/edge": ""}
    plan = cluster_plans(*MACHINES[:1], machine("worker", pool="edge", labels=labels))["worker1"]
    arguments = documents(plan, JOIN)["JoinConfiguration"]["nodeRegistration"]["kubeletExtraArgs"]
    given = {each["name"]: each["value"] for each in arguments}
    assert given["node-labels"] == "example.com/rack=r1,node.kubernetes.io/pool=edge"


@pytest.mark.parametrize("label", ["kubernetes.io/os", "kubernetes.io/arch"])
def test_system_and_architecture_are_never_given_as_labels(label):
    plans = cluster_plans(*MACHINES)
    assert all(label not in text for plan in plans.values() for text in files_of(plan).values())


def test_taints_are_kubeadms_when_none_are_given_and_none_when_the_list_is_empty():
    kept = documents(cluster_plans(*MACHINES)["cp1"])["InitConfiguration"]["nodeRegistration"]
    assert "taints" not in kept
    plan = cluster_plans(machine("control-plane", taints=[]))["cp1"]
    assert documents(plan)["InitConfiguration"]["nodeRegistration"]["taints"] == []


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("1.33.6", None, "nftables"),
        ("1.32.9", None, "iptables"),
        ("1.33.6", "iptables", "iptables"),
    ],
)
def test_kube_proxy_uses_nftables_where_the_version_has_it(version, given, expected):
    kubernetes = {"kubeProxy": {"mode": given}} if given else {}
    plan = cluster_plans(*MACHINES, assets=_assets(version), kubernetes=kubernetes)["cp1"]
    assert documents(plan)["KubeProxyConfiguration"]["mode"] == expected


def test_without_kube_proxy_its_phase_is_skipped(tmp_path):
    plan = cluster_plans(*MACHINES, kubernetes={"kubeProxy": {"mode": "none"}})["cp1"]
    assert documents(plan)["InitConfiguration"]["skipPhases"] == ["addon/kube-proxy"]
    assert validated(files_of(plan)[INIT], tmp_path) == ""


def test_the_api_servers_certificate_has_every_name_of_the_endpoint():
    kubernetes = {
        "endpoint": {"host": "api.example.com", "virtualAddress": "192.0.2.100/24"},
        "certSANs": ["api.other.example.com", "198.51.100.7"],
    }
    machines = [machine("control-plane", number) for number in (1, 2, 3)]
    plan = cluster_plans(*machines, kubernetes=kubernetes)["cp1"]
    assert documents(plan)["ClusterConfiguration"]["apiServer"]["certSANs"] == [
        "api.example.com",
        "192.0.2.100",
        "127.0.0.1",
        "api.other.example.com",
        "198.51.100.7",
    ]


def _patch(plan):
    return next(text for path, text in files_of(plan).items() if "kubeletconfiguration" in path)


def _assets(version):
    """Versions that go together."""
    old = version < "1.32"
    return {
        "kubernetes": version,
        "containerd": "1.7.29" if old else "2.1.4",
        "urls": {
            "kubernetes": {
                "x86-64": "https://mirror.example.com/kubernetes-x86-64.raw",
                "arm64": "https://mirror.example.com/kubernetes-arm64.raw",
            }
        },
    }
