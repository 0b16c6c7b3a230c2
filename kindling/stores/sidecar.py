"""What a directory store remembers about each file, beside the published tree.

One JSON file per path in ``.kindling/meta/``: the owners, the digest that was published, and the
digest that was seen last with the size, time and inode it belongs to, so that a file of several
GB is hashed again only after it changed.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import orjson


@dataclass(frozen=True)
class Seen:
    """A digest and the state of the file that it was computed from."""

    sha256: str
    size: int  # bytes
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, sha256: str, found: os.stat_result) -> Self:
        """The memo of a digest of the file that ``found`` describes."""
        return cls(sha256, found.st_size, found.st_mtime_ns, found.st_ino)

    def fits(self, found: os.stat_result) -> bool:
        """Whether the file is still the one that was hashed."""
        return (self.size, self.mtime_ns, self.inode) == (
            found.st_size,
            found.st_mtime_ns,
            found.st_ino,
        )


@dataclass(frozen=True)
class Record:
    """The memory of one path. ``published`` is the digest of the last put, in hex."""

    owners: tuple[str, ...] = ()
    published: str = ""
    seen: Seen | None = None

    def owned_by(self, owner: str) -> Record:
        """This record with one more owner."""
        return replace(self, owners=tuple(sorted({*self.owners, owner})))

    def without(self, owner: str) -> Record:
        """This record with that owner gone."""
        return replace(self, owners=tuple(o for o in self.owners if o != owner))

    def others(self, owner: str) -> tuple[str, ...]:
        """The owners beside ``owner``."""
        return self.without(owner).owners


class Sidecars:
    """Reads and atomically replaces the records below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, path: str) -> Record:
        """The record of a store path; an empty one when there is none or it cannot be read."""
        try:
            data = orjson.loads(self._file(path).read_bytes())
            seen = Seen(**data["seen"]) if data["seen"] else None
            return Record(tuple(data["owners"]), data["published"], seen)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # Unreadable means torn by a power failure: the digest is computed again, and the
            # owners come back with their next put.
            return Record()

    def save(self, path: str, record: Record, *, durable: bool = True) -> None:
        """Replace the record. ``durable`` flushes it: owners must survive, a memo need not."""
        file = self._file(path)
        temporary = file.with_name(f".{file.name[:200]}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            with temporary.open("wb") as out:
                out.write(orjson.dumps(asdict(record)))
                if durable:
                    out.flush()
                    os.fdatasync(out.fileno())
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def sweep(self) -> None:
        """Remove what killed writers left. Under the store's lock, as every writer is."""
        for entry in os.scandir(self._directory):
            if entry.name.startswith("."):
                Path(entry.path).unlink(missing_ok=True)

    def drop(self, path: str) -> None:
        """Forget a path."""
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        # "%" cannot be in a checked path, so this is one-to-one and needs no sub-directories.
        return self._directory / (path.replace("/", "%2F") + ".json")
