"""The manifests of a cluster as artifacts: its add-ons' and the user's own that come by URL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from kindling.artifacts.catalog import Catalog
from kindling.artifacts.entries import AddonEntry
from kindling.artifacts.sources import parse_source
from kindling.models.addons import ChosenAddon, Manifest, chosen_addons
from kindling.models.assets import Asset, AssetFile, ChecksumFormat
from kindling.models.cluster import Cluster

_USERS_ESTIMATE = 100_000  # bytes; nobody knows before it is locked


def manifest_assets(cluster: Cluster, catalog: Catalog) -> Iterator[Asset]:
    """Every manifest file that the cluster's control planes fetch; none without Kubernetes.

    Raises `CatalogError` for a version that nobody knows.
    """
    if cluster.assets.kubernetes is None:
        return
    for chosen in chosen_addons(cluster.cni, cluster.addons):
        yield addon_asset(chosen, catalog)
    for manifest in cluster.manifests:
        if manifest.url is not None:
            yield user_asset(manifest, manifest.url)


def addon_asset(chosen: ChosenAddon, catalog: Catalog) -> Asset:
    """An add-on's manifest: the catalog's, or the one that the stack file names."""
    settings, entry = chosen.settings, catalog.addons[chosen.name]
    version = settings.version or entry.newest or ""
    if settings.url is None:
        url, _ = catalog.addon_url(chosen.name, version, chosen.key)
        file = AssetFile(path=_path(chosen.name, version), url=url, checksums=entry.checksums)
        return _asset(chosen.name, version, file, entry)
    # The stack's own file is another thing than the release of that version, if it has one.
    named = "-".join(part for part in (settings.version, _short(settings.url)) if part)
    file = _given(_path(chosen.name, named), settings.url, settings.sha256)
    return _asset(chosen.name, settings.version or "", file, entry)


def user_asset(manifest: Manifest, url: str) -> Asset:
    """A manifest of the user's. Two stacks may use one name for two files; their URLs differ."""
    file = _given(_path(manifest.name, _short(url)), url, manifest.sha256)
    return Asset(
        name=f"manifest-{manifest.name}",
        kind="manifest",
        version="",
        arch=None,
        files=(file,),
        estimated_size=_USERS_ESTIMATE,
    )


def _asset(name: str, version: str, file: AssetFile, entry: AddonEntry) -> Asset:
    return Asset(
        name=name,
        kind="manifest",
        version=version,
        arch=None,
        files=(file,),
        estimated_size=entry.estimated_size,
    )


def _given(path: str, url: str, sha256: str | None) -> AssetFile:
    own: ChecksumFormat | None = "own" if parse_source(url).file is not None else None
    return AssetFile(path=path, url=url, sha256=sha256, checksums=own)


def _path(name: str, version: str) -> str:
    return f"assets/manifests/{name}-{version}.yaml"


def _short(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:8]
