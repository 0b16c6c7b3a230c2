"""Small files held in memory, each checked against the disk by one ``stat`` before it is used.

A request for a 30 kB document then costs no open, read or close, and a file that another worker
or another process replaced is noticed at once.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

LARGEST = 512 * 1024  # bytes; what is larger is streamed from the disk
BUDGET = 64 * 1024 * 1024  # bytes of file bodies per worker


@dataclass(frozen=True, slots=True)
class SmallFile:
    """The bytes of a file, their SHA-256 (hex), and the disk's time of its last change (ns)."""

    body: bytes
    sha256: str
    mtime_ns: int
    inode: int


class SmallFiles:
    """Least recently used file bodies below one directory; safe to use from several threads."""

    def __init__(self, root: Path, *, largest: int = LARGEST, budget: int = BUDGET) -> None:
        self._root = str(root)
        self._largest = largest
        self._budget = budget
        self._held: OrderedDict[str, SmallFile] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()

    def get(self, path: str) -> SmallFile | None:
        """The file at a checked store path; None when it is missing, or too large to hold."""
        try:
            found = os.stat(f"{self._root}/{path}")  # noqa: PTH116 - on every request
        except (FileNotFoundError, NotADirectoryError):
            self._drop(path)
            return None
        if found.st_size > self._largest or not stat.S_ISREG(found.st_mode):
            self._drop(path)
            return None
        held = self._held.get(path)
        if held is None or not _same(held, found):
            held = self._load(path)
        return held

    def _load(self, path: str) -> SmallFile | None:
        try:
            with Path(self._root, path).open("rb") as file:
                found = os.fstat(file.fileno())
                body = file.read(self._largest + 1)
        except (FileNotFoundError, NotADirectoryError):
            self._drop(path)
            return None
        if len(body) > self._largest:  # grew between stat and read
            return None
        loaded = SmallFile(body, sha256(body).hexdigest(), found.st_mtime_ns, found.st_ino)
        self._keep(path, loaded)
        return loaded

    def _keep(self, path: str, loaded: SmallFile) -> None:
        with self._lock:
            self._forget(path)
            self._held[path] = loaded
            self._used += len(loaded.body)
            while self._used > self._budget:
                self._forget(next(iter(self._held)))

    def _drop(self, path: str) -> None:
        if path in self._held:
            with self._lock:
                self._forget(path)

    def _forget(self, path: str) -> None:
        old = self._held.pop(path, None)
        if old is not None:
            self._used -= len(old.body)


def _same(held: SmallFile, found: os.stat_result) -> bool:
    return (
        held.mtime_ns == found.st_mtime_ns
        and held.inode == found.st_ino
        and len(held.body) == found.st_size
    )
