"""What publishers say of a file: its checksum and its size, mirrors first, then upstream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import requests

from kindling.artifacts.checksums import Checksum, parse_digests, parse_sha256sums
from kindling.artifacts.sources import Source, sources_of
from kindling.artifacts.web import READ_ERRORS, Patience, SourceFailed, Transient, ask, persist
from kindling.artifacts.web import reason_of as _reason_of
from kindling.errors import LockError
from kindling.models.assets import AssetFile, ChecksumFormat

_LISTINGS = ("digests", "sha256sums")
_LARGEST_LIST = 16 * 1024 * 1024  # bytes; a list of checksums that is larger is something else

Parser = Callable[[str, str], Checksum | None]


@dataclass
class Findings:
    """The checksum of a file, or why there is none: one reason per place."""

    checksum: Checksum | None = None
    reasons: list[str] = field(default_factory=list)


def published_checksum(file: AssetFile, mirrors: Sequence[str], patience: Patience) -> Findings:
    """Look beside the file at every source. Nobody having one is an answer, not an error."""
    findings = Findings()
    *copies, upstream = sources_of(file, mirrors)
    # Somebody who keeps a mirror may publish checksums where upstream does not.
    listed = file.checksums if file.checksums in _LISTINGS else None
    places = [(copy, listed or "sha256sums") for copy in copies]
    places += [(upstream, listed)] if listed else []
    for source, form in places:
        try:
            listing, parse = _listing_of(source, form)
            findings.checksum = parse(_text(listing, patience), source.name)
        except (SourceFailed, LockError) as error:
            findings.reasons.append(f"{listing}: {error}")
            continue
        if findings.checksum is not None:
            return findings
        findings.reasons.append(f"{listing}: does not list {source.name}")
    if not listed:
        findings.reasons.append(f"{upstream}: its publisher gives no checksums")
    return findings


def published_size(sources: Sequence[Source], patience: Patience) -> int | None:
    """Size in bytes by the first source that tells one without sending the file."""
    for source in sources:
        try:
            size = _size(source, patience)
        except SourceFailed:
            continue
        if size is not None:
            return size
    return None


def _listing_of(source: Source, form: ChecksumFormat) -> tuple[Source, Parser]:
    if form == "digests":
        return source.beside(f"{source.name}.DIGESTS"), parse_digests
    return source.beside("SHA256SUMS"), parse_sha256sums


def _text(source: Source, patience: Patience) -> str:
    if source.file is not None:
        try:
            return source.file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise SourceFailed(error.strerror or str(error)) from error
    return persist(patience, lambda: _download_text(source.url or "", patience))


def _download_text(url: str, patience: Patience) -> str:
    with requests.Session() as session, closing(ask(session, "GET", url, patience)) as response:
        try:
            body = response.raw.read(_LARGEST_LIST + 1, decode_content=True)
        except READ_ERRORS as error:
            raise Transient(_reason_of(error)) from error
    if len(body) > _LARGEST_LIST:
        raise SourceFailed("is too large for a list of checksums")
    return str(body, encoding="utf-8", errors="replace")


def _size(source: Source, patience: Patience) -> int | None:
    if source.file is not None:
        try:
            return source.file.stat().st_size
        except OSError as error:
            raise SourceFailed(error.strerror or str(error)) from error
    return persist(patience, lambda: _head_size(source.url or "", patience))


def _head_size(url: str, patience: Patience) -> int | None:
    with requests.Session() as session, closing(ask(session, "HEAD", url, patience)) as response:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None
