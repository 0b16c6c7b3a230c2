"""Where a file may come from: mirrors first, then upstream; a URL, a local file or an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

from kindling.errors import ArtifactError
from kindling.models.assets import AssetFile

PUBLISHED_BELOW = "assets/"  # mirrors hold what is published below it


@dataclass(frozen=True)
class Image:
    """An image of a registry and one of its platforms (linux/arm64)."""

    reference: str
    platform: str


@dataclass(frozen=True)
class Source:
    """One place: exactly one of ``url`` (http, https), ``file`` and ``image`` is set."""

    url: str | None = None
    file: Path | None = None
    image: Image | None = None

    def __str__(self) -> str:
        """For messages: without credentials that stand in the URL."""
        if self.image is not None:
            return f"{self.image.reference} for {self.image.platform}"
        return str(self.file) if self.file is not None else shown_url(self.url or "")

    def beside(self, name: str) -> Source:
        """Another file in the same directory."""
        if self.file is not None:
            return Source(file=self.file.parent / name)
        parts = urlsplit(self.url or "")
        directory = parts.path.rpartition("/")[0]
        return Source(url=urlunsplit(parts._replace(path=f"{directory}/{quote(name)}", query="")))

    @property
    def name(self) -> str:
        """The file's own name there, which checksum files speak of."""
        if self.file is not None:
            return self.file.name
        return unquote(urlsplit(self.url or "").path.rpartition("/")[2])


def sources_of(file: AssetFile, mirrors: Iterable[str]) -> tuple[Source, ...]:
    """Every place of a file in the order in which they are tried. Raises `ArtifactError`."""
    relative = file.path.removeprefix(PUBLISHED_BELOW)
    copies = (_join(mirror, relative) for mirror in mirrors)
    return tuple(dict.fromkeys((*copies, parse_source(file.url))))


def parse_source(location: str) -> Source:
    """A URL (http, https, file), a local path relative to the working directory, or an image.

    Images are written ``oci://docker.io/library/haproxy:3.2.22?platform=linux/arm64``. Raises
    `ArtifactError` for any other scheme, for a file on another host and for credentials.
    """
    parts = urlsplit(location)
    if parts.password is not None:
        raise ArtifactError(
            f"{shown_url(location)}: a password does not belong into a stack file; put it into "
            "~/.netrc, which is read for every host"
        )
    if parts.scheme in {"http", "https"}:
        return Source(url=location)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"}:
            raise ArtifactError(f"{location}: a file URL names no host; write file:///path")
        return Source(file=Path(url2pathname(parts.path)))
    if parts.scheme == "oci":
        platform = parse_qs(parts.query).get("platform", [""])[0]
        return Source(image=Image(f"{parts.netloc}{parts.path}", platform))
    if "://" in location:
        raise ArtifactError(f"{shown_url(location)}: use http, https, file or a path")
    return Source(file=Path(location).expanduser())


def shown_url(url: str) -> str:
    """A URL for messages and logs: user, password and query are left out."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="..." if parts.query else ""))


def _join(mirror: str, relative: str) -> Source:
    source = parse_source(mirror)
    if source.file is not None:
        return Source(file=source.file / relative)
    return Source(url=f"{(source.url or '').rstrip('/')}/{quote(relative)}")
