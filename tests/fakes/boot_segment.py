"""A boot server played in a test: the real scripts, and Ignition documents made by hand.

It keeps the contract that machines see and no more. ``answers`` lets a test order the HTTP status
of the next reports, ``files`` lets it alter or remove what is served.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
import shlex
import ssl
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from kindling.templating import render

VERSION = "4230.2.1"
IMAGE = b"image " * 50_000
EXTENSION = b"extension " * 200_000  # longer than what a simulated system keeps in memory


def data_url(body: bytes) -> str:
    return f"data:;base64,{base64.b64encode(body).decode()}"


def file(path: str, body: str, mode: int = 0o644) -> dict[str, Any]:
    return {"path": path, "mode": mode, "contents": {"source": data_url(body.encode())}}


def environment(values: dict[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def unit(name: str, program: str) -> dict[str, Any]:
    text = f"[Service]\nExecStart={program}\n[Install]\nWantedBy=multi-user.target\n"
    return {"name": name, "enabled": True, "contents": text}


def config(**sections: Any) -> dict[str, Any]:
    return {"ignition": {"version": "3.4.0"}, **sections}


@dataclass
class PlayedNode:
    """One node of the played server."""

    mac: str
    host: str = "cp1.example.net"
    arch: str = "x86-64"
    generation: int = 1
    overwrite: bool = False
    oem_arguments: str = "ip=10.0.0.2::10.0.0.1:255.255.255.0:cp1:eth0:none nameserver=10.0.0.1"
    arguments: tuple[str, ...] = ("flatcar.first_boot=1", "console=ttyS0")
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    installed: int = 0
    held: str = ""
    extra_files: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.mac.replace(":", "-")

    def node_ignition(self, base: str) -> bytes:
        settings = self._settings(base) | {"KINDLING_FIRST_BOOT_ARGUMENTS": self.oem_arguments}
        extension = f"/opt/extensions/kubernetes/kubernetes-1.34.1-{self.arch}.raw"
        digest = hashlib.sha256(EXTENSION).hexdigest()
        remote = {
            "path": extension,
            "contents": {
                "source": f"{base}/assets/extensions/kubernetes-1.34.1-{self.arch}.raw",
                "verification": {"hash": f"sha256-{digest}"},
            },
        }
        files = [
            remote,
            file("/etc/kindling/node.env", environment(settings)),
            file("/etc/kindling/status.token", self.token, 0o600),
            file("/opt/kindling/report", "#!/bin/bash\n", 0o755),
            *self.extra_files,
        ]
        links = [{"path": "/etc/extensions/kubernetes.raw", "target": extension}]
        units = [unit("kindling-report.service", "/opt/kindling/report")]
        storage = {"files": files, "links": links}
        return json.dumps(config(storage=storage, systemd={"units": units})).encode()

    def installer_ignition(self, base: str) -> bytes:
        node = self.node_ignition(base)
        settings = self._settings(base) | {
            "KINDLING_DIGEST": hashlib.sha256(node).hexdigest(),
            "KINDLING_ARCH": self.arch,
            "KINDLING_DISK": "/dev/disk/by-id/virtio-1",
            "KINDLING_VERSION": VERSION,
            "KINDLING_ASSETS_URL": f"{base}/assets/flatcar/{self.arch}",
            "KINDLING_OVERWRITE": "true" if self.overwrite else "false",
            "KINDLING_OEM_ARGUMENTS": self.oem_arguments,
        }
        packed = file("/opt/kindling/node.ign", "", 0o600)
        packed["contents"] = {"source": data_url(gzip.compress(node)), "compression": "gzip"}
        files = [
            packed,
            file("/opt/kindling/install.env", environment(settings), 0o600),
            file("/opt/kindling/status.token", self.token, 0o600),
            file("/opt/kindling/install", "#!/bin/bash\n", 0o755),
            file("/opt/kindling/pre-install", "#!/bin/bash\nset -eu\necho before\n", 0o755),
            file("/opt/kindling/post-install", "#!/bin/bash\nset -eu\necho after\n", 0o755),
        ]
        units = [unit("kindling-install.service", "/opt/kindling/install")]
        return json.dumps(config(storage={"files": files}, systemd={"units": units})).encode()

    def _settings(self, base: str) -> dict[str, str]:
        return {
            "KINDLING_HOST": self.host,
            "KINDLING_STACK": "demo",
            "KINDLING_GENERATION": str(self.generation),
            "KINDLING_STATUS_URL": f"{base}/status/{self.name}",
        }


class BootSegment:
    """The played server: a context manager over its socket and thread."""

    def __init__(self, *nodes: PlayedNode, tls: ssl.SSLContext | None = None) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.requests: list[tuple[str, str, str]] = []  # method, path with query, client address
        self.reports: list[dict[str, Any]] = []
        self.answers: dict[str, list[int]] = {}  # state -> HTTP statuses of the next reports
        self.files: dict[str, bytes] = {}
        self.ignitions: dict[str, bytes] = {}  # by node name, instead of the right ones
        self.reboot_once = False
        self.reboot_at = "booted"  # the state whose report is answered with it
        self.truncated: set[str] = set()  # files whose last bytes never come
        self._tickets: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        for node in nodes:
            self._publish(node)
        self.files["boot.ipxe"] = render("ipxe/boot.ipxe", base_url=self.url).encode()

    def __enter__(self) -> Self:
        serve = partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def states(self) -> list[str]:
        """The states that machines reported, in order."""
        return [report["state"] for report in self.reports]

    def asked(self, fragment: str, method: str = "GET") -> list[str]:
        """The requests whose path holds a fragment."""
        return [path for how, path, _ in self.requests if how == method and fragment in path]

    def _publish(self, node: PlayedNode) -> None:
        flatcar = f"assets/flatcar/{node.arch}/{VERSION}"
        self.files |= {
            f"{flatcar}/flatcar_production_pxe.vmlinuz": b"kernel" * 1000,
            f"{flatcar}/flatcar_production_pxe_image.cpio.gz": b"initrd" * 1000,
            f"{flatcar}/flatcar_production_image.bin.bz2": IMAGE,
            f"{flatcar}/flatcar_production_image.bin.bz2.sig": b"signature",
            f"assets/extensions/kubernetes-1.34.1-{node.arch}.raw": EXTENSION,
        }

    def _script(self, name: str, query: dict[str, str], address: str) -> str:
        node = self.nodes.get(name)
        if node is None:
            return render("ipxe/stop.ipxe", reason="this machine is unknown")
        if node.held:
            return render("ipxe/stop.ipxe", reason=node.held)
        if query.get("arch") != {"x86-64": "x86_64"}.get(node.arch, node.arch):
            return render("ipxe/stop.ipxe", reason=f"{node.host} is {node.arch}")
        if node.installed >= node.generation:
            return render("ipxe/disk.ipxe", hostname=node.host, reason="it is installed")
        ticket = secrets.token_urlsafe(12)
        self._tickets[ticket] = address
        flatcar = f"assets/flatcar/{node.arch}/{VERSION}"
        return render(
            "ipxe/install.ipxe",
            hostname=node.host,
            generation=node.generation,
            base_url=self.url,
            kernel=f"{flatcar}/flatcar_production_pxe.vmlinuz",
            initrds=[f"{flatcar}/flatcar_production_pxe_image.cpio.gz"],
            arguments=node.arguments,
            ignition_url=f"{self.url}/ignition/{name}?token={ticket}",
        )

    def _answer(self, path: str, query: dict[str, str], address: str) -> tuple[int, bytes]:
        area, _slash, name = path.partition("/")
        if area == "boot" and name:
            return 200, self._script(name, query, address).encode()
        if area == "ignition":
            node, owner = self.nodes[name], self._tickets.get(query.get("token", ""))
            if owner != address:
                node.held = f"fetched by {address}" if owner else node.held
                return 403, b"{}"
            return 200, self.ignitions.get(name) or node.installer_ignition(self.url)
        return (200, self.files[path]) if path in self.files else (404, b"not here")

    def _status(self, name: str, token: str, report: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        node, state = self.nodes[name], report["state"]
        if token != f"Bearer {node.token}":
            return 403, {"error": "the token is not this node's"}
        self.reports.append(report)
        if self.answers.get(state):
            return self.answers[state].pop(0), {"error": "as the test ordered"}
        if state in ("installed", "booted"):
            node.installed = max(node.installed, report["generation"])
        reboot = self.reboot_once and state == self.reboot_at
        self.reboot_once = self.reboot_once and not reboot
        return 200, {"state": state, "reboot": reboot}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        segment = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # head and body in one packet, else each answer waits for an ACK

            def do_GET(self) -> None:
                segment.requests.append((self.command, self.path, self.client_address[0]))
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                self._send(*segment._answer(parts.path[1:], query, self.client_address[0]))

            do_HEAD = do_GET

            def do_POST(self) -> None:
                segment.requests.append((self.command, self.path, self.client_address[0]))
                report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                token = self.headers.get("Authorization", "")
                status, body = segment._status(self.path.rsplit("/", 1)[-1], token, report)
                self._send(status, json.dumps(body).encode())

            def _send(self, status: int, body: bytes) -> None:
                try:
                    self.send_response(status)
                    cut = self.path[1:] in segment.truncated
                    self.send_header("Content-Length", str(len(body) + (10 if cut else 0)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(body)
                    self.close_connection = self.close_connection or cut
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # a test dropped the transfer

            def log_message(self, *_: object) -> None:
                """Tests read `requests`."""

        return Handler
