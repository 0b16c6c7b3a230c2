"""Machines that share a virtual address: network namespaces on a bridge, as root, with the rendered
files at their real places (each has its own view of /opt, /run and /etc/keepalived), the real
keepalived, and something that answers `/readyz` as an API server or HAProxy does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kindling.models.credentials import Credentials
from kindling.models.plan import NodePlan
from kindling.rendering.kubernetes.endpoint import endpoint_live, endpoint_part
from kindling.rendering.kubernetes.scripts import common_part
from kindling.rendering.secrets import NodeSecrets

_API = """
import http.server, pathlib, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(pathlib.Path(sys.argv[3]).read_text())
        self.send_response(status if self.path == "/readyz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
# What only this machine sees: `ip netns exec` gives it mounts of its own.
_VIEW = """
set -e
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /run
mkdir /opt/kindling /run/kindling
mount --bind "$KINDLING_ROOT/opt/kindling" /opt/kindling
mount --bind "$KINDLING_ROOT/run/kindling" /run/kindling
mount --bind "$KINDLING_ROOT/etc/keepalived" /etc/keepalived
exec "$@"
"""


class Carrier:
    """One machine. ``answers`` is the HTTP status of its API."""

    def __init__(
        self, folder: Path, namespace: str, plan: NodePlan, credentials: Credentials, pem: Path
    ) -> None:
        self.folder = folder
        self.plan = plan
        self._namespace = namespace
        self._processes: list[subprocess.Popen[bytes]] = []
        secrets = NodeSecrets("token", credentials.of(plan))
        self.part = common_part(plan) + endpoint_part(plan, secrets)
        for file in self.part.files:
            self.write(file.path, file.content, file.mode)
        self.write("/etc/kindling/node.env", f"KINDLING_HOST={plan.node.hostname}\n")
        (folder / "run/kindling").mkdir(parents=True)
        self._status = folder / "status"
        self.answers(200)
        self._start(["python3", "-c", _API, str(pem), "6443", str(self._status)])

    def answers(self, status: int) -> None:
        """What the API answers from now on."""
        fresh = self._status.with_suffix(".new")
        fresh.write_text(str(status))
        fresh.rename(self._status)

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file of the machine's."""
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run something on the machine."""
        return subprocess.run(
            self._there(command),
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )

    def take(self, text: str) -> subprocess.CompletedProcess[str]:
        """What `live` does with a new keepalived.conf before it takes it."""
        new = self.write("/run/kindling/new.conf", text)
        return self.run("/opt/kindling/live.d/keepalived.conf", "check", str(new))

    def start_keepalived(self) -> None:
        """What keepalived.service does."""
        text = endpoint_live(self.plan)["keepalived.conf"]
        configuration = self.write("/var/lib/kindling/live/keepalived.conf", text)
        prepared = self.run("/opt/kindling/endpoint-interface")
        assert prepared.returncode == 0, prepared.stdout
        options = ["--dont-fork", "--log-console", "--use-file", str(configuration)]
        self._start(["keepalived", *options])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End everything that runs on the machine."""
        for process in self._processes:
            os.killpg(process.pid, how)
            process.wait(20)
        self._processes.clear()

    def addresses(self) -> str:
        """Its IPv4 addresses, as ip(8) prints them."""
        return self.run("ip", "-oneline", "-4", "address", "show").stdout

    @property
    def log(self) -> str:
        """What its programs printed."""
        return (self.folder / "log").read_text()

    def _start(self, command: Sequence[str]) -> None:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self._there(command),
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)

    def _there(self, command: Sequence[str]) -> list[str]:
        view = ["bash", "-c", _VIEW, "view"]
        return ["ip", "netns", "exec", self._namespace, *view, *command]

    def _environment(self) -> dict[str, str]:
        path = f"/usr/sbin:/sbin:{os.environ['PATH']}"
        return {"PATH": path, "KINDLING_ROOT": str(self.folder)}


@contextmanager
def carriers(
    folder: Path, plans: Sequence[NodePlan], credentials: Credentials
) -> Iterator[list[Carrier]]:
    """The machines of plans that share an address, each with its own address on one segment."""
    pem = _certificate(folder)
    mark = f"kc{random.getrandbits(24):06x}"
    spaces = [f"{mark}-{number}" for number in range(len(plans))]
    made: list[Carrier] = []
    try:
        _segment(mark, spaces, plans)
        for space, plan in zip(spaces, plans, strict=True):
            where = folder / plan.node.short_name
            where.mkdir()
            made.append(Carrier(where, space, plan, credentials, pem))
        yield made
    finally:
        for each in made:
            each.stop(signal.SIGKILL)
        for space in (*spaces, mark):
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


def _segment(mark: str, spaces: Sequence[str], plans: Sequence[NodePlan]) -> None:
    _ip("netns", "add", mark)
    _ip("-n", mark, "link", "add", "br0", "type", "bridge")
    _ip("-n", mark, "link", "set", "br0", "up")
    for number, (space, plan) in enumerate(zip(spaces, plans, strict=True)):
        _ip("netns", "add", space)
        _ip("-n", space, "link", "set", "lo", "up")
        cable = ("link", "add", "eth0", "type", "veth", "peer", "name", f"port{number}")
        _ip("-n", space, *cable, "netns", mark)
        _ip("-n", mark, "link", "set", f"port{number}", "master", "br0", "up")
        _ip("-n", space, "address", "add", f"{plan.node.reached_at}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _certificate(folder: Path) -> Path:
    pem = folder / "api.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    options = ["-nodes", "-days", "2", "-subj", "/CN=api", "-keyout", str(pem), "-out"]
    subprocess.run([*command, *options, f"{pem}.crt"], check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return pem
