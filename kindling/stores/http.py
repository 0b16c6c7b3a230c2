"""A store that is a boot server, spoken to over ``store/`` with the operator's token."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from kindling.errors import DigestMismatch, StoreError, StoreFull, StoreRefused, StoreUnreachable
from kindling.stores.base import Stat, checked_owner, checked_sha256, published_path

CONNECT = 5.0  # seconds for one connection
ANSWER = 60.0  # seconds without a byte from the server
FLUSH = 600.0  # seconds for the answer to an upload: the server flushes GBs to its disk first
PATIENCE = 30.0  # seconds after which no further attempt is made

_BLOCK = 1024 * 1024  # bytes per write to the socket
_PASSING = (429, 502, 503, 504)


class HttpStore:
    """The published tree of a boot server at ``url`` (its root, without ``/store``)."""

    def __init__(self, url: str, token: str | None, *, patience: float = PATIENCE) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise StoreError(f"store URL {url!r} is not an http:// or https:// URL")
        self._url = url.rstrip("/")
        self._patience = patience
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _LargeBlocks())

    def put(self, path: str, body: bytes | Path, *, sha256: str, owner: str) -> Stat:
        """See `Store.put`; what the server already has is not sent again."""
        known = self.adopt(path, sha256=sha256, owner=owner)
        if known is not None:
            return known
        headers = {"Kindling-Owner": owner, "Content-Digest": content_digest(sha256)}
        answer = self._ask("PUT", path, headers, body=body, wait=FLUSH)
        return _stat(self._judged(answer, path).json())

    def adopt(self, path: str, *, sha256: str, owner: str) -> Stat | None:
        """See `Store.adopt`."""
        headers = {
            "Kindling-Owner": checked_owner(owner),
            "If-Match": f'"{checked_sha256(sha256)}"',
        }
        known = self.stat(path)
        if known is None or known.sha256 != sha256:
            return None
        if owner in known.owners:
            return known
        answer = self._ask("POST", path, headers)
        if answer.status_code == 412:  # replaced since we asked
            return None
        return _stat(self._judged(answer, path).json())

    def stat(self, path: str) -> Stat | None:
        """See `Store.stat`."""
        answer = self._ask("HEAD", path)
        if answer.status_code == 404:
            return None
        headers = self._judged(answer, path).headers
        owners = tuple(o for o in headers.get("Kindling-Owners", "").split(", ") if o)
        return Stat(path, int(headers["Content-Length"]), headers["ETag"].strip('"'), owners)

    def read(self, path: str) -> bytes | None:
        """See `Store.read`."""
        answer = self._ask("GET", path)
        return None if answer.status_code == 404 else self._judged(answer, path).content

    def delete(self, path: str, *, owner: str) -> bool:
        """See `Store.delete`."""
        answer = self._ask("DELETE", path, {"Kindling-Owner": checked_owner(owner)})
        return bool(self._judged(answer, path).json()["removed"])

    def list(self, prefix: str = "") -> list[Stat]:
        """See `Store.list`."""
        answer = self._send("GET", f"{self._url}/store/?prefix={quote(prefix, safe='')}", {})
        return [_stat(item) for item in self._judged(answer, prefix).json()]

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | Path | None = None,
        wait: float = ANSWER,
    ) -> requests.Response:
        url = f"{self._url}/store/{published_path(path)}"
        return self._send(method, url, headers or {}, body=body, wait=wait)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: bytes | Path | None = None,
        wait: float = ANSWER,
    ) -> requests.Response:
        attempts = Retrying(
            retry=retry_if_exception_type(_Passing),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.2, max=4),
        )
        try:
            return attempts(self._once, method, url, headers, body, wait)
        except RetryError as error:
            reason = error.last_attempt.exception()
            raise StoreUnreachable(
                f"the store at {self._url} did not answer ({reason}); is the boot server running?"
            ) from reason

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Path | None,
        wait: float,
    ) -> requests.Response:
        with _opened(body) as data:
            try:
                answer = self._session.request(
                    method,
                    url,
                    headers=dict(headers),
                    data=data,
                    timeout=(CONNECT, wait),
                    allow_redirects=False,
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                raise _Passing(_reason(error)) from error
            except requests.RequestException as error:
                raise StoreError(f"the store at {self._url}: {error}") from error
        if answer.status_code in _PASSING:
            raise _Passing(f"HTTP {answer.status_code}: {_sentence(answer)}")
        return answer

    def _judged(self, answer: requests.Response, path: str) -> requests.Response:
        status = answer.status_code
        if status in (200, 201):
            return answer
        said = f"the store at {self._url} refused {path or 'the list'}: {_sentence(answer)}"
        if status in (401, 403):
            raise StoreRefused(
                f"{said} (HTTP {status}); kindling:storeToken must be the token that the boot"
                " server was started with"
            )
        if status == 507:
            raise StoreFull(said)
        if status == 422 and answer.headers.get("Kindling-Problem") == "digest":
            raise DigestMismatch(said)
        if status in (400, 409, 411, 413, 422):
            raise StoreRefused(said)
        raise StoreError(f"{said} (HTTP {status}); is {self._url} a Kindling boot server?")


def content_digest(sha256: str) -> str:
    """The value of a ``Content-Digest`` field (RFC 9530) from a SHA-256 in hex."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


class _Passing(Exception):
    """A failure that may be gone at the next attempt."""


class _Bearer(requests.auth.AuthBase):
    """The token on every request. As ``auth``, so that a ~/.netrc cannot take its place."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _LargeBlocks(HTTPAdapter):
    """Writes uploads in large blocks: the 16 kB of urllib3 cost more than the hashing."""

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, blocksize=_BLOCK, **pool_kwargs)


@contextmanager
def _opened(body: bytes | Path | None) -> Iterator[Any]:
    if isinstance(body, Path):
        with body.open("rb") as file:
            yield file
    else:
        yield body


def _stat(data: dict[str, Any]) -> Stat:
    return Stat(data["path"], data["size"], data["sha256"], tuple(data["owners"]))


def _sentence(answer: requests.Response) -> str:
    """What the server said, or what is known when a HEAD answer has no body."""
    try:
        return cast(str, answer.json()["error"])
    except (requests.JSONDecodeError, KeyError, TypeError):
        return answer.reason or "no reason given"


def _reason(error: requests.RequestException) -> str:
    """The innermost cause: requests and urllib3 wrap a refused connection several times."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(cause).__name__
