"""Files as HTTP answers: conditional, in ranges, from memory when small, from the disk when not.

Written against ASGI itself: Starlette's FileResponse alone costs more than all of this.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from starlette.types import Scope, Send

from kindling.bootserver.memory import SmallFiles
from kindling.stores.directory import DirectoryStore
from kindling.stores.http import content_digest

Headers = list[tuple[bytes, bytes]]

_BLOCK = 1024 * 1024  # bytes read and sent at once
_RANGE = re.compile(rb"bytes=(\d*)-(\d*)\Z")
_TYPES = {".ipxe": b"text/plain", ".conf": b"text/plain", ".json": b"application/json"}
_WANTED = (b"if-none-match", b"range", b"if-range")


@dataclass(frozen=True, slots=True)
class _Ready:
    """A file about to be sent: what it is, and the headers that every answer about it has."""

    path: str
    size: int  # bytes
    etag: bytes
    headers: Headers
    body: bytes | None = None  # None: on the disk
    place: tuple[int, int] = (0, 0)  # time (ns) and inode, to notice a change


class FileServer:
    """Answers GET and HEAD for the files of a directory store."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self._root = str(store.root)
        self._small = SmallFiles(store.root)
        self._ready: dict[str, _Ready] = {}

    async def answer(
        self, path: str, scope: Scope, send: Send, extra: Headers | None = None
    ) -> bool:
        """Send the file at a checked store path; False, and nothing sent, when it is not there."""
        ready = self._prepare(path)
        if ready is None:
            return False
        asked = {name: value for name, value in scope["headers"] if name in _WANTED}
        headers = ready.headers + extra if extra else ready.headers
        if asked and _unchanged(asked, ready):
            await _send(send, 304, [h for h in headers if h[0] not in _OF_THE_BODY])
            return True
        span = _span(asked, ready) if asked else None
        if span is None:
            await _send_all(scope, send, ready, headers, f"{self._root}/{path}")
        elif span.start >= ready.size:
            await _send(send, 416, [(b"content-range", b"bytes */%d" % ready.size)])
        else:
            await _send_part(scope, send, ready, headers, span, f"{self._root}/{path}")
        return True

    def _prepare(self, path: str) -> _Ready | None:
        small = self._small.get(path)
        known = self._ready.get(path)
        if small is not None:
            if known is None or known.body is not small.body:
                known = _ready(path, len(small.body), small.sha256, small.body)
                self._keep(path, known)
            return known
        try:
            found = os.stat(f"{self._root}/{path}")  # noqa: PTH116 - on every request
        except (FileNotFoundError, NotADirectoryError):
            self._ready.pop(path, None)
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        place = (found.st_mtime_ns, found.st_ino)
        if known is None or known.place != place or known.size != found.st_size:
            digest = self._store.memo(path, found)
            known = _ready(path, found.st_size, digest, None, place)
            if digest:
                self._keep(path, known)
        return known

    def _keep(self, path: str, ready: _Ready) -> None:
        if len(self._ready) > 4096:  # a bound, not a policy: preparing again is cheap
            self._ready.clear()
        self._ready[path] = ready


_OF_THE_BODY = (b"content-length", b"content-type", b"content-digest")


def _ready(
    path: str,
    size: int,
    digest: str | None,
    body: bytes | None,
    place: tuple[int, int] = (0, 0),
) -> _Ready:
    # A large file put there by hand has no digest yet; its time and size still tell versions apart.
    etag = f'"{digest}"' if digest else f'"{place[0]:x}-{size:x}"'
    headers = [
        (b"content-length", b"%d" % size),
        (b"content-type", _TYPES.get(PurePosixPath(path).suffix, b"application/octet-stream")),
        (b"etag", etag.encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if digest:
        headers.append((b"content-digest", content_digest(digest).encode()))
    return _Ready(path, size, etag.encode(), headers, body, place)


def _unchanged(asked: dict[bytes, bytes], ready: _Ready) -> bool:
    tags = asked.get(b"if-none-match", b"")
    return any(t.strip().removeprefix(b"W/") in (ready.etag, b"*") for t in tags.split(b","))


def _span(asked: dict[bytes, bytes], ready: _Ready) -> range | None:
    """The bytes asked for; None for all of them. Several ranges, and what is no range, mean all."""
    match = _RANGE.match(asked.get(b"range", b"").replace(b" ", b""))
    if match is None or match.groups() == (b"", b""):
        return None
    if asked.get(b"if-range", ready.etag) != ready.etag:
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, ready.size - int(last)) if int(last) else ready.size, ready.size)
    end = min(int(last) + 1, ready.size) if last else ready.size
    if last and int(last) < int(first):
        return None
    return range(int(first), end)


async def _send(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b""})


async def _send_all(scope: Scope, send: Send, ready: _Ready, headers: Headers, file: str) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    if scope["method"] == "HEAD":
        await send(start)
        await send({"type": "http.response.body", "body": b""})
    elif ready.body is not None:
        await send(start)
        await send({"type": "http.response.body", "body": ready.body})
    elif "http.response.pathsend" in (scope.get("extensions") or {}):
        await send(start)
        await send({"type": "http.response.pathsend", "path": file})
    else:
        await _stream(send, start, range(ready.size), file)


async def _send_part(
    scope: Scope, send: Send, ready: _Ready, headers: Headers, span: range, file: str
) -> None:
    kept = [h for h in headers if h[0] not in (b"content-length", b"content-digest")]
    where = b"bytes %d-%d/%d" % (span.start, span.stop - 1, ready.size)
    kept += [(b"content-length", b"%d" % len(span)), (b"content-range", where)]
    start = {"type": "http.response.start", "status": 206, "headers": kept}
    if scope["method"] == "HEAD":
        await _send(send, 206, kept)
    elif ready.body is not None:
        await send(start)
        await send({"type": "http.response.body", "body": ready.body[span.start : span.stop]})
    else:
        await _stream(send, start, span, file)


async def _stream(send: Send, start: dict[str, Any], span: range, path: str) -> None:
    # Opened before the first header: a file deleted meanwhile is an error, not half an answer.
    with Path(path).open("rb", buffering=0) as file:
        await send(start)
        for offset in range(span.start, span.stop, _BLOCK):
            length = min(_BLOCK, span.stop - offset)
            body = await asyncio.to_thread(_read, file, offset, length)
            more = offset + length < span.stop
            await send({"type": "http.response.body", "body": body, "more_body": more})


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    body = os.pread(file.fileno(), length, offset)
    if len(body) != length:
        raise OSError(f"the file became shorter while it was sent, at byte {offset + len(body)}")
    return body
