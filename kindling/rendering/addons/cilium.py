"""Cilium: the pool that pods get their addresses from.

Facts: cilium/cilium, install/kubernetes/cilium/templates/cilium-configmap.yaml: with the chart's
default `ipam.mode: cluster-pool`, the ConfigMap cilium-config holds the pool in
cluster-pool-ipv4-cidr, by default 10.0.0.0/8. Other modes do not read it.
"""

from __future__ import annotations

from kindling.models.addons import Addon
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, merged, targeted


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """The pod network in place of the chart's default. The manifest is the user's own."""
    # kustomize wants a whole object; the target decides which one is patched, in any namespace.
    data = {"cluster-pool-ipv4-cidr": cluster.kubernetes.networking.pod_subnet}
    patch = merged("v1", "ConfigMap", "cilium-config", data=data)
    return AddonParts(patches=(targeted("ConfigMap", "cilium-config", patch),))
