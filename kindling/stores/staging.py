"""Files on their way into a directory store: written beside the tree, then renamed into it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from kindling.errors import StoreError, StoreFull

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

_WRITE_OUT = 32 * 1024 * 1024  # bytes between hints to the disk


class Staged:
    """One temporary file with a running digest; gone at the end of ``with`` unless it was kept.

    The writer holds a lock on the file as long as it lives, so `sweep` can tell the file of a
    killed writer from one under way, in whatever process.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / os.urandom(12).hex()
        self.size = 0
        self._hash = sha256()
        self._hinted = 0
        self._kept = False
        with as_store_error("the upload"):
            self._fd = self._create()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Unlinked before it is unlocked: a sweep never meets the name without the lock.
        if not self._kept:
            self.path.unlink(missing_ok=True)
        os.close(self._fd)

    def _create(self) -> int:
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                return fd
            os.close(fd)  # swept between open and lock

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append; hash and write both release the interpreter for other requests."""
        self._hash.update(chunk)
        view = memoryview(chunk)
        with as_store_error("the upload"):
            while view:
                view = view[os.write(self._fd, view) :]
        self.size += len(chunk)
        if self.size - self._hinted >= _WRITE_OUT:
            # Starts writing to the disk now, so that the final flush has little left to wait for.
            os.posix_fadvise(self._fd, self._hinted, _WRITE_OUT, os.POSIX_FADV_DONTNEED)
            self._hinted = self.size

    @property
    def sha256(self) -> str:
        """The digest (hex) of what was written."""
        return self._hash.hexdigest()

    def flush(self, mode: int) -> os.stat_result:
        """Bring the bytes to the disk and say what a rename will publish."""
        os.fchmod(self._fd, mode)
        # Written with the full clock: a later change in place gets a coarse kernel time, so it
        # shows even within the same tick of that clock.
        now = time.time_ns()
        os.utime(self._fd, ns=(now, now))
        os.fsync(self._fd)
        return os.fstat(self._fd)

    def move_to(self, target: Path) -> None:
        """Publish: after this the file is the target."""
        self.path.replace(target)
        self._kept = True


def sweep(directory: Path) -> int:
    """Remove the files of writers that no longer live; returns how many."""
    removed = 0
    for entry in os.scandir(directory):
        try:
            fd = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(entry.path).unlink()
            removed += 1
        except (BlockingIOError, FileNotFoundError):
            continue
        finally:
            os.close(fd)
    return removed


@contextmanager
def as_store_error(what: str) -> Iterator[None]:
    """Turn an error of the operating system into `StoreFull` or `StoreError` about ``what``."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull(f"{what}: the store's disk is full; nothing was stored") from error
        raise StoreError(f"{what}: {error.strerror or error} ({error.filename})") from error
