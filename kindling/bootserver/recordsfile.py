"""The file of an SQLite database: private from its first byte, and missed when it is gone.

A process that has the file open goes on writing to it after somebody deleted or replaced it, and
what it commits is lost with its end. So the place of the file is remembered and compared.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kindling.errors import RecordsLost

_COMPANIONS = ("-wal", "-shm")  # SQLite gives them the mode of the database's file


class RecordsFile:
    """The place of one database; made before SQLite opens it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place: tuple[int, int] | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Hold this while the database is opened and its tables are made.

        Makes the file (mode 600) if there is none. Raises `OSError`.
        """
        with _only_one(self._path.parent):
            self._make()
            self._place = self._found()
            yield

    def verify(self) -> None:
        """Raises `RecordsLost` when another file, or none, is where the opened one was."""
        if self._found() != self._place:
            raise RecordsLost(
                "the database of the boot records was deleted or replaced; the server starts"
                " again with what is there now, ask again in some seconds"
            )

    def _make(self) -> None:
        try:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            # Not opened here: closing it would drop this process's locks on it (POSIX).
            if self._path.stat().st_size:
                return
            self._path.chmod(0o600)
        # Left by a file that is gone: a process that still has it open would share them.
        for ending in _COMPANIONS:
            Path(f"{self._path}{ending}").unlink(missing_ok=True)

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - around every commit
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """One opener at a time: whoever finds an empty file may remove what belonged to another."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
