"""A file that is being fetched: grows on the disk while other threads compute its digests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from kindling.artifacts.checksums import Algorithm
from kindling.errors import NoSpace

CHUNK = 1 << 20  # bytes; hashing and writing release the interpreter's lock, large pieces pay
_WAITING_CHUNKS = 8  # bound of memory per digest


@dataclass(frozen=True)
class Origin:
    """What a part was fetched from, to ask for the rest of the same thing."""

    source: str  # names the URL without telling it
    etag: str | None = None


class Part:
    """Appends to a file and digests what it appends. Use as a context manager."""

    def __init__(self, path: Path, algorithms: Iterable[Algorithm]) -> None:
        self.path = path
        self._algorithms = tuple(algorithms)
        self._digesters: tuple[_Digester, ...] = ()
        self._file = -1
        self.position = 0

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._begin()
        for chunk in _chunks_of(self._file):
            self._digest(chunk)
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()
        os.close(self._file)

    def append(self, chunk: bytes) -> None:
        """Add bytes. Raises `NoSpace`, after dropping the part, when the disk is full."""
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            self.restart()
            raise NoSpace(
                f"{self.path.parent}: the disk is full; make room there, or set KINDLING_CACHE "
                "to a larger place"
            ) from error
        self._digest(chunk)

    def restart(self) -> None:
        """Forget everything that is there."""
        os.ftruncate(self._file, 0)
        self._origin_file.unlink(missing_ok=True)
        self._end()
        self._begin()

    def digests(self) -> dict[Algorithm, str]:
        """Digests (hex) of all bytes, which are on the disk after this."""
        os.fsync(self._file)
        return {digester.algorithm: digester.value() for digester in self._digesters}

    @property
    def origin(self) -> Origin | None:
        """Where the bytes came from, if that was noted."""
        try:
            return Origin(**json.loads(self._origin_file.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @origin.setter
    def origin(self, origin: Origin) -> None:
        self._origin_file.write_text(json.dumps(asdict(origin)))

    def drop(self) -> None:
        """Remove the part from the disk."""
        self._origin_file.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def forget_origin(self) -> None:
        """Remove the note about the origin; the part itself has become a file of the cache."""
        self._origin_file.unlink(missing_ok=True)

    @property
    def _origin_file(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def _begin(self) -> None:
        self.position = 0
        self._digesters = tuple(_Digester(algorithm) for algorithm in self._algorithms)

    def _end(self) -> None:
        for digester in self._digesters:
            digester.value()

    def _digest(self, chunk: bytes) -> None:
        self.position += len(chunk)
        for digester in self._digesters:
            digester.feed(chunk)


class _Digester:
    """One digest, computed in a thread of its own while the caller reads and writes."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_WAITING_CHUNKS)
        self._thread = threading.Thread(target=self._run, name=f"digest-{algorithm}", daemon=True)
        self._thread.start()

    def feed(self, chunk: bytes) -> None:
        self._chunks.put(chunk)

    def value(self) -> str:
        if self._thread.is_alive():
            self._chunks.put(None)
            self._thread.join()
        return self._hash.hexdigest()

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            self._hash.update(chunk)


def _chunks_of(file: int) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(file, CHUNK, offset):
        offset += len(chunk)
        yield chunk
