"""Container images that machines run without Kubernetes, as artifacts: one archive each."""

from __future__ import annotations

from collections.abc import Iterator

from kindling.artifacts.catalog import Catalog
from kindling.artifacts.entries import ImageEntry, nearest_known
from kindling.errors import CatalogError
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset, AssetFile
from kindling.models.cluster import Cluster
from kindling.models.role import Role


def image_assets(
    cluster: Cluster, catalog: Catalog, arch: Architecture, roles: set[Role]
) -> Iterator[Asset]:
    """The images that nodes of these roles run; none without Kubernetes. Raises `CatalogError`."""
    version, entry = cluster.assets.haproxy, catalog.images["haproxy"]
    if version is not None and cluster.assets.kubernetes is not None and entry.roles & roles:
        yield image_asset("haproxy", version, arch, entry, cluster)


def image_asset(
    name: str, version: str, arch: Architecture, entry: ImageEntry, cluster: Cluster
) -> Asset:
    """One image: an archive that the stack file names, else made from what the registry has."""
    given = next((urls.get(arch) for key, urls in cluster.assets.urls.items() if key == name), None)
    if given is None and version not in entry.versions:
        raise CatalogError(
            f'assets.{name}: "{version}" is not known ({nearest_known(version, entry.versions)}); '
            f"use a known one, or give its archive's location in assets.urls.{name}, per "
            "architecture"
        )
    file = AssetFile(
        path=f"assets/images/{name}-{version}-{arch}.tar",
        url=given or f"oci://{reference_of(entry, version)}?platform=linux/{arch.go}",
        checksums="sha256sums" if given else "registry",
    )
    return Asset(
        name=name,
        kind="image",
        version=version,
        arch=arch,
        files=(file,),
        estimated_size=entry.estimated_size,
    )


def reference_of(entry: ImageEntry, version: str) -> str:
    """The image's full name, which its archive carries: docker.io/library/haproxy:3.2.22."""
    return f"{entry.repository}:{version}"
