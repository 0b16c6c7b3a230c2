"""The Prometheus operator, and one Prometheus that watches what monitors name.

Facts: prometheus-operator/prometheus-operator 0.86.1, bundle.yaml (all in the namespace default,
to be moved) and example/rbac/prometheus (what a Prometheus may read).
"""

from __future__ import annotations

from typing import Any

from kindling.models.addons import Addon, Prometheus
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, Json, merged

NAMESPACE = "monitoring"
_NAME = "kindling"
_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """The operator in its own namespace, then a Prometheus with the rights that it needs."""
    assert isinstance(settings, Prometheus)
    account = merged("v1", "ServiceAccount", _ROLE, NAMESPACE)
    return AddonParts(
        after=(account, _role(), _binding(), _prometheus(settings)), namespace=NAMESPACE
    )


_ROLE = "kindling-prometheus"


def _prometheus(settings: Prometheus) -> Json:
    spec: dict[str, Any] = {
        "replicas": settings.replicas,
        "retention": settings.retention,
        "serviceAccountName": _ROLE,
    }
    # Empty selectors choose every monitor and rule, in every namespace.
    for kind in ("serviceMonitor", "podMonitor", "probe", "rule", "scrapeConfig"):
        spec |= {f"{kind}Selector": {}, f"{kind}NamespaceSelector": {}}
    if settings.storage is not None:
        size = {"requests": {"storage": settings.storage}}
        claim = {"accessModes": ["ReadWriteOnce"], "resources": size}
        spec["storage"] = {"volumeClaimTemplate": {"spec": claim}}
    return merged("monitoring.coreos.com/v1", "Prometheus", _NAME, NAMESPACE, spec=spec)


def _role() -> Json:
    rules = [
        _rule("", "nodes", "nodes/metrics", "services", "endpoints", "pods"),
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
        _rule("discovery.k8s.io", "endpointslices"),
        _rule("networking.k8s.io", "ingresses"),
        {"nonResourceURLs": ["/metrics", "/metrics/cadvisor"], "verbs": ["get"]},
    ]
    return merged(f"{_RBAC}/v1", "ClusterRole", _ROLE, rules=rules)


def _rule(group: str, *resources: str) -> Json:
    return {"apiGroups": [group], "resources": list(resources), "verbs": _READ}


def _binding() -> Json:
    return merged(
        f"{_RBAC}/v1",
        "ClusterRoleBinding",
        _ROLE,
        roleRef={"apiGroup": _RBAC, "kind": "ClusterRole", "name": _ROLE},
        subjects=[{"kind": "ServiceAccount", "name": _ROLE, "namespace": NAMESPACE}],
    )
