"""What control planes apply, and the images that machines run: plans from settings and pins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kindling.artifacts.catalog import Catalog
from kindling.artifacts.images import image_asset, reference_of
from kindling.artifacts.manifests import addon_asset, user_asset
from kindling.models.addons import ChosenAddon, Manifest, chosen_addons
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset
from kindling.models.cluster import Cluster
from kindling.models.plan import ImagePlan, ManifestPlan
from kindling.models.role import Role
from kindling.rendering.addons.choosing import parts_of
from kindling.rendering.addons.parts import to_text


def manifest_plans(
    cluster: Cluster, catalog: Catalog, pinned: Mapping[str, Asset]
) -> tuple[ManifestPlan, ...]:
    """Add-ons in their order, then the user's manifests in theirs; none without Kubernetes.

    ``pinned`` are the cluster's assets by store path. Raises `CatalogError`.
    """
    if cluster.assets.kubernetes is None:
        return ()
    chosen = chosen_addons(cluster.cni, cluster.addons)
    addons = (_addon_plan(each, cluster, catalog, pinned) for each in chosen)
    return (*addons, *(_user_plan(each, pinned) for each in cluster.manifests))


def image_plans(
    cluster: Cluster, catalog: Catalog, pinned: Mapping[str, Asset]
) -> dict[Architecture, ImagePlan]:
    """HAProxy's image for each architecture that load balancers have."""
    return dict(_image_plans(cluster, catalog, pinned))


def _addon_plan(
    chosen: ChosenAddon, cluster: Cluster, catalog: Catalog, pinned: Mapping[str, Asset]
) -> ManifestPlan:
    asset = addon_asset(chosen, catalog)
    parts = parts_of(chosen, cluster)
    return ManifestPlan(
        name=chosen.name,
        version=asset.version,
        path=asset.main.path,
        sha256=pinned[asset.main.path].main.sha256,
        namespace=parts.namespace,
        patches=tuple(to_text(each) for each in (*parts.patches, *chosen.settings.patches)),
        after=tuple(to_text(each) for each in parts.after),
        waits=parts.waits,
    )


def _user_plan(manifest: Manifest, pinned: Mapping[str, Asset]) -> ManifestPlan:
    """Nothing is waited for: that the user's own is not ready yet is not a failure of ours."""
    name = f"manifest-{manifest.name}"
    if manifest.url is None:
        return ManifestPlan(name=name, inline=manifest.inline)
    path = user_asset(manifest, manifest.url).main.path
    return ManifestPlan(name=name, path=path, sha256=pinned[path].main.sha256)


def _image_plans(
    cluster: Cluster, catalog: Catalog, pinned: Mapping[str, Asset]
) -> Iterator[tuple[Architecture, ImagePlan]]:
    version, entry = cluster.assets.haproxy, catalog.images["haproxy"]
    if version is None or cluster.assets.kubernetes is None:
        return
    for arch in {node.arch for node in cluster.nodes_of(Role.LOAD_BALANCER)}:
        path = image_asset("haproxy", version, arch, entry, cluster).main.path
        name = reference_of(entry, version)
        yield arch, ImagePlan(name=name, path=path, sha256=pinned[path].main.sha256)
