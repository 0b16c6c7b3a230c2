"""A store that is a directory: of this machine, or the one a boot server serves."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat as modes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256 as new_sha256
from pathlib import Path

from kindling.errors import DigestMismatch, StoreFull, StoreRefused
from kindling.stores.base import (
    Stat,
    checked_owner,
    checked_sha256,
    is_known,
    is_public,
    published_path,
    refuse_foreign,
)
from kindling.stores.sidecar import Record, Seen, Sidecars
from kindling.stores.staging import Staged, as_store_error, sweep

_CHUNK = 1024 * 1024  # bytes


class DirectoryStore:
    """Files below ``root``; metadata, the lock and uploads under way in ``root/.kindling``.

    Any number of processes may use one directory. A short lock of the whole store guards each
    publication and each deletion; nothing is hashed or copied while it is held.
    """

    def __init__(self, root: Path, *, keep_free: int = 0) -> None:
        self.root = root
        self._keep_free = keep_free  # bytes that a put leaves free
        self._private = root / ".kindling"
        self._incoming = self._private / "incoming"
        self._sidecars = Sidecars(self._private / "meta")
        with as_store_error(str(root)):
            self._private.mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in (self._incoming, self._private / "meta"):
                directory.mkdir(exist_ok=True)
            sweep(self._incoming)
        with self._locked(str(root)):
            self._sidecars.sweep()

    def put(self, path: str, body: bytes | Path, *, sha256: str, owner: str) -> Stat:
        """See `Store.put`; constant memory for a ``Path``."""
        known = self.adopt(path, sha256=sha256, owner=owner)
        if known is not None:
            return known
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        with self.stage(size) as staged, as_store_error(path):
            for chunk in _chunks(body):
                staged.write(chunk)
            return self.commit(staged, path, sha256=sha256, owner=owner)

    def adopt(self, path: str, *, sha256: str, owner: str) -> Stat | None:
        """Add an owner to a file that already has these bytes; None when it has not.

        Raises `StoreRefused` where a `put` of them would be refused.
        """
        published_path(path)
        checked_owner(owner)
        checked_sha256(sha256)
        found = self.stat(path)
        with self._locked(path):
            record = self._sidecars.load(path)
            _refuse_foreign(path, record, sha256, owner)
            if found is None or not self._holds(path, record, sha256):
                return None
            if owner not in record.owners or record.published != sha256:
                record = replace(record.owned_by(owner), published=sha256)
                self._sidecars.save(path, record)
            return replace(found, owners=record.owners)

    def stage(self, size: int) -> Staged:
        """A place for ``size`` bytes to come; raises `StoreFull` when there is no room for them."""
        with as_store_error("the upload"):
            free = shutil.disk_usage(self.root).free
            if size + self._keep_free > free:
                raise StoreFull(
                    f"the store has no room: {size} bytes are to be put, {free} are free"
                    f" and {self._keep_free} of them are kept; free some space and try again"
                )
            return Staged(self._incoming)

    def commit(self, staged: Staged, path: str, *, sha256: str, owner: str) -> Stat:
        """Publish what was staged. Raises as `put` does, and publishes nothing then."""
        published_path(path)
        checked_owner(owner)
        if staged.sha256 != checked_sha256(sha256):
            raise DigestMismatch(
                f"{path}: the bytes have SHA-256 {staged.sha256}, not {sha256}; nothing was stored"
            )
        with as_store_error(path):
            found = staged.flush(0o644 if is_public(path) else 0o600)
            with self._locked(path):
                record = self._sidecars.load(path)
                _refuse_foreign(path, record, sha256, owner)
                target = self._make_room(path)
                record = Record(record.owned_by(owner).owners, sha256, Seen.of(sha256, found))
                # Before the file: a crash between the two leaves a memo that does not fit the
                # file, which is then hashed again, and never a file that nobody owns.
                self._sidecars.save(path, record)
                staged.move_to(target)
            _flush_directory(target.parent)
        return Stat(path, staged.size, sha256, record.owners)

    def stat(self, path: str) -> Stat | None:
        """See `Store.stat`; hashes the file only when it changed since the last time."""
        found = self._found(published_path(path))
        if found is None:
            return None
        record = self._sidecars.load(path)
        seen = record.seen
        if seen is None or not seen.fits(found):
            with as_store_error(path):
                seen = self._look(path)
        return Stat(path, seen.size, seen.sha256, record.owners) if seen else None

    def read(self, path: str) -> bytes | None:
        """See `Store.read`."""
        with as_store_error(path):
            try:
                return self.file(path).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def delete(self, path: str, *, owner: str) -> bool:
        """See `Store.delete`."""
        target = self.file(path)
        checked_owner(owner)
        with as_store_error(path), self._locked(path):
            record = self._sidecars.load(path)
            if owner not in record.owners:
                return False
            if left := record.without(owner).owners:
                self._sidecars.save(path, replace(record, owners=left))
                return False
            removed = self._found(path) is not None
            target.unlink(missing_ok=True)
            self._sidecars.drop(path)
            self._remove_empty(target.parent)
            return removed

    def list(self, prefix: str = "") -> list[Stat]:
        """See `Store.list`."""
        paths = sorted(p for p in self._walk() if p.startswith(prefix) and is_known(p))
        return [found for path in paths if (found := self.stat(path)) is not None]

    def check(self) -> None:
        """Raise `StoreError` when nothing can be written here."""
        with Staged(self._incoming) as staged:
            staged.write(b"1")

    def file(self, path: str) -> Path:
        """Where a store path is on the disk; raises `StoreRefused` for a path outside the tree."""
        return self.root / published_path(path)

    def memo(self, path: str, found: os.stat_result) -> str | None:
        """The digest of a file if it is known without reading the file, else None."""
        seen = self._sidecars.load(path).seen
        return seen.sha256 if seen and seen.fits(found) else None

    def _found(self, path: str) -> os.stat_result | None:
        try:
            found = (self.root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found if modes.S_ISREG(found.st_mode) else None

    def _holds(self, path: str, record: Record, sha256: str) -> bool:
        found, seen = self._found(path), record.seen
        return bool(found and seen and seen.sha256 == sha256 and seen.fits(found))

    def _look(self, path: str) -> Seen | None:
        """Hash the file and remember the result, unless it changed meanwhile."""
        digest = new_sha256()
        try:
            with (self.root / path).open("rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except FileNotFoundError:
            return None
        seen = Seen.of(digest.hexdigest(), before)
        with self._locked(path):
            if (now := self._found(path)) and seen.fits(now):
                record = replace(self._sidecars.load(path), seen=seen)
                self._sidecars.save(path, record, durable=False)
        return seen

    def _make_room(self, path: str) -> Path:
        target = self.root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreRefused(f"{path}: a part of this path is a file in the store") from error
        if target.is_dir():
            raise StoreRefused(f"{path} is a folder in the store")
        return target

    def _remove_empty(self, directory: Path) -> None:
        while directory != self.root:
            try:
                directory.rmdir()
            except OSError:  # not empty
                return
            directory = directory.parent

    def _walk(self) -> Iterator[str]:
        for base, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders if not f.startswith(".")]
            within = os.path.relpath(base, self.root)
            yield from (os.path.normpath(f"{within}/{f}") for f in files if f[0] != ".")

    @contextmanager
    def _locked(self, path: str) -> Iterator[None]:
        with as_store_error(path), (self._private / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _refuse_foreign(path: str, record: Record, sha256: str, owner: str) -> None:
    refuse_foreign(
        path, published=record.published, others=record.others(owner), sha256=sha256, owner=owner
    )


def _chunks(body: bytes | Path) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    with body.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _flush_directory(directory: Path) -> None:
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:  # deleted again by its owner
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
