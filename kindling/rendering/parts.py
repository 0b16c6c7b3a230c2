"""What a machine gets, in words of no particular system: files, links, units, downloads.

Each operating system's module writes these in its own form (Butane, cloud-init, ...).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SystemFile:
    """One file, owned by root. ``secret``: its content depends on the cluster's credentials."""

    path: str
    content: str
    origin: str  # a template's name, or the place in the stack file
    mode: int = 0o644
    secret: bool = False


@dataclass(frozen=True)
class SystemDownload:
    """A published file that the machine fetches; ``sha256`` is None while it is not locked."""

    path: str
    store_path: str
    sha256: str | None
    origin: str


@dataclass(frozen=True)
class SystemLink:
    """One symbolic link."""

    path: str
    target: str
    origin: str


@dataclass(frozen=True)
class SystemUnit:
    """One systemd unit. ``enabled`` None leaves it as it is; ``dropins`` are (name, text)."""

    name: str
    origin: str
    contents: str | None = None
    enabled: bool | None = None
    mask: bool = False
    dropins: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SystemPart:
    """A part of a system; parts add up."""

    files: tuple[SystemFile, ...] = ()
    links: tuple[SystemLink, ...] = ()
    units: tuple[SystemUnit, ...] = ()
    downloads: tuple[SystemDownload, ...] = ()

    def __add__(self, other: SystemPart) -> SystemPart:
        return SystemPart(
            self.files + other.files,
            self.links + other.links,
            self.units + other.units,
            self.downloads + other.downloads,
        )
