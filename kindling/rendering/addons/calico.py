"""Calico: the pool that pods get their addresses from.

Facts: projectcalico/calico, manifests/calico.yaml: the container calico-node of the DaemonSet
kube-system/calico-node makes the pool CALICO_IPV4POOL_CIDR at its first start, when there is none.
"""

from __future__ import annotations

from kindling.models.addons import Addon
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, merged


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """The pod network as the only pool."""
    pool = {"name": "CALICO_IPV4POOL_CIDR", "value": cluster.kubernetes.networking.pod_subnet}
    container = {"name": "calico-node", "env": [pool]}
    spec = {"template": {"spec": {"containers": [container]}}}
    patch = merged("apps/v1", "DaemonSet", "calico-node", "kube-system", spec=spec)
    return AddonParts(patches=(patch,))
