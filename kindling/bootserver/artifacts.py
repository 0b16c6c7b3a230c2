"""The published artifacts, as the page and ``/api/artifacts`` list them."""

from __future__ import annotations

from dataclasses import dataclass

from kindling.bootserver.settings import Settings
from kindling.models.architecture import Architecture
from kindling.stores.base import Stat
from kindling.stores.directory import DirectoryStore


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file below ``assets/``. ``size`` in bytes, ``arch`` is empty when its path names none."""

    path: str
    arch: str
    size: int
    sha256: str
    owners: tuple[str, ...]


def list_artifacts(settings: Settings) -> list[Artifact]:
    """Every published artifact, sorted by path. May hash what was altered: call it in a thread."""
    return [_artifact(found) for found in DirectoryStore(settings.directory).list("assets/")]


def _artifact(found: Stat) -> Artifact:
    return Artifact(found.path, _arch_of(found.path), found.size, found.sha256, found.owners)


def _arch_of(path: str) -> str:
    """Manifests are for all architectures, whatever words are in their names."""
    if path.startswith("assets/manifests/"):
        return ""
    return next((str(arch) for arch in Architecture if str(arch) in path), "")
