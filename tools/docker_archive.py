"""Container images of one layer, as archives that `ctr images import` and `docker load` read.

The form is Docker's archive: manifest.json names the configuration and the layer, both beside it
under their digests (github.com/moby/moby/blob/v24.0.0/image/spec/v1.2.md). The same content gives
the same bytes: no times, no users' names, entries in order.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

# Go's names, which image configurations use, of what `uname -m` prints.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Entry:
    """One file, link or folder of an image; a folder has neither content nor target."""

    path: str
    """Absolute, inside the image."""
    content: Path | bytes | None = None
    target: str = ""
    """Where a symbolic link leads."""
    mode: int = 0o755
    owner: int = 0
    """User and group."""

    def digest(self) -> str:
        """Return a digest of everything that the archive will hold of it."""
        body = self.content.read_bytes() if isinstance(self.content, Path) else self.content
        facts = repr((self.path, self.target, self.mode, self.owner, body is None)).encode()
        return hashlib.sha256(facts + (body or b"")).hexdigest()


@dataclass(frozen=True)
class Settings:
    """How a container of the image is started."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH})


def write_archive(
    archive: Path, reference: str, entries: Sequence[Entry], settings: Settings
) -> None:
    """Write an image archive; ``reference`` is the full name, registry and tag included."""
    layer = archive.with_name("layer.tar")
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as packed:
        for entry in sorted([*_parents(entries), *entries], key=lambda entry: entry.path):
            _add(packed, entry)
    layer_digest = _digest(layer)
    configuration = _configuration(layer_digest, settings)
    configuration_name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = {
        "Config": configuration_name,
        "RepoTags": [reference],
        "Layers": [f"{layer_digest}.tar"],
    }
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as packed:
        _add(packed, Entry(f"/{layer_digest}.tar", layer, mode=0o644))
        _add(packed, Entry(f"/{configuration_name}", configuration, mode=0o644))
        _add(packed, Entry("/manifest.json", json.dumps([manifest]).encode(), mode=0o644))
    layer.unlink()


def _configuration(layer_digest: str, settings: Settings) -> bytes:
    machine = platform.machine()
    document = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": [f"{name}={text}" for name, text in settings.environment.items()],
            "Entrypoint": list(settings.entrypoint),
            "Cmd": list(settings.command),
            "User": settings.user,
            "WorkingDir": settings.directory,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    return json.dumps(document, sort_keys=True).encode()


def _parents(entries: Sequence[Entry]) -> Iterable[Entry]:
    """Return the folders that the entries lie in and that are not entries themselves."""
    given = {entry.path for entry in entries}
    needed = {str(parent) for path in given for parent in PurePosixPath(path).parents}
    return [Entry(path) for path in needed - given - {"/"}]


def _add(packed: tarfile.TarFile, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.path.lstrip("/"))
    member.mode, member.uid, member.gid = entry.mode, entry.owner, entry.owner
    if entry.target:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.target, 0o777
        packed.addfile(member)
    elif isinstance(entry.content, Path):
        member.size = entry.content.stat().st_size
        with entry.content.open("rb") as file:
            packed.addfile(member, file)
    elif entry.content is not None:
        member.size = len(entry.content)
        packed.addfile(member, io.BytesIO(entry.content))
    else:
        member.type = tarfile.DIRTYPE
        packed.addfile(member)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
