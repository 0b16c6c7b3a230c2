"""Which artifacts a cluster needs: only what a node of that architecture and role uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kindling.artifacts.catalog import Catalog, FlatcarFile, IpxeProgram
from kindling.artifacts.images import image_assets
from kindling.artifacts.manifests import manifest_assets
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset, AssetFile, ChecksumFormat
from kindling.models.cluster import Cluster
from kindling.models.node import Node
from kindling.models.role import Role

EXTRA_SYSEXT_ESTIMATE = 50_000_000  # bytes; nobody knows before it is locked


@dataclass(frozen=True)
class _Extension:
    """An extension that the cluster asks for, wherever in the stack file it stands."""

    name: str
    version: str
    roles: frozenset[Role]
    urls: Mapping[Architecture, str]
    digests: Mapping[Architecture, str]


def select_assets(cluster: Cluster, catalog: Catalog) -> tuple[Asset, ...]:
    """Everything that the cluster's machines fetch, without digests and sizes; sorted.

    Raises `CatalogError` for a version that is neither in the catalog nor given with a URL.
    """
    extensions = tuple(_extensions(cluster, catalog))
    found = {asset.main.path: asset for asset in manifest_assets(cluster, catalog)}
    for arch in cluster.architectures:
        roles = {node.role for node in cluster.nodes if node.arch is arch}
        needed = (each for each in extensions if each.roles & roles)
        assets = [
            *_flatcar(cluster, catalog, arch),
            *(_sysext(each, arch, catalog) for each in needed),
            *_ipxe(catalog, arch),
            *image_assets(cluster, catalog, arch, roles),
        ]
        found |= {asset.main.path: asset for asset in assets}
    return tuple(sorted(found.values(), key=_order))


def sysexts_of(node: Node, cluster: Cluster, catalog: Catalog) -> tuple[Asset, ...]:
    """The extensions that one node uses, sorted by name. Raises `CatalogError`."""
    needed = (each for each in _extensions(cluster, catalog) if node.role in each.roles)
    assets = (_sysext(each, node.arch, catalog) for each in needed)
    return tuple(sorted(assets, key=lambda asset: asset.name))


def space_needed(assets: Iterable[Asset], architecture: Architecture | None = None) -> int:
    """Bytes that the assets take: as locked where they are, as estimated where not."""
    wanted = (each for each in assets if architecture is None or each.arch is architecture)
    return sum(
        sum(file.size or 0 for file in asset.files) if asset.locked else asset.estimated_size
        for asset in wanted
    )


def _order(asset: Asset) -> tuple[int, str, str]:
    order = (*Architecture, None)  # what is for all of them comes last
    return order.index(asset.arch), asset.kind, asset.name


def _extensions(cluster: Cluster, catalog: Catalog) -> Iterator[_Extension]:
    wanted = cluster.assets
    for name, version in wanted.versions.items():
        if name in catalog.sysexts:
            roles = catalog.sysexts[name].roles
            if name == "keepalived" and cluster.planes_carry_endpoint:
                roles |= {Role.CONTROL_PLANE}
            urls = {
                arch: url
                for key, each in wanted.urls.items()
                if key == name
                for arch, url in each.items()
            }
            yield _Extension(name, version, roles, urls, {})
    for extra in wanted.sysexts:
        roles = frozenset(extra.roles if extra.roles is not None else Role)
        yield _Extension(extra.name, extra.version, roles, extra.url or {}, extra.sha256)


def _flatcar(cluster: Cluster, catalog: Catalog, arch: Architecture) -> Iterator[Asset]:
    release = cluster.assets.flatcar
    given = cluster.assets.urls.get("flatcar", {}).get(arch)
    source = given or catalog.flatcar_directory(release.channel, release.version, arch)
    published = f"assets/flatcar/{arch}/{release.version}"
    for file in catalog.flatcar.files:
        yield Asset(
            name=file.name,
            kind="flatcar",
            version=release.version,
            arch=arch,
            files=tuple(_flatcar_files(file, source, published, catalog.flatcar.checksums)),
            estimated_size=file.estimated_size,
        )


def _flatcar_files(
    file: FlatcarFile, source: str, published: str, checksums: ChecksumFormat | None
) -> Iterator[AssetFile]:
    base = source.rstrip("/")
    yield AssetFile(path=f"{published}/{file.file}", url=f"{base}/{file.file}", checksums=checksums)
    if file.signature:
        yield AssetFile(
            path=f"{published}/{file.signature}",
            url=f"{base}/{file.signature}",
            checksums="signature",
        )


def _sysext(extension: _Extension, arch: Architecture, catalog: Catalog) -> Asset:
    url = extension.urls.get(arch)
    checksums: ChecksumFormat | None = "sha256sums"
    if url is None:
        url, publisher = catalog.sysext_url(extension.name, extension.version, arch)
        checksums = publisher.checksums
    entry = catalog.sysexts.get(extension.name)
    name = f"{extension.name}-{extension.version}-{arch}.raw"
    file = AssetFile(
        path=f"assets/extensions/{name}",
        url=url,
        sha256=extension.digests.get(arch),
        checksums=checksums,
    )
    return Asset(
        name=extension.name,
        kind="sysext",
        version=extension.version,
        arch=arch,
        files=(file,),
        estimated_size=entry.estimated_size if entry else EXTRA_SYSEXT_ESTIMATE,
    )


def _ipxe(catalog: Catalog, arch: Architecture) -> Iterator[Asset]:
    programs: Iterable[IpxeProgram] = catalog.ipxe.programs
    for program in programs:
        if program.arch is arch:
            file = AssetFile(
                path=f"assets/ipxe/{program.file}",
                url=program.url,
                checksums=catalog.ipxe.checksums,
            )
            yield Asset(
                name=program.name,
                kind="ipxe",
                version=catalog.ipxe.version,
                arch=arch,
                files=(file,),
                estimated_size=program.estimated_size,
            )
