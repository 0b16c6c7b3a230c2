"""What a roll asks of Kubernetes, with the real kubectl and a real API server without machines."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kindling.errors import RollError
from kindling.rolling import programs
from kindling.rolling.kubectl import MARK, Kubectl, kubectl_with
from tests.fakes.control_plane import ControlPlane, control_plane


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, API server and controllers."""
    with control_plane(tmp_path_factory.mktemp("cluster"), controllers=True) as made:
        yield made


@pytest.fixture
def kubectl(cluster: ControlPlane) -> Iterator[Kubectl]:
    """As a roll makes it, from the text of a kubeconfig."""
    with kubectl_with(cluster.kubeconfig.read_bytes()) as made:
        yield made


def apply(cluster: ControlPlane, *objects: dict[str, Any]) -> None:
    for each in objects:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(each))


def set_status(cluster: ControlPlane, what: str, status: dict[str, Any], space: str = "") -> None:
    """What a kubelet would write."""
    where = ["--namespace", space] if space else []
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", *where, *what.split(), "--subresource=status", "--patch", patch)


def ready(status: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status}]}


@pytest.fixture
def node(cluster: ControlPlane) -> Iterator[str]:
    """A node that calls itself ready."""
    name = "w1.example.com"
    apply(cluster, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    set_status(cluster, f"node {name}", ready() | {"nodeInfo": {"kubeletVersion": "v1.33.6"}})
    yield name
    cluster.kubectl("delete", "node", name)


def pod_on(node: str, name: str, space: str, labels: dict[str, str]) -> dict[str, Any]:
    """A pod that is on a node without a scheduler, and goes at once without a kubelet."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": labels},
        "spec": pod_spec(node),
    }


def pod_spec(node: str) -> dict[str, Any]:
    return {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "one", "image": "registry.example.com/one:1"}],
    }


def test_a_node_is_cordoned_with_a_mark_and_taken_in_without_one(
    cluster: ControlPlane, kubectl: Kubectl, node: str
) -> None:
    """A person's cordon has no mark, so the two can be told apart."""
    before = kubectl.nodes()[node]
    assert (before.ready, before.cordoned, before.marked) == (True, False, False)
    assert before.version == "v1.33.6"
    cluster.kubectl("cordon", node)
    assert (kubectl.nodes()[node].cordoned, kubectl.nodes()[node].marked) == (True, False)
    cluster.kubectl("uncordon", node)
    kubectl.cordon(node)
    kubectl.cordon(node)  # a roll that is continued does it again
    assert (kubectl.nodes()[node].cordoned, kubectl.nodes()[node].marked) == (True, True)
    kubectl.uncordon(node)
    assert kubectl.nodes()[node] == before
    assert MARK not in cluster.kubectl("get", "node", node, "-o", "yaml")


def test_a_node_whose_kubelet_is_silent_is_not_ready(
    cluster: ControlPlane, kubectl: Kubectl, node: str
) -> None:
    """Its condition is then unknown."""
    set_status(cluster, f"node {node}", ready("Unknown"))
    assert not kubectl.nodes()[node].ready


def test_the_api_of_a_well_cluster_is_no_problem_and_one_that_is_gone_is(
    cluster: ControlPlane, kubectl: Kubectl
) -> None:
    """With kubectl's own words."""
    assert kubectl.api_problem() == ""
    text = cluster.kubeconfig.read_text().replace(cluster.url, "https://127.0.0.1:9")
    with kubectl_with(text.encode()) as lost:
        assert "refused" in lost.api_problem()
        with pytest.raises(RollError, match="kubectl get failed"):
            lost.nodes()


@contextmanager
def answering(status: int, body: str) -> Iterator[bytes]:
    """A kubeconfig of something that answers everything with this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
        users = [{"name": "a", "user": {"token": "t"}}]
        clusters = [{"name": "a", "cluster": {"server": url}}]
        config = {"clusters": clusters, "users": users, "contexts": [context]}
        yield json.dumps(
            {"apiVersion": "v1", "kind": "Config", "current-context": "a", **config}
        ).encode()
        server.shutdown()


def test_the_checks_that_fail_are_named_and_the_others_are_not() -> None:
    """`/readyz?verbose` lists some fifty."""
    body = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\nreadyz check failed"
    with answering(500, body) as kubeconfig, kubectl_with(kubeconfig) as kubectl:
        problem = kubectl.api_problem()
    assert "[-]etcd failed" in problem
    assert "[+]log" not in problem


def test_each_control_planes_api_server_is_judged_by_its_own_pod(
    cluster: ControlPlane, kubectl: Kubectl
) -> None:
    """Found by kubeadm's label; others of the namespace do not count."""
    labels = {"component": "kube-apiserver", "tier": "control-plane"}
    for number, status in ((1, "True"), (2, "False")):
        host, pod = f"cp{number}.example.com", f"kube-apiserver-cp{number}"
        apply(
            cluster,
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": host}},
            pod_on(host, pod, "kube-system", labels),
            pod_on(host, f"other-{number}", "kube-system", {"component": "kube-scheduler"}),
        )
        set_status(cluster, f"pod {pod}", ready(status), "kube-system")
    assert kubectl.api_servers() == {"cp1.example.com": True, "cp2.example.com": False}


def deployed(cluster: ControlPlane, node: str, name: str) -> str:
    """A deployment with one pod on the node, which runs; the pod's name."""
    labels = {"app": name}
    apply(
        cluster,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod_spec(node)},
            },
        },
    )
    cluster.kubectl(
        "wait", "deployment", name, "--for=jsonpath={.status.replicas}=1", "--timeout=60s"
    )
    pod = cluster.kubectl("get", "pod", "-l", f"app={name}", "-o", "name").strip()
    set_status(cluster, pod.replace("/", " "), ready() | {"phase": "Running"}, "default")
    return pod


