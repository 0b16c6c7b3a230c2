"""What the files in ``catalog/`` know: where each artifact comes from, per architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, field_validator

from kindling.artifacts.entries import AddonEntry, Entry, ImageEntry, nearest_known
from kindling.errors import CatalogError
from kindling.models.addons import unreleased
from kindling.models.architecture import Architecture
from kindling.models.assets import ChecksumFormat
from kindling.models.role import Role
from kindling.models.versions import Channel

CATALOG = Path(__file__).resolve().parent.parent.parent / "catalog"
_FILES = ("flatcar.yaml", "sysexts.yaml", "ipxe.yaml", "addons.yaml", "images.yaml")


class FlatcarFile(Entry):
    """One file of a Flatcar release; ``signature`` is the name of its detached signature."""

    name: str
    file: str
    signature: str | None = None
    estimated_size: int  # bytes


class FlatcarSource(Entry):
    """Flatcar releases; ``url`` has the fields channel, board, version and file."""

    url: str
    checksums: ChecksumFormat | None
    files: tuple[FlatcarFile, ...]
    versions: Mapping[Channel, tuple[str, ...]]

    def directory(self, channel: str, version: str, arch: Architecture) -> str:
        """URL of the directory with the release's files, without a trailing slash."""
        pattern = self.url.removesuffix("/{file}")
        return pattern.format(channel=channel, board=arch.flatcar_board, version=version)


class Publisher(Entry):
    """Somebody who publishes extensions; ``url`` has the fields name, tag and arch."""

    url: str
    checksums: ChecksumFormat | None


class SysextEntry(Entry):
    """One extension: the roles that need it, and who publishes which versions."""

    roles: frozenset[Role]
    tag: str  # how publishers write the version, such as v{version}
    estimated_size: int  # bytes
    versions: Mapping[str, tuple[str, ...]]  # by publisher; the first that has a version is used

    def publisher_of(self, version: str) -> str | None:
        """The name of the publisher that a version is taken from."""
        having = (name for name, versions in self.versions.items() if version in versions)
        return next(having, None)


class IpxeProgram(Entry):
    """One iPXE program as firmware loads it."""

    name: str
    file: str
    arch: Architecture
    url: str
    estimated_size: int  # bytes


class IpxeSource(Entry):
    """The iPXE programs."""

    version: str
    checksums: ChecksumFormat | None
    programs: tuple[IpxeProgram, ...]


class Catalog(Entry):
    """Everything that is known. `load_catalog` reads it."""

    flatcar: FlatcarSource
    publishers: Mapping[str, Publisher]
    sysexts: Mapping[str, SysextEntry]
    ipxe: IpxeSource
    addons: Mapping[str, AddonEntry]
    images: Mapping[str, ImageEntry]

    @field_validator("sysexts")
    @classmethod
    def _publishers_exist(
        cls, sysexts: Mapping[str, SysextEntry], info: Any
    ) -> Mapping[str, SysextEntry]:
        known = set(info.data.get("publishers", {}))
        for name, entry in sysexts.items():
            if missing := sorted(set(entry.versions) - known):
                raise ValueError(f"{name}: publisher {missing[0]} is not under publishers")
        return sysexts

    def known_versions(self) -> Mapping[str, frozenset[str]]:
        """Versions by component, ``flatcar`` over all channels; add-ons by their own names."""
        extensions = {
            name: _all_of(entry.versions.values()) for name, entry in self.sysexts.items()
        }
        return {
            "flatcar": _all_of(self.flatcar.versions.values()),
            **extensions,
            **{name: frozenset(entry.versions) for name, entry in self.images.items()},
            **{name: frozenset(entry.versions) for name, entry in self.addons.items()},
        }

    def flatcar_directory(self, channel: str, version: str, arch: Architecture) -> str:
        """Where a release's files are. Raises `CatalogError` for one that is not known."""
        if version not in self.flatcar.versions.get(channel, ()):  # type: ignore[call-overload]
            raise self._unknown_flatcar(channel, version)
        return self.flatcar.directory(channel, version, arch)

    def sysext_url(self, name: str, version: str, arch: Architecture) -> tuple[str, Publisher]:
        """Where an extension is, and who publishes it. Raises `CatalogError`."""
        entry = self.sysexts.get(name)
        publisher = entry.publisher_of(version) if entry else None
        if entry is None or publisher is None:
            raise self._unknown_sysext(name, version)
        found = self.publishers[publisher]
        return found.url.format(name=name, tag=entry.tag.format(version=version), arch=arch), found

    def addon_url(self, name: str, version: str, key: str) -> tuple[str, AddonEntry]:
        """Where an add-on's manifest is. ``key`` is its place in the stack file, for the error.

        Raises `CatalogError` for a version that is not known, or where upstream releases none.
        """
        entry = self.addons[name]
        if entry.url is None:
            raise CatalogError(f"addons.{key}.url: {unreleased(name)}")
        if version not in entry.versions:
            raise CatalogError(
                f'addons.{key}.version: "{version}" is not known '
                f"({nearest_known(version, entry.versions)}); use a known one, or give the "
                f"manifest's location in addons.{key}.url"
            )
        return entry.url.format(version=version), entry

    def _unknown_flatcar(self, channel: str, version: str) -> CatalogError:
        elsewhere = [c for c, versions in self.flatcar.versions.items() if version in versions]
        if elsewhere:
            return CatalogError(
                f'assets.flatcar.channel: "{channel}" has no release {version}; '
                f"that is a release of {elsewhere[0]}: change channel or version"
            )
        known = self.flatcar.versions.get(channel, ())  # type: ignore[call-overload]
        return CatalogError(
            f'assets.flatcar.version: "{version}" is not known in channel {channel} '
            f"({nearest_known(version, known)}); use a known one, or give the directory with its "
            "files in assets.urls.flatcar, per architecture"
        )

    def _unknown_sysext(self, name: str, version: str) -> CatalogError:
        if name not in self.sysexts:
            return CatalogError(
                f'assets.sysexts: "{name}" is not in the catalog (it has: '
                f"{', '.join(sorted(self.sysexts))}); give its url, per architecture"
            )
        return CatalogError(
            f'assets.{name}: "{version}" is not known '
            f"({nearest_known(version, self.known_versions()[name])}); use a known one, or give "
            f"its location in assets.urls.{name}, per architecture"
        )


@cache
def load_catalog(directory: Path = CATALOG) -> Catalog:
    """Read ``catalog/*.yaml``. Raises `CatalogError` that names file and field."""
    merged: dict[str, Any] = {}
    for name in _FILES:
        merged |= _read(directory / name)
    try:
        return Catalog.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CatalogError(f"{directory}: {where}: {first['msg']}; mend the catalog") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise CatalogError(f"{file}: cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise CatalogError(f"{file}: must be a mapping, such as the one in the repository")
    return data


def _all_of(versions: Iterable[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(version for several in versions for version in several)
