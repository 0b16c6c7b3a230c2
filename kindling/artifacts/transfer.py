"""One source of a file into its part: resumed where that is possible, verified at the end."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import requests

from kindling.artifacts.archives import Platform, archive_chunks, plan_archive
from kindling.artifacts.checksums import Algorithm, Checksum
from kindling.artifacts.parts import CHUNK, Origin, Part
from kindling.artifacts.progress import Report, Silent, megabytes
from kindling.artifacts.references import parse_reference
from kindling.artifacts.registry import Registry
from kindling.artifacts.sources import Image, Source
from kindling.artifacts.web import (
    READ_ERRORS,
    Patience,
    SourceFailed,
    Transient,
    ask,
    persist,
    reason_of,
)
from kindling.errors import ArtifactError, DigestMismatch

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Wanted:
    """What is fetched: its store path, and what is known of its bytes."""

    path: str
    size: int | None = None
    checksum: Checksum | None = None

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """SHA-256 always, because that is what gets pinned; what upstream publishes, too."""
        extra = {self.checksum.algorithm} if self.checksum else set()
        return ("sha256", *sorted(extra - {"sha256"}))


@dataclass(frozen=True)
class Manner:
    """How things are fetched. ``stop`` ends every transfer soon after it is set."""

    report: Report = field(default_factory=Silent)
    patience: Patience = field(default_factory=Patience)
    stop: threading.Event = field(default_factory=threading.Event)


class Stopped(ArtifactError):
    """The run was interrupted; what has arrived stays for the next one."""


class Transfer:
    """Fills one part from one source after the other, until one gives the right bytes."""

    def __init__(self, wanted: Wanted, part: Part, manner: Manner) -> None:
        self.wanted = wanted
        self.part = part
        self.manner = manner
        self._pieced = part.position > 0  # bytes of more than one answer

    def run(self, source: Source) -> dict[Algorithm, str]:
        """Get everything from ``source``; returns the digests (hex) of what arrived.

        Raises `SourceFailed` and `DigestMismatch`, after either of which the next source may be
        tried, and `NoSpace`.
        """
        while True:
            self._fill(source)
            digests = self.part.digests()
            expected = self.wanted.checksum
            if expected is None or digests[expected.algorithm] == expected.value:
                return digests
            pieced = self._pieced
            self._restart()
            if not pieced:
                raise DigestMismatch(
                    f"{expected.algorithm} is {digests[expected.algorithm]}, "
                    f"expected {expected.value}"
                )
            # Pieces of different things make a third: only an answer in one piece is judged.
            self.manner.report.note(f"{self.wanted.path}: the resumed file is wrong; anew")

    def _restart(self) -> None:
        self.part.restart()
        self._pieced = False

    def _fill(self, source: Source) -> None:
        if self.wanted.size is not None and self.part.position > self.wanted.size:
            self._restart()
        if self.wanted.size is not None and self.part.position == self.wanted.size > 0:
            return  # complete since a run that was killed before it could say so
        if source.file is not None:
            self._copy_file(source.file)
            return
        if (image := source.image) is not None:
            persist(self.manner.patience, lambda: self._pull(image))
            return
        with requests.Session() as session:
            persist(self.manner.patience, lambda: self._attempt(session, source))

    def _pull(self, image: Image) -> None:
        """Make the archive of an image. It cannot be resumed: its pieces are verified in order."""
        self._restart()
        try:
            reference = parse_reference(image.reference)
        except ValueError as error:
            raise SourceFailed(str(error)) from error
        try:
            with Registry(reference, self.manner.patience) as registry:
                archive = plan_archive(registry, Platform.parse(image.platform))
                self._compare_size(archive.size)
                self.manner.report.started(self.wanted.path, archive.size, str(reference))
                for chunk in archive_chunks(registry, archive):
                    self._take(chunk)
        except (SourceFailed, DigestMismatch):
            self._restart()
            raise

    def _copy_file(self, file: Path) -> None:
        if self.wanted.checksum is None:
            self._restart()
        try:
            with file.open("rb") as stream:
                size = file.stat().st_size
                self._compare_size(size)
                self.manner.report.started(self.wanted.path, size, str(file))
                stream.seek(self.part.position)
                while chunk := stream.read(CHUNK):
                    self._take(chunk)
        except OSError as error:
            raise SourceFailed(error.strerror or str(error)) from error

    def _attempt(self, session: requests.Session, source: Source) -> None:
        url = source.url or ""
        headers = self._range_headers(url)
        response = ask(session, "GET", url, self.manner.patience, **headers)
        with closing(response):
            total = self._begin_body(response)
            self.part.origin = Origin(_identity(url), response.headers.get("ETag"))
            self.manner.report.started(self.wanted.path, total, str(source))
            self._read_body(response, total)

    def _range_headers(self, url: str) -> dict[str, str]:
        origin = self.part.origin
        same = origin if origin is not None and origin.source == _identity(url) else None
        # A weak ETag does not promise equal bytes (RFC 9110, 13.1.5).
        strong = same.etag if same and same.etag and not same.etag.startswith("W/") else None
        if self.part.position and not strong and self.wanted.checksum is None:
            self._restart()  # nothing would tell whether the pieces belong together
        if not self.part.position:
            return {}
        headers = {"Range": f"bytes={self.part.position}-"}
        return headers | ({"If_Range": strong} if strong else {})

    def _begin_body(self, response: requests.Response) -> int | None:
        """Make the part ready for this answer; returns the size (bytes) of the whole file."""
        if response.status_code == requests.codes.partial_content:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != self.part.position:
                self._restart()
                raise Transient("the server answered with another range than it was asked for")
            self._pieced = True
            total = None if found[2] == "*" else int(found[2])
        elif response.status_code == requests.codes.requested_range_not_satisfiable:
            self._restart()
            raise Transient("the server has less than an earlier run got")
        else:
            if self.part.position:
                self._restart()  # the server knows no ranges, or the file changed there
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
        if total is not None:
            self._compare_size(total)
        return total

    def _compare_size(self, size: int) -> None:
        if self.wanted.size is not None and size != self.wanted.size:
            raise SourceFailed(f"size is {size} bytes, expected {self.wanted.size}")

    def _read_body(self, response: requests.Response, total: int | None) -> None:
        received = 0
        try:
            # read1: what has arrived is kept even if the connection breaks in the next moment.
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                received += len(chunk)
                self._take(chunk)
        except READ_ERRORS as error:
            raise Transient(self._broken(reason_of(error), total), received=received) from error
        complete = self.wanted.size if total is None else total
        if complete is not None and self.part.position < complete:
            raise Transient(self._broken("the body ended", total), received=received)

    def _broken(self, reason: str, total: int | None) -> str:
        return f"{reason} after {megabytes(self.part.position)} of {megabytes(total)}"

    def _take(self, chunk: bytes) -> None:
        if self.manner.stop.is_set():
            raise Stopped(f"{self.wanted.path}: interrupted; the next run goes on from here")
        self.part.append(chunk)
        if self.wanted.size is not None and self.part.position > self.wanted.size:
            self._restart()
            raise SourceFailed(f"size is more than the expected {self.wanted.size} bytes")
        self.manner.report.at(self.wanted.path, self.part.position)


def _identity(url: str) -> str:
    """Tells URLs apart without writing them down: their queries may be somebody's credentials."""
    return hashlib.sha256(url.encode()).hexdigest()
