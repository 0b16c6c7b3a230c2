"""Which module knows which add-on."""

from __future__ import annotations

from collections.abc import Callable

from kindling.models.addons import Addon, ChosenAddon
from kindling.models.cluster import Cluster
from kindling.rendering.addons import (
    calico,
    cilium,
    flannel,
    ingress_nginx,
    longhorn,
    metallb,
    metrics_server,
    prometheus,
    unpatched,
)
from kindling.rendering.addons.parts import AddonParts

_MODULES: dict[str, Callable[[Addon, Cluster], AddonParts]] = {
    "flannel": flannel.parts,
    "calico": calico.parts,
    "cilium": cilium.parts,
    "kube-network-policies": unpatched.parts,
    "prometheus-operator": prometheus.parts,
    "metallb": metallb.parts,
    "longhorn": longhorn.parts,
    "velero": unpatched.parts,
    "flux": unpatched.parts,
    "metrics-server": metrics_server.parts,
    "ingress-nginx": ingress_nginx.parts,
    "loki": unpatched.parts,
}


def parts_of(chosen: ChosenAddon, cluster: Cluster) -> AddonParts:
    """What the settings of an add-on mean; the user's own patches are not among it."""
    return _MODULES[chosen.name](chosen.settings, cluster)
