"""MetalLB: address pools, and who announces them.

Facts: metallb/metallb, config/manifests/metallb-native.yaml (namespace metallb-system) and
api/v1beta1 (IPAddressPool, L2Advertisement).
"""

from __future__ import annotations

from typing import Any

from kindling.models.addons import Addon, MetalLb, MetalLbPool
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, Json, merged

_NAMESPACE = "metallb-system"


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """Objects of MetalLB's own kinds, once its controller, which checks them, is ready."""
    assert isinstance(settings, MetalLb)
    after = [_pool(pool) for pool in settings.pools]
    if settings.l2 and settings.pools:
        after.append(_advertisement(settings))
    return AddonParts(after=tuple(after))


def _pool(pool: MetalLbPool) -> Json:
    spec = {"addresses": list(pool.addresses), "autoAssign": pool.auto_assign}
    return _object("IPAddressPool", pool.name, spec)


def _advertisement(settings: MetalLb) -> Json:
    spec: dict[str, Any] = {"ipAddressPools": [pool.name for pool in settings.pools]}
    if settings.interfaces:
        spec["interfaces"] = list(settings.interfaces)
    return _object("L2Advertisement", "kindling", spec)


def _object(kind: str, name: str, spec: dict[str, Any]) -> Json:
    return merged("metallb.io/v1beta1", kind, name, _NAMESPACE, spec=spec)
