"""An artifact of a few megabytes, and what its lock entry says."""

from __future__ import annotations

import hashlib

from kindling.models.assets import AssetFile

# Long enough to come in several pieces, short enough to be quick.
BODY = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(100_000))
PATH = "assets/extensions/etcd-3.6.7-arm64.raw"


def pinned(url: str, body: bytes = BODY, path: str = PATH) -> AssetFile:
    """A file that must have the bytes of ``body``."""
    return AssetFile(path=path, url=url, sha256=sha256(body), size=len(body))


def sha256(body: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(body).hexdigest()
