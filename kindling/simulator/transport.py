"""HTTP as a machine speaks it: streamed, from an address of its own, never through a proxy."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from kindling.errors import SimulationError
from kindling.simulator.console import redact

_CHUNK = 256 * 1024  # bytes
_TIMEOUTS = (5.0, 60.0)  # seconds: to connect, and between two bytes
_DOCUMENT_LIMIT = 32 * 1024 * 1024  # bytes: scripts and Ignition, which are kept in memory


class TransferFailed(SimulationError):
    """A transfer ended without its whole body; ``status`` is None when there was no answer."""

    def __init__(self, url: str, reason: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(f"{redact(url)}: {reason}")


@dataclass(frozen=True)
class Fetched:
    """What is kept of a body that was read to its end: ``size`` in bytes and SHA-256 (hex)."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Trust:
    """Which authorities https answers may come from: a CA file and PEM texts, beside the usual."""

    ca_file: Path | None = None
    authorities: tuple[str, ...] = ()

    def adding(self, authorities: Sequence[str]) -> Trust:
        """The same trust and these PEM texts."""
        return Trust(self.ca_file, (*self.authorities, *authorities))

    def context(self) -> ssl.SSLContext:
        """A verifying TLS context. Raises `SimulationError` for what is no certificate."""
        return _context(self)

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        try:
            if self.ca_file is not None:
                context.load_verify_locations(cafile=self.ca_file)
            for authority in self.authorities:
                context.load_verify_locations(cadata=authority)
        except (OSError, ssl.SSLError) as error:
            raise SimulationError(f"certificate authority is unusable: {error}") from error
        return context


@lru_cache(maxsize=64)
def _context(trust: Trust) -> ssl.SSLContext:
    """Reading the system's authorities takes 30 ms, too much for each boot of a fleet."""
    return trust._read()


class _Adapter(HTTPAdapter):
    """Connections from one source address, verified against one TLS context."""

    def __init__(self, context: ssl.SSLContext, source_address: str | None) -> None:
        self._context = context
        self._source = (source_address, 0) if source_address else None
        super().__init__(pool_connections=2, pool_maxsize=2)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Add the address and the context to what every connection is made with."""
        super().init_poolmanager(
            *args, **options, ssl_context=self._context, source_address=self._source
        )


class Network:
    """One machine's network while it is powered: a context manager over its connections."""

    def __init__(self, *, trust: Trust | None = None, source_address: str | None = None) -> None:
        self.trust = trust or Trust()
        self.source_address = source_address
        self._session = requests.Session()
        self._session.trust_env = False  # the host's proxies and CA variables are not the machine's
        self._session.headers.update(
            {"User-Agent": "kindling-simulator (simulated machine)", "Accept-Encoding": "identity"}
        )
        adapter = _Adapter(self.trust.context(), source_address)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def trusting(self, authorities: Sequence[str], source_address: str | None = None) -> Network:
        """Another network that also trusts these PEM texts; the caller closes it."""
        return Network(
            trust=self.trust.adding(authorities),
            source_address=source_address or self.source_address,
        )

    @contextmanager
    def _answer(self, method: str, url: str, **options: Any) -> Iterator[requests.Response]:
        if urlsplit(url).scheme not in ("http", "https"):
            raise SimulationError(f"{redact(url)}: a simulated machine speaks http and https only")
        try:
            with self._session.request(
                method, url, stream=True, timeout=_TIMEOUTS, **options
            ) as response:
                yield response
        except requests.RequestException as error:
            # requests' own texts hold the whole URL with its ticket: only the kind is passed on.
            raise TransferFailed(url, f"no complete answer ({type(error).__name__})") from error

    def chunks(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """The body of a GET, piece by piece. Raises `TransferFailed` unless the answer is 200."""
        with self._answer("GET", url, headers=dict(headers or {})) as response:
            _refuse_unless_ok(url, response)
            yield from response.iter_content(_CHUNK)

    def document(self, url: str) -> bytes:
        """A whole small body (at most 32 MiB)."""
        body = bytearray()
        for chunk in self.chunks(url):
            body += chunk
            if len(body) > _DOCUMENT_LIMIT:
                raise SimulationError(f"{redact(url)}: longer than {_DOCUMENT_LIMIT} bytes")
        return bytes(body)

    def digest(self, url: str) -> Fetched:
        """Read a body of any size to its end and keep its digest only."""
        hasher, size = hashlib.sha256(), 0
        for chunk in self.chunks(url):
            hasher.update(chunk)
            size += len(chunk)
        return Fetched(url, size, hasher.hexdigest())

    def head(self, url: str) -> int | None:
        """Ask for a file without its body: its size in bytes, None when the answer has none."""
        with self._answer("HEAD", url, allow_redirects=True) as response:
            _refuse_unless_ok(url, response)
            length = response.headers.get("Content-Length")
            return int(length) if length is not None else None

    def interrupt(self, url: str) -> int:
        """Begin a GET, drop the connection in the middle; the number of bytes that had come."""
        with self._answer("GET", url) as response:
            _refuse_unless_ok(url, response)
            half = max(1, int(response.headers.get("Content-Length", "2")) // 2)
            received = len(next(response.iter_content(half), b""))
        self._session.close()
        return received

    def post(self, url: str, body: Mapping[str, object], token: str) -> tuple[int, dict[str, Any]]:
        """POST JSON with a bearer token: the answer's status and its JSON object ({} if none)."""
        headers = {"Authorization": f"Bearer {token}"}
        with self._answer("POST", url, json=dict(body), headers=headers) as response:
            try:
                answer = response.json()
            except requests.exceptions.JSONDecodeError:
                answer = None
            return response.status_code, answer if isinstance(answer, dict) else {}


def _refuse_unless_ok(url: str, response: requests.Response) -> None:
    if response.status_code != requests.codes.ok:
        reason = f"HTTP {response.status_code} {response.reason}"
        raise TransferFailed(url, reason, response.status_code)
