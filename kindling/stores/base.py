"""What every store does, and which paths exist in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kindling.errors import StoreRefused

# The published tree (design: URLs). What ends with a slash is a folder.
TREE = (
    "boot.ipxe",
    "sites/",
    "nodes/",
    "assets/",
    "dnsmasq/",
    "cloud-init/",
    "talos/",
    "manifests/",
    "rolls/",
)
PUBLIC = ("boot.ipxe", "assets/", "dnsmasq/")  # readable without a token
SHARED = "assets/"  # files here may belong to several stacks
MACHINES = "nodes/"  # files here belong to one stack: a machine has one owner

_LONGEST_PATH = 200  # characters; the metadata's file name is the path, and 255 is the limit there
_SEGMENT = re.compile(r"[A-Za-z0-9_+~@=-][A-Za-z0-9._+~@=-]*\Z")
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,199}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Stat:
    """One published file: ``size`` in bytes, ``sha256`` in hex of what is there now."""

    path: str
    size: int
    sha256: str
    owners: tuple[str, ...] = ()


class Store(Protocol):
    """Where published files live. Every method may raise `StoreError`.

    Owners are the stacks that publish a path. Several may publish the same artifact; it is there
    until the last of them deletes it.
    """

    def put(self, path: str, body: bytes | Path, *, sha256: str, owner: str) -> Stat:
        """Publish ``body`` atomically; the same content again only adds the owner.

        Raises `DigestMismatch` when the bytes are not those of ``sha256``, `StoreFull`, and
        `StoreRefused` for a path outside the tree, or for what `refuse_foreign` refuses.
        """

    def adopt(self, path: str, *, sha256: str, owner: str) -> Stat | None:
        """Add an owner to a file that already has these bytes; None when there is no such file.

        Raises `StoreRefused` where a `put` of them would be refused.
        """

    def stat(self, path: str) -> Stat | None:
        """What is at ``path`` now, also when it was altered behind the store's back; or None."""

    def read(self, path: str) -> bytes | None:
        """The bytes at ``path``, or None. For documents, not for artifacts."""

    def delete(self, path: str, *, owner: str) -> bool:
        """Give up ``path``; True when that removed the file.

        The file stays while other owners publish it. An owner that does not own the file, and a
        file that is not there, are no errors.
        """

    def list(self, prefix: str = "") -> list[Stat]:
        """All files whose path starts with ``prefix``, sorted by path."""


def checked_path(path: str) -> str:
    """``path`` when its spelling is safe; raises `StoreRefused` otherwise.

    Relative, slash-separated, no empty or dot-led segments, only letters, digits and ``._+~@=-``.
    """
    segments = path.split("/")
    if len(path) > _LONGEST_PATH or not all(_SEGMENT.match(segment) for segment in segments):
        raise StoreRefused(
            f"store path {path[:80]!r} is not allowed: use relative paths of letters, digits and"
            f" ._+~@=- whose parts do not start with a dot, at most {_LONGEST_PATH} characters"
        )
    return path


def published_path(path: str) -> str:
    """A checked path inside the known tree; raises `StoreRefused` that names the tree."""
    checked_path(path)
    if not is_known(path):
        raise StoreRefused(
            f"store path {path!r} is not part of the published tree ({', '.join(TREE)})"
        )
    return path


def is_known(path: str) -> bool:
    """Whether a path belongs to the published tree."""
    return _within(path, TREE)


def is_public(path: str) -> bool:
    """Whether machines may read a path without a token."""
    return _within(path, PUBLIC)


def refuse_foreign(
    path: str, *, published: str, others: tuple[str, ...], sha256: str, owner: str
) -> None:
    """Raise `StoreRefused` when ``owner`` may not publish ``sha256`` at ``path``.

    ``published`` is the digest (hex, or empty) that ``others``, the other owners, published there.
    An owner is ``<stack>/<resource>@<place>``. A machine's documents are of one stack; any other
    document may be published by several stacks only with the same bytes, and an artifact even by
    one stack's several resources.
    """
    stack = _stack(owner)
    if path.startswith(SHARED):
        foreign, advice = others, "lock the same artifact in both, or use a mirror path of its own"
    else:
        foreign = tuple(other for other in others if _stack(other) != stack)
        advice = "destroy it there first, or give each stack a boot server of its own"
    differs = published not in ("", sha256)
    if foreign and (differs or path.startswith(MACHINES)):
        raise StoreRefused(
            f"{path} is also published by {', '.join(foreign)} (SHA-256 {published or 'unknown'});"
            f" {owner} may not publish {sha256} there: {advice}"
        )


def _stack(owner: str) -> str:
    return owner.partition("/")[0]


def _within(path: str, tree: tuple[str, ...]) -> bool:
    return any(path.startswith(t) if t.endswith("/") else path == t for t in tree)


def checked_owner(owner: str) -> str:
    """``owner`` when it can be recorded (stack names, URNs); raises `StoreRefused` otherwise."""
    if not _OWNER.match(owner):
        raise StoreRefused(
            f"owner {owner[:80]!r} is not allowed: use the stack's name (letters, digits, ._:/@+-)"
        )
    return owner


def checked_sha256(digest: str) -> str:
    """A SHA-256 in lower-case hex; raises `StoreRefused` otherwise."""
    if not _SHA256.match(digest):
        raise StoreRefused(f"{digest[:80]!r} is not a SHA-256 in lower-case hex (64 characters)")
    return digest
