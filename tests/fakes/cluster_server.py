"""A boot server as machines of a cluster see it: status, claim and live document."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "status-token-of-this-machine"

Answer = tuple[int, bytes, dict[str, str]]


@dataclass
class ClusterServer:
    """``silent`` answers nothing at all; ``claims`` are answers one after the other, the last of
    them again and again; ``refuses`` are statuses for the next reports."""

    url: str = ""
    silent: bool = False
    reboot: bool = False
    claims: list[dict[str, Any] | int] = field(default_factory=list)
    refuses: list[int] = field(default_factory=list)
    live: dict[str, Any] | None = None
    digest: str | None = None  # of the live document; the right one when None
    reports: list[dict[str, Any]] = field(default_factory=list)
    claimed: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    @property
    def stages(self) -> list[str]:
        """States as they were reported, repetitions left out."""
        states = [report["state"] for report in self.reports]
        return [
            state for state, last in zip(states, [None, *states], strict=False) if state != last
        ]

    @property
    def messages(self) -> list[str]:
        """What the reports said."""
        return [report["message"] for report in self.reports]

    def publish(self, files: dict[str, str], *, host: str, armed: bool = False) -> None:
        """Have a live document."""
        digests = {name: sha256(text.encode()).hexdigest() for name, text in files.items()}
        self.live = {
            "schemaVersion": 1,
            "host": host,
            "cluster": "test",
            "generation": 1,
            "anyArmed": armed,
            "files": files,
            "digests": digests,
        }

    def take(self, path: str, body: dict[str, Any]) -> Answer:
        """The answer to a POST."""
        if "/claim/" in path:
            return self._claim(body)
        self.reports.append(body)
        if self.refuses and (status := self.refuses.pop(0)) != 200:
            return status, b"{}", {}
        said = {"state": body["state"], "reboot": self.reboot}
        return 200, json.dumps(said).encode(), {}

    def _claim(self, body: dict[str, Any]) -> Answer:
        self.claimed.append(body)
        if body["done"]:
            return 200, b'{"granted": true, "holder": "me", "reason": ""}', {}
        answer = self.claims.pop(0) if len(self.claims) > 1 else self.claims[0]
        if isinstance(answer, int):
            return answer, b"{}", {}
        return 200, json.dumps(answer).encode(), {}

    def give(self) -> Answer:
        """The live document."""
        if self.live is None:
            return 404, b"{}", {}
        body = json.dumps(self.live).encode()
        digest = self.digest or base64.b64encode(sha256(body).digest()).decode()
        return 200, body, {"Content-Digest": f"sha-256=:{digest}:"}


@contextmanager
def cluster_server() -> Iterator[ClusterServer]:
    """Serve on a free port until the end of the block."""
    served = ClusterServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(served.give)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(lambda: served.take(self.path, body))

        def _answer(self, made: Any) -> None:
            if served.silent:
                return
            served.tokens.add(self.headers["Authorization"])
            status, body, headers = made()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
