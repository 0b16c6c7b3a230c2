"""Labels: which a kubelet sets itself, which a control plane applies, which nobody may."""

from __future__ import annotations

import pytest

from kindling.models.labels import self_settable
from kindling.models.loading import load_cluster
from kindling.models.node_labels import labels_of, own_labels
from tests.fakes.clusters import cluster, node
from tests.unit.models.test_kubernetes import problems_of


@pytest.mark.parametrize(
    "label",
    [
        "rack",
        "example.com/rack",
        "kubernetes.io.example.com/rack",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "node.kubernetes.io/pool",
        "node.kubernetes.io/instance-type",
        "x.kubelet.kubernetes.io/a",
    ],
)
def test_a_kubelet_sets_what_upstream_lets_it(label: str) -> None:
    assert self_settable(label)


@pytest.mark.parametrize(
    "label",
    [
        "node-role.kubernetes.io/worker",
        "node-restriction.kubernetes.io/team",
        "example.node-restriction.kubernetes.io/team",
        "kubernetes.io/team",
        "k8s.io/team",
        "sub.k8s.io/team",
        "topology.kubernetes.io/rack",
    ],
)
def test_the_rest_of_kubernetes_own_labels_is_applied_by_a_control_plane(label: str) -> None:
    assert not self_settable(label)


def test_role_and_pool_are_labels_and_the_kubelet_is_told_what_it_may_set() -> None:
    """The architecture it finds out itself, and compares it with the stack before it joins."""
    data = cluster(node(1), node(2, role="worker", arch="arm64", pool="edge", labels={"a": "b"}))
    worker = load_cluster(data).nodes[1]
    own = {"node.kubernetes.io/pool": "edge", "a": "b"}
    assert own_labels(worker) == own
    assert labels_of(worker) == {"node-role.kubernetes.io/worker": "", **own}


@pytest.mark.parametrize(
    ("label", "value", "why"),
    [
        ("kubernetes.io/os", "linux", "is set by the kubelet alone; remove it"),
        ("beta.kubernetes.io/os", "linux", "is set by the kubelet alone; remove it"),
        (
            "kubernetes.io/arch",
            "arm64",
            "is not this node's architecture, x86-64 (amd64); remove it",
        ),
        ("kubernetes.io/hostname", "n1", "is not this node's name, n1.example.com; remove it"),
        ("node.kubernetes.io/pool", "b", "is not this node's pool, a; remove it"),
    ],
)
def test_labels_that_contradict_the_node_are_refused(label: str, value: str, why: str) -> None:
    data = cluster(node(pool="a", labels={label: value}))
    assert problems_of(data) == [f'nodes[0].labels["{label}"]: "{value}" {why}']


def test_labels_that_repeat_what_is_known_are_fine() -> None:
    labels = {"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "n1.example.com"}
    assert load_cluster(cluster(node(labels=labels))).nodes[0].labels == labels
