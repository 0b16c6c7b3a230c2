"""Add-ons that are applied as they are: they have no settings of ours, only the user's patches.

kube-network-policies and Flux as released; Loki and Velero as the user made their manifests, with
chart and program, where their settings are.
"""

from __future__ import annotations

from kindling.models.addons import Addon
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """Nothing but the wait for its workloads."""
    return AddonParts()
