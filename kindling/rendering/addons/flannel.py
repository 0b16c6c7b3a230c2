"""Flannel: the pod network and how packets travel.

Facts: flannel-io/flannel 0.27.4, Documentation/kube-flannel.yml (kube-flannel-cfg, net-conf.json),
Documentation/configuration.md and backends.md (the keys of net-conf.json).
"""

from __future__ import annotations

import json

from kindling.models.addons import Addon, Flannel
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, Json, merged


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """The network configuration in place of upstream's, which has the default pod network."""
    assert isinstance(settings, Flannel)
    backend: Json = {"Type": settings.backend}
    if settings.mtu is not None:
        backend["MTU"] = settings.mtu
    subnet = cluster.kubernetes.networking.pod_subnet
    network = {"Network": subnet, "EnableNFTables": False, "Backend": backend}
    data = {"net-conf.json": json.dumps(network, indent=2) + "\n"}
    return AddonParts(
        patches=(merged("v1", "ConfigMap", "kube-flannel-cfg", "kube-flannel", data=data),)
    )
