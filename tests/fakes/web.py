"""Web servers that misbehave as real ones do: context managers that listen on 127.0.0.1."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Seen:
    """One request that the server got."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """One answer that is not simply the file.

    ``truncate_at`` and ``stall_at`` are numbers of body bytes: after them the connection breaks,
    or nothing more comes until `Web.release`. ``chunked`` sends no Content-Length. A ``status``
    sends no file at all.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    truncate_at: int | None = None
    stall_at: int | None = None
    ignore_range: bool = False
    chunked: bool = False


class Web:
    """Serves ``files`` (path -> body), with ranges and ETags, unless ``script`` says otherwise.

    ``script[path]`` holds answers that are used up one per GET; ``always`` replaces the normal
    answer to everything.
    """

    def __init__(
        self, files: Mapping[str, bytes] | None = None, *, always: Answer | None = None
    ) -> None:
        self.files: dict[str, bytes] = dict(files or {})
        self.script: dict[str, list[Answer]] = defaultdict(list)
        self.etags: dict[str, str] = {}
        self.always = always
        self.seen: list[Seen] = []
        self.posted: list[tuple[str, bytes]] = []  # path and body; each is answered with {}
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Address without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def release(self) -> None:
        """Let stalled answers go on."""
        self._released.set()

    def requests(self, method: str = "GET", path: str | None = None) -> list[Seen]:
        """The requests of one method so far, of one path if given."""
        with self._lock:
            return [r for r in self.seen if r.method == method and path in {None, r.path}]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web._note(self)
                _send(self, web._answer(self.path), web, body=True)

            def do_HEAD(self) -> None:
                web._note(self)
                _send(self, web.always or Answer(), web, body=False)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                web.posted.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:
                """Tests look at `Web.seen` instead."""

        return Handler

    def _note(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.seen.append(Seen(request.command, request.path, headers))

    def _answer(self, path: str) -> Answer:
        with self._lock:
            scripted = self.script[path]
            return scripted.pop(0) if scripted else self.always or Answer()


class AlwaysFails(Web):
    """Answers everything with 500 Internal Server Error."""

    def __init__(self) -> None:
        super().__init__(always=Answer(status=500))


def _send(request: BaseHTTPRequestHandler, answer: Answer, web: Web, *, body: bool) -> None:
    content = web.files.get(request.path)
    status = answer.status or (404 if content is None else None)
    if status is not None or content is None:
        request.send_response(status or 404)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    etag = web.etags.get(request.path)
    start = 0 if answer.ignore_range else _start(request, etag)
    if start >= len(content) > 0:
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(content)}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if etag:
        request.send_header("ETag", etag)
    if not answer.chunked:
        request.send_header("Content-Length", str(len(content) - start))
    for name, value in answer.headers.items():
        request.send_header(name, value)
    request.end_headers()
    if body:
        _send_body(request, content[start:], answer, web._released.wait)
    request.close_connection = True


def _start(request: BaseHTTPRequestHandler, etag: str | None) -> int:
    condition = request.headers.get("If-Range")
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if found is None or (condition is not None and condition != etag):
        return 0
    return int(found[1])


def _send_body(
    request: BaseHTTPRequestHandler,
    content: bytes,
    answer: Answer,
    wait: Callable[[float], bool],
) -> None:
    try:
        if answer.stall_at is not None:
            request.wfile.write(content[: answer.stall_at])
            request.wfile.flush()
            wait(60)
            content = content[answer.stall_at :]
        request.wfile.write(content[: answer.truncate_at])
    except OSError:
        request.close_connection = True  # the client is gone
