"""Machines with etcd on one host: the rendered files below a folder each, on loopback addresses of
their own, with the real programs. systemd is played by a thread per machine, which runs the
commands of the rendered etcd.service in their order; the boot server by a few lines that keep the
claim."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kindling.models.credentials import Credentials
from kindling.models.plan import NodePlan
from kindling.pki.sample import sample_credentials
from kindling.rendering.kubernetes.credentials import credential_files
from kindling.rendering.kubernetes.etcd import etcd_live, etcd_part
from kindling.rendering.kubernetes.scripts import common_part
from kindling.rendering.parts import SystemPart
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text
from tests.fakes.cluster_plans import cluster_plans, machine

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "token-of-this-machine"
_PATIENCE = 90.0  # seconds; the test machine may be busy
_BETWEEN_STARTS = 0.3  # seconds, where the unit says 10


def until(true: Callable[[], object], what: str, seconds: float = _PATIENCE) -> None:
    """Wait until something holds; fail, naming it, when it does not in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"in {seconds} s not: {what}"
        time.sleep(0.1)


class BootServer:
    """Keeps the claim for etcd, and what machines report."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.done = False
        self.silent = False
        self.reports: list[tuple[str, str, str]] = []  # host, state, message
        self.granted: list[str] = []
        self.machines: dict[str, EtcdMachine] = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()

    def states(self, host: str) -> list[str]:
        """What a machine reported, in order."""
        return [state for name, state, _ in self.reports if name == host]

    def _answer(self, kind: str, host: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if kind == "status":
                self.reports.append((host, body["state"], body["message"]))
                return {"state": body["state"], "reboot": False}
            return self._claim(host, done=body["done"])

    def _claim(self, host: str, *, done: bool) -> dict[str, Any]:
        if self.holder is None:
            self.holder = host
        mine = self.holder == host
        granted = mine and (done or not self.done)
        self.done = self.done or (mine and done)
        if granted and not done:
            self.granted.append(host)
        return {"granted": granted, "holder": self.holder, "reason": "as the claim says"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                _, kind, host = self.path.split("/")
                if kind == "systemctl":
                    answer = server.machines[host].systemctl(text.split())
                    self._send(200, answer.encode())
                elif server.silent or self.headers["Authorization"] != f"Bearer {TOKEN}":
                    self._send(503 if server.silent else 401, b"{}")
                else:
                    said = server._answer(kind, host, json.loads(text))
                    self._send(200, json.dumps(said).encode())

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(BrokenPipeError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class EtcdMachine:
    """One machine; ``folder`` is its root. `boot` and `power_off` are what happens to it."""

    def __init__(
        self,
        folder: Path,
        plan: NodePlan,
        credentials: Credentials,
        boot_server: BootServer,
        kept: Path,
    ) -> None:
        self.plan = plan
        self.name = plan.node.hostname
        self.address = str(plan.node.reached_at)
        self.folder = folder
        self.server = boot_server
        self.restarts = 0
        self.extra: dict[str, str] = {}  # of the environment
        self.stops_before = ""  # the last word of a command that systemd does not come to
        self.stopped = threading.Event()  # it would have come to it now
        self._kept = kept
        self._secrets = NodeSecrets(TOKEN, credentials.of(plan))
        self._service: _Service | None = None
        boot_server.machines[self.name] = self
        self.install()

    @property
    def data(self) -> Path:
        """etcd's data."""
        return self.folder / "var/lib/etcd"

    @property
    def pki(self) -> Path:
        """Where certificates are."""
        return self.folder / "etc/kubernetes/pki"

    @property
    def local(self) -> str:
        """The client URL of the machine's own member."""
        return f"https://{self.address}:2379"

    def install(self) -> None:
        """Lay down what is rendered, as a new system has it: nothing else is there."""
        self.power_off()
        subprocess.run(["rm", "-rf", str(self.folder)], check=True)
        part = common_part(self.plan) + etcd_part(self.plan, self._secrets)
        part += SystemPart(credential_files(self._secrets))
        for file in part.files:
            self.write(file.path, self._here(file.path, file.content), file.mode)
        self.write("/etc/kindling/status.token", TOKEN, 0o600)
        node = render_text("flatcar/install.env", self.name, settings=self._node())
        self.write("/etc/kindling/node.env", node)
        self.unit = next((u.contents for u in part.units if u.name == "etcd.service"), None)
        for name, text in etcd_live(self.plan).items():
            self.write(f"/var/lib/kindling/live/{name}", text)
        self._programs()
        if self._kept.is_dir():
            shutil.copytree(self._kept, self.pki, dirs_exist_ok=True)

    def keep_certificates(self) -> None:
        """Lay them beside the machine: making them at each installation takes seconds."""
        if (self.pki / "etcd/peer.crt").exists() and not self._kept.exists():
            shutil.copytree(self.pki, self._kept)

    def members_of_stack(self, *machines: EtcdMachine) -> None:
        """Another list of etcd machines comes with the live document."""
        text = "".join(f"{each.name} {each.address}\n" for each in machines)
        self.write("/var/lib/kindling/live/etcd-members", text)

    def boot(self) -> None:
        """Power on: what systemd does at every boot; nothing when it is on already."""
        if self._service is not None:
            return
        for path in self.folder.glob("run/kindling/*"):
            subprocess.run(["rm", "-rf", str(path)], check=True)
        self.systemctl(["start", "--no-block", "etcd.service"])

    def power_off(self) -> None:
        """Everything ends in the middle of what it does."""
        self.stopped.clear()
        if self._service is not None:
            self._service.end(signal.SIGKILL)
            self._service = None

    @property
    def settled(self) -> bool:
        """Whether etcd.service is active: the member votes."""
        return self._service is not None and self._service.active.is_set()

    def systemctl(self, arguments: list[str]) -> str:
        """What the machine's systemctl does; its name is the first word."""
        verb = arguments[0]
        if arguments[-1] != "etcd.service":
            return ""
        if verb == "is-active":
            return "active" if self.settled else "activating" if self._service else "inactive"
        if verb in {"stop", "restart"} and self._service is not None:
            self._service.end(signal.SIGTERM)
            self._service = None
        if verb in {"start", "restart"}:
            self.restarts += verb == "restart"
            service = self._service = self._service or _Service(self)
            if "--no-block" not in arguments:
                until(lambda: self.settled or self._service is not service, "etcd.service is up")
        return ""

    def run(
        self, program: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the machine's programs to its end."""
        return subprocess.run(
            [f"{self.folder}/opt/kindling/{program}", *arguments],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_PATIENCE * 2,
        )

    def etcdctl(self, *arguments: str) -> str:
        """The answer of the machine's member."""
        done = self._etcdctl(arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def tries(self, *arguments: str) -> bool:
        """Whether the machine's member does what is asked."""
        return self._etcdctl(arguments).returncode == 0

    def _etcdctl(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["etcdctl", "--endpoints", self.local, *self._client(), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def members(self) -> dict[str, str]:
        """Voting members as this machine's knows them: name and id."""
        rows = [line.split(", ") for line in self.etcdctl("member", "list").splitlines()]
        return {row[2]: row[0] for row in rows if row[2] and row[5] == "false"}

    @property
    def environment(self) -> dict[str, str]:
        """What programs of the machine find in their environment."""
        tools = f"{self.folder}/bin:{ROOT}/.tools/bin:{os.environ['PATH']}"
        return {
            "PATH": tools,
            "HOME": str(self.folder),
            "KINDLING_ROOT": str(self.folder),
            "KINDLING_ETCD_LOOPBACK": self.address,
            **self.extra,
        }

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of the machine's, by its path there."""
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def _client(self) -> list[str]:
        folder = self.pki / "etcd"
        pair = ("--cert", f"{folder}/healthcheck-client.crt")
        key = ("--key", f"{folder}/healthcheck-client.key")
        return ["--cacert", f"{folder}/ca.crt", *pair, *key]

    def _here(self, path: str, text: str) -> str:
        """etcd's settings for a folder, and for one host that has only one 127.0.0.1."""
        if path == "/etc/kindling/etcd.env":
            text = text.replace("https://127.0.0.1:2379,", "").replace("127.0.0.1", self.address)
            text = re.sub(r"/(var/lib/etcd|etc/kubernetes)", rf"{self.folder}/\1", text)
        if path == "/etc/kindling/cluster.env":
            text += f"KINDLING_CLAIM_URL={self.server.url}/claim/{self.name}\n"
        return text

    def _node(self) -> dict[str, str]:
        return {
            "KINDLING_HOST": self.name,
            "KINDLING_STACK": self.plan.stack,
            "KINDLING_GENERATION": str(self.plan.node.generation),
            "KINDLING_STATUS_URL": f"{self.server.url}/status/{self.name}",
        }

    def _programs(self) -> None:
        call = (
            "#!/bin/bash\n"
            f"exec curl --silent --noproxy '*' --data-binary \"$*\" "
            f"{self.server.url}/systemctl/{self.name}\n"
        )
        self.write("/bin/systemctl", call, 0o755)


class _Service:
    """etcd.service: its commands one after the other, and again whenever one ends."""

    def __init__(self, machine: EtcdMachine) -> None:
        self.active = threading.Event()
        self._machine = machine
        self._over = threading.Event()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._log = machine.folder / "etcd.log"
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    @property
    def log(self) -> str:
        """The end of what the commands printed."""
        return self._log.read_text()[-8000:]

    def end(self, how: signal.Signals) -> None:
        """Stop every command, by SIGTERM or as a power cut does."""
        self._over.set()
        with self._lock:
            for process in self._running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, how)
        self._thread.join(30)
        assert not self._thread.is_alive(), self.log

    def _keep(self) -> None:
        while not self._over.is_set():
            self._once()
            self.active.clear()
            self._over.wait(_BETWEEN_STARTS)

    def _once(self) -> None:
        if not self._do("ExecStartPre"):
            return
        with _notifications(self._machine.folder) as (path, ready):
            etcd = self._start(self._commands("ExecStart")[0], NOTIFY_SOCKET=path)
            if etcd is None:
                return
            while etcd.poll() is None and not self._over.is_set():
                if not self.active.is_set() and ready():
                    if not self._do("ExecStartPost", beside=etcd):
                        break
                    self.active.set()
                time.sleep(0.05)
        if etcd.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(etcd.pid, signal.SIGTERM)
        self._wait(etcd)

    def _commands(self, kind: str) -> list[list[str]]:
        unit = self._machine.unit
        assert unit, "there is no etcd.service here"
        lines = [line.partition("=") for line in unit.splitlines()]
        commands = [shlex.split(text) for name, _, text in lines if name == kind]
        for command in commands:
            command[0] = command[0].replace("/opt/", f"{self._machine.folder}/opt/")
            command[0] = command[0].replace("/usr/bin/", "")
        return commands

    def _do(self, kind: str, beside: subprocess.Popen[bytes] | None = None) -> bool:
        for command in self._commands(kind):
            process = self._start(command)
            if process is None:
                return False
            while process.poll() is None:
                if beside is not None and beside.poll() is not None:
                    os.killpg(process.pid, signal.SIGTERM)
                time.sleep(0.02)
            if self._wait(process) != 0:
                return False
        return not self._over.is_set()

    def _start(self, command: list[str], **environment: str) -> subprocess.Popen[bytes] | None:
        if command[-1] == self._machine.stops_before:
            self._machine.stopped.set()
            self._over.wait()
        with self._lock, self._log.open("ab") as log:
            if self._over.is_set():
                return None
            process = subprocess.Popen(
                command,
                env=self._machine.environment | self._files() | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._running.add(process)
            return process

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        status = process.wait()
        with self._lock:
            self._running.discard(process)
        return status

    def _files(self) -> dict[str, str]:
        """The unit's EnvironmentFile lines, read before each command, as systemd does."""
        values: dict[str, str] = {}
        for path in re.findall(r"^EnvironmentFile=-?(.*)$", self._machine.unit or "", re.MULTILINE):
            with suppress(FileNotFoundError):
                text = (self._machine.folder / path.lstrip("/")).read_text()
                for word in shlex.split(text, comments=True):
                    name, _, value = word.partition("=")
                    values[name] = value
        return values


@contextmanager
def _notifications(folder: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """A socket that services say READY=1 to; its name is abstract, for paths may be too long."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        name = f"kindling-test-{os.getpid()}-{random.getrandbits(64):x}"
        heard.bind(f"\0{name}")
        heard.setblocking(False)

        def ready() -> bool:
            try:
                return b"READY=1" in heard.recv(4096)
            except BlockingIOError:
                return False

        yield f"@{name}", ready


class Ground:
    """What sites have in common: authorities, addresses, and the certificates made so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.credentials = sample_credentials()
        # Of the loopback network, and so that no other test's machines are there.
        self._network = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}"

    def address(self, number: int) -> str:
        """One of the addresses."""
        return f"{self._network}.{number}"


class Site:
    """Machines of a cluster and their boot server."""

    def __init__(self, folder: Path, ground: Ground, role: str, beside: int) -> None:
        self.boot_server = BootServer()
        self.machines: list[EtcdMachine] = []
        self._folder = folder
        self._ground = ground
        self._role = role
        self._beside = beside

    def make(self, count: int, **keys: Any) -> list[EtcdMachine]:
        """That many machines, switched off; ``keys`` are the stack's."""
        machines = [
            machine(
                self._role, number, network={}, address=self._ground.address(number + self._beside)
            )
            for number in range(1, count + 1)
        ]
        if self._role == "etcd":
            machines.append(machine("control-plane"))
        endpoint = {"endpoint": {"host": "api.example.com"}}
        kubernetes = endpoint | keys.pop("kubernetes", {})
        plans = cluster_plans(*machines, kubernetes=kubernetes, **keys)
        self.machines += [
            EtcdMachine(
                self._folder / name,
                plan,
                self._ground.credentials,
                self.boot_server,
                self._ground.folder / f"{self._role}-{self._beside}-{name}",
            )
            for name, plan in plans.items()
            if plan.runs_etcd
        ]
        return self.machines

    def reset(self) -> None:
        """As if nothing had been said so far; the claim stays as it is."""
        self.boot_server.silent = False
        self.boot_server.granted.clear()
        self.boot_server.reports.clear()
        for each in self.machines:
            each.stops_before = ""
            each.members_of_stack(*self.machines)

    def close(self) -> None:
        """Switch everything off."""
        for each in self.machines:
            each.power_off()
            each.keep_certificates()
        self.boot_server.close()


@contextmanager
def site(
    folder: Path, ground: Ground, role: str = "control-plane", *, beside: int = 0
) -> Iterator[Site]:
    """A site that is switched off in the end; ``beside`` so many other machines on the ground."""
    made = Site(folder, ground, role, beside)
    try:
        yield made
    finally:
        made.close()


def provide(*tools: str) -> None:
    """Build the tools that are missing."""
    missing = [name for name in tools if not (ROOT / ".tools/bin" / name).exists()]
    if missing:
        subprocess.run([sys.executable, str(ROOT / "tools/install.py"), *missing], check=True)
