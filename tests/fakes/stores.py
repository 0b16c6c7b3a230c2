"""Stores for tests of their users: one in memory with all the rules, one that always fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256 as new_sha256
from pathlib import Path

from kindling.errors import DigestMismatch, StoreError, StoreUnreachable
from kindling.stores.base import (
    Stat,
    checked_owner,
    checked_sha256,
    published_path,
    refuse_foreign,
)


@dataclass
class _File:
    body: bytes
    published: str
    owners: set[str] = field(default_factory=set)


class MemoryStore:
    """Everything in a dictionary. ``writes`` lists the paths whose bytes were written, in order.

    ``alter`` and ``lose`` do what happens behind a store's back.
    """

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}
        self.writes: list[str] = []

    def put(self, path: str, body: bytes | Path, *, sha256: str, owner: str) -> Stat:
        known = self.adopt(path, sha256=sha256, owner=owner)
        if known is not None:
            return known
        content = body.read_bytes() if isinstance(body, Path) else body
        if new_sha256(content).hexdigest() != sha256:
            raise DigestMismatch(f"{path}: the bytes do not have SHA-256 {sha256}")
        owners = self.files[path].owners if path in self.files else set()
        self.writes.append(path)
        self.files[path] = _File(content, sha256, {*owners, owner})
        return self._stat(path)

    def adopt(self, path: str, *, sha256: str, owner: str) -> Stat | None:
        published_path(path)
        checked_owner(owner)
        checked_sha256(sha256)
        file = self.files.get(path)
        if file is None:
            return None
        others = tuple(sorted(file.owners - {owner}))
        refuse_foreign(path, published=file.published, others=others, sha256=sha256, owner=owner)
        if new_sha256(file.body).hexdigest() != sha256:
            return None
        file.owners.add(owner)
        return self._stat(path)

    def stat(self, path: str) -> Stat | None:
        published_path(path)
        return self._stat(path) if path in self.files else None

    def read(self, path: str) -> bytes | None:
        published_path(path)
        return self.files[path].body if path in self.files else None

    def delete(self, path: str, *, owner: str) -> bool:
        published_path(path)
        file = self.files.get(path)
        if file is None or owner not in file.owners:
            return False
        file.owners.discard(owner)
        if file.owners:
            return False
        del self.files[path]
        return True

    def list(self, prefix: str = "") -> list[Stat]:
        return [self._stat(path) for path in sorted(self.files) if path.startswith(prefix)]

    def alter(self, path: str, body: bytes) -> None:
        """Change the bytes behind the store's back."""
        self.files[path].body = body

    def lose(self, path: str) -> None:
        """Remove the file behind the store's back."""
        del self.files[path]

    def _stat(self, path: str) -> Stat:
        file = self.files[path]
        digest = new_sha256(file.body).hexdigest()
        return Stat(path, len(file.body), digest, tuple(sorted(file.owners)))


class FailingStore:
    """Raises the same error whatever is asked."""

    def __init__(self, error: StoreError | None = None) -> None:
        self.error = error or StoreUnreachable(
            "the store at http://127.0.0.1:9 did not answer; is the boot server running?"
        )

    def put(self, path: str, body: bytes | Path, *, sha256: str, owner: str) -> Stat:
        raise self.error

    def adopt(self, path: str, *, sha256: str, owner: str) -> Stat | None:
        raise self.error

    def stat(self, path: str) -> Stat | None:
        raise self.error

    def read(self, path: str) -> bytes | None:
        raise self.error

    def delete(self, path: str, *, owner: str) -> bool:
        raise self.error

    def list(self, prefix: str = "") -> list[Stat]:
        raise self.error
