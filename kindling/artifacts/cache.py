"""The cache: verified files by their SHA-256, shared by every run and every stack of a user.

    <cache>/sha256/<digest>     complete and verified, read-only
    <cache>/parts/<key>         what an interrupted run left; <key>.json says where it came from
    <cache>/locks/<key>.lock    held (flock) while somebody fetches that file

Lock files stay: removing one would let two runs hold "the same" lock.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from kindling.errors import ArtifactError

PART_KEPT_FOR = 14 * 86_400  # seconds that an abandoned part may wait for its next run


def default_root() -> Path:
    """``KINDLING_CACHE``, else the user's cache directory (XDG_CACHE_HOME on Linux)."""
    chosen = os.environ.get("KINDLING_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("kindling")


class Cache:
    """A directory of verified files. Safe for several threads, processes and killed ones."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_root()

    def path_of(self, sha256: str) -> Path:
        """Where a verified file is, or will be."""
        return self.root / "sha256" / sha256

    def part_of(self, key: str) -> Path:
        """Where a file grows until it is verified."""
        return self.root / "parts" / key

    def find(self, sha256: str, size: int | None = None) -> Path | None:
        """A verified file. One of another size was damaged since; it is dropped."""
        path = self.path_of(sha256)
        try:
            found = path.stat().st_size
        except FileNotFoundError:
            return None
        if size is not None and found != size:
            path.unlink(missing_ok=True)
            return None
        return path

    def adopt(self, part: Path, sha256: str) -> Path:
        """Make a verified part a file of the cache; its bytes are on the disk before that."""
        target = self.path_of(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        target.chmod(0o444)
        _sync_directory(target.parent)
        return target

    def discard(self, sha256: str) -> None:
        """Forget a file that turned out to be damaged."""
        self.path_of(sha256).unlink(missing_ok=True)

    @contextmanager
    def locked(self, key: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock of one file; ``waiting`` is called when somebody else has it."""
        with self._lock_file(key).open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def sweep(self) -> None:
        """Drop parts that nobody came back for."""
        self._drop_parts(older_than=time.time() - PART_KEPT_FOR)

    def clear(self) -> None:
        """Remove everything that no run is working on."""
        for file in self._entries("sha256"):
            file.unlink(missing_ok=True)
        self._drop_parts(older_than=time.time() + 1)

    def _drop_parts(self, older_than: float) -> None:
        for part in self._entries("parts"):
            with suppress(FileNotFoundError, BlockingIOError):
                if part.stat().st_mtime >= older_than:
                    continue
                with self._lock_file(part.name.removesuffix(".json")).open("a") as handle:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()

    def _lock_file(self, key: str) -> Path:
        path = self.root / "locks" / f"{key}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(
                f"{self.root}: the cache cannot be written ({error.strerror}); "
                "set KINDLING_CACHE to a directory of yours"
            ) from error
        return path

    def _entries(self, name: str) -> list[Path]:
        directory = self.root / name
        return sorted(directory.iterdir()) if directory.is_dir() else []


def _sync_directory(directory: Path) -> None:
    """A renamed file is there after a power failure only when its directory is written, too."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
