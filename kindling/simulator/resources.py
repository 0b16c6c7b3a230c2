"""Content as Ignition reads it: data: URLs, http(s), gzip, verification."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from kindling.errors import SimulationError
from kindling.simulator.ignition_storage import Resource
from kindling.simulator.patience import Patience
from kindling.simulator.transport import Network

_KEPT = 1024 * 1024  # bytes; of longer contents only the digest is kept
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Content:
    """Verified content after decompression; ``data`` is None when it is longer than was kept."""

    size: int  # bytes
    sha256: str  # hex
    data: bytes | None

    @classmethod
    def of(cls, data: bytes) -> Content:
        """The content of bytes at hand."""
        return cls(len(data), hashlib.sha256(data).hexdigest(), data)


def read(resource: Resource, network: Network, patience: Patience, *, keep: int = _KEPT) -> Content:
    """Fetch, decompress and verify a resource; no source is empty content.

    Raises `SimulationError` for unreadable or mismatching content, `TransferFailed` for a failed
    transfer. A mismatch is not tried again: the bytes came whole.
    """
    return patience.retry(lambda: _consume(resource, _chunks(resource, network), keep))


def decode_data_url(url: str) -> bytes:
    """The bytes of an RFC 2397 URL, base64 or percent-encoded."""
    head, comma, data = url.removeprefix("data:").partition(",")
    if not comma:
        raise SimulationError("data: URL without a comma")
    decoded = unquote_to_bytes(data)
    if not head.endswith(";base64"):
        return decoded
    try:
        return base64.b64decode(decoded, validate=True)
    except binascii.Error as error:
        raise SimulationError(f"data: URL with broken base64: {error}") from error


def is_remote(resource: Resource) -> bool:
    """Whether the content comes over the network."""
    return bool(resource.source) and not str(resource.source).startswith("data:")


def _chunks(resource: Resource, network: Network) -> Iterator[bytes]:
    source = resource.source
    if not source:
        return iter(())
    if source.startswith("data:"):
        return iter((decode_data_url(source),))
    if urlsplit(source).scheme not in ("http", "https"):
        raise SimulationError(f"{source}: machines here fetch data:, http and https only")
    headers = {h.name: h.value for h in resource.http_headers if h.value is not None}
    return network.chunks(source, headers)


def _consume(resource: Resource, chunks: Iterator[bytes], keep: int) -> Content:
    plain = _decompressed(chunks) if resource.compression == "gzip" else chunks
    algorithm, _dash, wanted = (resource.verification.hash or "sha256-").partition("-")
    checked, digest = hashlib.new(algorithm), hashlib.sha256()
    kept, size = bytearray(), 0
    for chunk in plain:
        checked.update(chunk)
        digest.update(chunk)
        size += len(chunk)
        if size <= keep:
            kept += chunk
    if wanted and checked.hexdigest() != wanted:
        raise SimulationError(f"{algorithm} is {checked.hexdigest()}, not {wanted}")
    return Content(size, digest.hexdigest(), bytes(kept) if size <= keep else None)


def _decompressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP)
    try:
        for chunk in chunks:
            yield inflater.decompress(chunk)
        yield inflater.flush()
    except zlib.error as error:
        raise SimulationError(f"not gzip: {error}") from error
    if not inflater.eof:
        raise SimulationError("the gzip content ends too early")
