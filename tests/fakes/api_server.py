"""Something that answers `/readyz` over TLS as an API server does, for who asks only that."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class ApiServer:
    """Answers with ``statuses`` one after the other, and then with ``status``; 0 is silence."""

    url: str
    certificate: Path
    status: int = 200
    statuses: list[int] = field(default_factory=list)
    asked: int = 0

    @property
    def endpoint(self) -> str:
        """host:port."""
        return self.url.removeprefix("https://")

    def next_status(self) -> int:
        """The status of the next answer."""
        self.asked += 1
        return self.statuses.pop(0) if self.statuses else self.status


@contextmanager
def api_server(folder: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[ApiServer]:
    """Serve until the end of the block, on a free port unless one is given."""
    certificate, key = folder / "api.crt", folder / "api.key"
    _make_certificate(certificate, key)
    made = ApiServer("", certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = made.next_status()
            if status and self.path == "/readyz":
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((address, port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made.url = f"https://{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _make_certificate(certificate: Path, key: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=test",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
