"""Asking a container registry (OCI distribution specification, 1.1): manifests and blobs.

Everything that comes is compared with its digest. Passwords come from netrc, as for every server.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import requests

from kindling.artifacts.references import Reference
from kindling.artifacts.web import (
    READ_ERRORS,
    Patience,
    SourceFailed,
    Transient,
    ask,
    checked,
    reason_of,
    send,
)
from kindling.errors import DigestMismatch

CHUNK = 1 << 20  # bytes
_LARGEST_MANIFEST = 4 << 20  # bytes; the specification's own limit
INDEXES = frozenset(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
MANIFESTS = frozenset(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_ACCEPT = ", ".join(sorted(INDEXES | MANIFESTS))
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_MISSING = 404
_UNAUTHORIZED = 401


class NoSuchImage(SourceFailed):
    """The registry answered, and has no such image."""


@dataclass(frozen=True)
class Descriptor:
    """A blob or manifest by its digest (``sha256:...``); ``size`` in bytes."""

    digest: str
    size: int
    media_type: str

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """From the JSON of a manifest. Raises `SourceFailed` for what cannot be verified."""
        digest, size = data.get("digest"), data.get("size")
        valid = isinstance(digest, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
        if not valid or not isinstance(size, int) or size < 0:
            raise SourceFailed(f"names something without SHA-256 or size: {digest}")
        return cls(str(digest), size, str(data.get("mediaType", "")))


@dataclass(frozen=True)
class Document:
    """A manifest or an index as it came, verified."""

    body: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """What names it, whatever tag led to it."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @property
    def data(self) -> dict[str, Any]:
        """Its JSON."""
        found = json.loads(self.body)
        if not isinstance(found, dict):
            raise SourceFailed("answered with something that is no manifest")
        return found


class Registry:
    """The registry of one image, asked by one thread. Use as a context manager."""

    def __init__(self, reference: Reference, patience: Patience) -> None:
        self.reference = reference
        self._patience = patience
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.close()

    def manifest(self, wanted: str | None = None) -> Document:
        """A manifest or an index by tag or digest; the reference's own when absent.

        Raises `NoSuchImage`, `Transient`, `SourceFailed` and `DigestMismatch`.
        """
        wanted = wanted or self.reference.wanted
        with closing(self._get(f"manifests/{wanted}", _ACCEPT)) as response:
            body = _read(response, _LARGEST_MANIFEST)
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
            told = response.headers.get("Docker-Content-Digest")
        found = Document(body, kind)
        expected = wanted if wanted.startswith("sha256:") else told
        if expected is not None and expected.startswith("sha256:") and expected != found.digest:
            raise DigestMismatch(f"manifest {wanted} is {found.digest}, expected {expected}")
        if kind not in INDEXES | MANIFESTS:
            raise SourceFailed(f"answered with {kind or 'nothing'}, which is no manifest")
        return found

    def blob(self, wanted: Descriptor) -> Iterator[bytes]:
        """A blob in pieces. Raises at its end when it is not what its digest says."""
        digest, size = hashlib.sha256(), 0
        with closing(self._get(f"blobs/{wanted.digest}", "*/*")) as response:
            while chunk := _next(response):
                digest.update(chunk)
                size += len(chunk)
                if size > wanted.size:
                    raise DigestMismatch(f"{wanted.digest} is larger than {wanted.size} bytes")
                yield chunk
        if size < wanted.size:
            raise Transient(f"the body ended after {size} of {wanted.size} bytes")
        if f"sha256:{digest.hexdigest()}" != wanted.digest:
            raise DigestMismatch(f"sha256 is {digest.hexdigest()}, expected {wanted.digest}")

    def _get(self, what: str, accept: str) -> requests.Response:
        url = f"{_base(self.reference.host)}/v2/{self.reference.repository}/{what}"
        response = self._send(url, accept)
        if response.status_code == _UNAUTHORIZED and self._session.auth is None:
            response.close()
            token = self._new_token(response.headers.get("WWW-Authenticate", ""))
            self._session.auth = _Bearer(token)
            response = self._send(url, accept)
        if response.status_code in {_MISSING, _UNAUTHORIZED}:
            response.close()
            # Docker Hub answers so for what does not exist, too: it tells nobody what is private.
            raise NoSuchImage(f"has no {self.reference} that anybody may pull")
        return checked(response)

    def _send(self, url: str, accept: str) -> requests.Response:
        return send(self._session, "GET", url, self._patience, {"Accept": accept})

    def _new_token(self, challenge: str) -> str:
        """A token for pulling, as the challenge tells where to get one (without it: an error)."""
        kind, _, rest = challenge.partition(" ")
        asked = dict(_CHALLENGE.findall(rest))
        realm = asked.pop("realm", "")
        if kind.lower() != "bearer" or not realm:
            raise NoSuchImage(f"wants a password for {self.reference}; put it into ~/.netrc")
        asked.setdefault("scope", f"repository:{self.reference.repository}:pull")
        query = requests.models.PreparedRequest()
        query.prepare_url(realm, {key: asked[key] for key in ("service", "scope") if key in asked})
        with closing(ask(self._session, "GET", str(query.url), self._patience)) as response:
            found = json.loads(_read(response, _LARGEST_MANIFEST))
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str):
            raise SourceFailed(f"{urlsplit(realm).hostname} gave no token")
        return token


class _Bearer(requests.auth.AuthBase):
    """As the session's own way, and no mere header: netrc would overwrite that."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _base(host: str) -> str:
    """https, except on this machine itself, as Docker and containerd do it."""
    name = host.rpartition(":")[0] if ":" in host else host
    local = name == "localhost" or name.startswith("127.")
    return f"{'http' if local else 'https'}://{host}"


def _read(response: requests.Response, most: int) -> bytes:
    body = b""
    while chunk := _next(response):
        body += chunk
        if len(body) > most:
            raise SourceFailed(f"answered with more than {most} bytes")
    return body


def _next(response: requests.Response) -> bytes:
    try:
        chunk: bytes = response.raw.read1(CHUNK, decode_content=False)
    except READ_ERRORS as error:
        raise Transient(reason_of(error)) from error
    return chunk
