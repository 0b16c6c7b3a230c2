"""Finding out what one file must be: by what its publisher says, else by fetching it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from kindling.artifacts.cache import Cache
from kindling.artifacts.checksums import Checksum
from kindling.artifacts.download import obtain
from kindling.artifacts.published import Findings, published_checksum, published_size
from kindling.artifacts.sources import Source, parse_source, sources_of
from kindling.artifacts.transfer import Manner, Wanted
from kindling.errors import LockError
from kindling.models.assets import AssetFile

_LARGEST_SIGNATURE = 65_536  # bytes
_ARMOURED = b"-----BEGIN PGP SIGNATURE-----"
_SIGNATURE_TAG = 2  # of an OpenPGP packet (RFC 9580, 5.2)


class Pin(BaseModel):
    """What one file must be, and the upstream URL that this was found out for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    size: int = Field(ge=0)  # bytes
    sha256: str = Field(pattern=r"[0-9a-f]{64}")


def pin(file: AssetFile, mirrors: Sequence[str], trust: bool, cache: Cache, manner: Manner) -> Pin:
    """The pin of one file. Raises `LockError` without a checksum unless ``trust`` is set.

    A published SHA-256 is taken as it is. With nothing but a SHA-512, the file is fetched and
    verified against that, and the SHA-256 of the verified bytes is pinned. A detached signature
    has no checksum of its own and needs none: what it signs is verified with it where it is used.
    Nor does the user's own file need one, nor an image, whose registry addresses it by digests.
    """
    if file.checksums == "signature":
        return _pin_signature(file, sources_of(file, mirrors), cache, manner)
    given = Checksum("sha256", file.sha256) if file.sha256 else None
    at_home = (parse_source(file.url),)
    if file.checksums == "own":
        return _fetched(file, given, at_home, cache, manner)[0]
    findings = Findings(given) if given else published_checksum(file, mirrors, manner.patience)
    checksum = findings.checksum
    if checksum is None and file.checksums == "registry":
        return _fetched(file, None, at_home, cache, manner)[0]
    if checksum is None and not trust:
        raise LockError(_no_checksum(file, findings))
    if checksum is not None and checksum.algorithm == "sha256":
        size = published_size(sources_of(file, mirrors), manner.patience)
        if size is not None:
            return Pin(url=file.url, size=size, sha256=checksum.value)
    manner.report.note(f"{file.path}: {_why(checksum, findings)}")
    return _fetched(file, checksum, sources_of(file, mirrors), cache, manner)[0]


def _fetched(
    file: AssetFile,
    checksum: Checksum | None,
    sources: Sequence[Source],
    cache: Cache,
    manner: Manner,
) -> tuple[Pin, Path]:
    wanted = Wanted(file.path, None, checksum)
    got = obtain(wanted, sources, cache, manner)
    return Pin(url=file.url, size=got.size, sha256=got.sha256), got.path


def _pin_signature(file: AssetFile, sources: Sequence[Source], cache: Cache, manner: Manner) -> Pin:
    """A web page in place of a signature (a portal, a mirror's error page) must not be pinned."""
    found, path = _fetched(file, None, sources, cache, manner)
    with path.open("rb") as stream:
        head = stream.read(len(_ARMOURED))
    if found.size > _LARGEST_SIGNATURE or not _looks_like_signature(head):
        cache.discard(found.sha256)
        raise LockError(f"{file.path}: what was fetched is not an OpenPGP signature")
    return found


def _looks_like_signature(head: bytes) -> bool:
    if head == _ARMOURED:
        return True
    first = head[0] if head else 0
    new_format = bool(first & 0x40)
    tag = first & 0x3F if new_format else (first >> 2) & 0x0F
    return bool(first & 0x80) and tag == _SIGNATURE_TAG


def _why(checksum: Checksum | None, findings: Findings) -> str:
    if checksum is None:
        looked = "; ".join(findings.reasons)
        return f"no published checksum was found ({looked}); trusting what arrives"
    if checksum.algorithm == "sha512":
        return "upstream publishes SHA-512 only; fetching it once to verify and pin its SHA-256"
    return "no source tells its size; fetching it once"


def _no_checksum(file: AssetFile, findings: Findings) -> str:
    reasons = "".join(f"\n  - {reason}" for reason in findings.reasons)
    return (
        f"{file.path}: no published checksum was found:{reasons}\n  If you trust its source, "
        "run `python -m kindling lock --trust-download` to pin what is downloaded"
    )
