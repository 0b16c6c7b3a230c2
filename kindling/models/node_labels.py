"""The labels of a node, and which of them its own kubelet may set."""

from __future__ import annotations

from collections.abc import Iterator

from kindling.models.labels import (
    ARCH,
    BETA_ARCH,
    BETA_OS,
    CONTROL_PLANE,
    HOSTNAME,
    OS,
    POOL,
    self_settable,
)
from kindling.models.node import Node
from kindling.models.node_checks import Finding
from kindling.models.role import Role


def labels_of(node: Node) -> dict[str, str]:
    """The labels that a node must have beyond those that its kubelet finds out.

    Its architecture is one of these: the machine compares it with the stack before it joins.
    """
    role = {f"node-role.kubernetes.io/{node.role}": ""}
    pool = {POOL: node.pool} if node.pool else {}
    given = {key: value for key, value in node.labels.items() if key not in (ARCH, BETA_ARCH)}
    return role | pool | given


def own_labels(node: Node) -> dict[str, str]:
    """The labels that its kubelet may set itself, from the first second on."""
    return {key: value for key, value in labels_of(node).items() if self_settable(key)}


def check_labels(node: Node) -> Iterator[Finding]:
    """Labels that say something else than the node's own keys, or that are the kubelet's."""
    for key, value in node.labels.items():
        if message := _refused(node, key, value):
            yield Finding(("labels", key), message, value)


def _refused(node: Node, key: str, value: str) -> str | None:
    if key in (OS, BETA_OS):
        return "is set by the kubelet alone; remove it"
    if key in (ARCH, BETA_ARCH) and value != node.arch.go:
        return f"is not this node's architecture, {node.arch} ({node.arch.go}); remove it"
    if key == CONTROL_PLANE and node.role is not Role.CONTROL_PLANE:
        return f"is not this node's role, {node.role}; remove it"
    if key == HOSTNAME and value != node.hostname:
        return f"is not this node's name, {node.hostname}; remove it"
    if key == POOL and node.pool is not None and value != node.pool:
        return f"is not this node's pool, {node.pool}; remove it"
    return None
