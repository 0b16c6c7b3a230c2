"""Checks within one node's kubelet settings."""

from __future__ import annotations

from collections.abc import Iterator

from kindling.models.node import Node
from kindling.models.node_checks import Finding
from kindling.models.reserved import check_reserved_of_kubelet


def check_kubelet(node: Node) -> Iterator[Finding]:
    """Everything about one node's kubelet that needs no look at the cluster."""
    yield from check_reserved_of_kubelet(node)
    soft, grace = node.kubelet.eviction_soft, node.kubelet.eviction_soft_grace_period
    for signal in soft:
        if signal not in grace:
            message = f"has no grace period; add evictionSoftGracePeriod with {signal}: 1m30s"
            yield Finding(("kubelet", "evictionSoft", signal), message)
    for signal in grace:
        if signal not in soft:
            message = "is no signal of evictionSoft; add it there or remove it here"
            yield Finding(("kubelet", "evictionSoftGracePeriod", signal), message)
