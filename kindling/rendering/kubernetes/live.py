"""The texts of a node's live document: what depends on other machines (design decision 10)."""

from __future__ import annotations

import json
from typing import Any

from kindling.models.plan import KubernetesPlan, NodePlan
from kindling.models.role import Role
from kindling.rendering.addons.coredns import coredns_text
from kindling.rendering.kubernetes.endpoint import endpoint_live
from kindling.rendering.kubernetes.etcd import etcd_live


def live_texts(plan: NodePlan) -> dict[str, str]:
    """Text by name, sorted; empty for machines without a cluster."""
    cluster = plan.kubernetes
    if cluster is None:
        return {}
    texts = etcd_live(plan) | endpoint_live(plan)
    if plan.node.role is Role.CONTROL_PLANE:
        texts |= _of_control_plane(cluster)
    return dict(sorted(texts.items()))


def _of_control_plane(cluster: KubernetesPlan) -> dict[str, str]:
    live, domain = cluster.live, cluster.settings.networking.dns_domain
    manifests = [each.model_dump(by_alias=True, exclude_defaults=True) for each in live.manifests]
    return {
        "node-labels.json": _json(live.labels),
        "node-taints.json": _json(live.taints),
        "manifests.json": _json(manifests),
        "coredns.json": coredns_text(live.addons.coredns, domain),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"