def test_a_drained_node_is_left_by_its_pods_and_every_line_is_told(
    cluster: ControlPlane, kubectl: Kubectl, node: str
) -> None:
    """Evicted through the API, as budgets demand."""
    pod = deployed(cluster, node, "web")
    lines: list[str] = []
    kubectl.drain(node, 60, lines.append)
    assert any("evict" in line and pod.removeprefix("pod/") in line for line in lines)
    assert cluster.try_kubectl("get", pod).returncode != 0
    cluster.kubectl("delete", "deployment", "web")


def test_a_budget_that_allows_nobody_to_go_makes_the_drain_fail_in_time(
    cluster: ControlPlane, kubectl: Kubectl, node: str
) -> None:
    """The pod is still there, and the reason names the budget."""
    pod = deployed(cluster, node, "shy")
    apply(
        cluster,
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "shy", "namespace": "default"},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "shy"}}},
        },
    )
    cluster.kubectl(
        "wait", "pdb", "shy", "--for=jsonpath={.status.currentHealthy}=1", "--timeout=60s"
    )
    with pytest.raises(RollError, match="disruption budget"):
        kubectl.drain(node, 8, lambda _: None)
    cluster.kubectl("get", pod)
    cluster.kubectl("delete", "pdb,deployment", "shy")


def test_a_pod_that_nobody_would_make_again_stops_the_drain(
    cluster: ControlPlane, kubectl: Kubectl, node: str
) -> None:
    """Somebody must decide about it."""
    apply(cluster, pod_on(node, "alone", "default", {}))
    with pytest.raises(RollError, match="declare no controller"):
        kubectl.drain(node, 8, lambda _: None)
    cluster.kubectl("delete", "pod", "alone")


def test_the_kubeconfig_is_private_and_gone_afterwards() -> None:
    """In a folder of its own."""
    with kubectl_with(b"secret") as made:
        path = Path(made._environment["KUBECONFIG"])
        assert path.read_bytes() == b"secret"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert "secret" not in " ".join(made._command("get", "nodes"))
    assert not path.parent.exists()


def test_a_missing_kubectl_is_an_error_that_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on PATH nor among the project's tools."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_TOOLS", tmp_path)
    with pytest.raises(RollError, match=r"python tools/install\.py kubectl"):
        programs.program("kubectl")


def test_the_projects_own_kubectl_is_found_without_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator need not change his shell."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.program("kubectl").endswith(".tools/bin/kubectl")
