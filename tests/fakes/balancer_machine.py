"""A load balancer: the rendered files below a folder, in front of API servers on addresses of the
loopback network. Ports are free ones, since a test is not alone on its host."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kindling.models.plan import ImagePlan
from kindling.rendering.kubernetes.endpoint import endpoint_live, endpoint_part
from kindling.rendering.kubernetes.scripts import common_part
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.cluster_server import TOKEN
from tests.fakes.credentials import make_credentials
from tests.fakes.server import free_port

IMAGE = ImagePlan(
    name="docker.io/library/haproxy:3.2.22", path="assets/images/haproxy-3.2.22-x86-64.tar"
)
_SEARCHED = "/usr/sbin:/sbin"


class BalancerMachine:
    """``planes`` are the control planes' addresses; ``port`` is where the endpoint answers."""

    def __init__(self, folder: Path, planes: int = 2, server_url: str = "http://127.0.0.1:1"):
        self.folder = folder
        self.port, self.health = free_port(), free_port()
        network = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}"
        self.planes = [f"{network}.{number}" for number in range(1, planes + 1)]
        plan = cluster_plans(
            *(machine("control-plane", n + 1) for n in range(planes)),
            machine("load-balancer"),
            kubernetes={"endpoint": {"port": self.port}},
        )["lb1"]
        assert plan.kubernetes
        cluster = plan.kubernetes.model_copy(update={"haproxy": IMAGE})
        plan = plan.model_copy(update={"kubernetes": cluster})
        secrets = NodeSecrets(TOKEN, make_credentials().of(plan))
        for file in (common_part(plan) + endpoint_part(plan, secrets)).files:
            self.write(file.path, file.content, file.mode)
        self.write("/etc/kindling/status.token", TOKEN, 0o600)
        node = (
            f"KINDLING_HOST=lb1\nKINDLING_GENERATION=1\nKINDLING_STATUS_URL={server_url}/status\n"
        )
        self.write("/etc/kindling/node.env", node)
        self._more("endpoint.env", KINDLING_HEALTH_PORT=str(self.health))
        self.archive = folder / f"opt/kindling/images/{Path(IMAGE.path).name}"
        self._text = endpoint_live(plan)["haproxy.cfg"]
        self.configure()

    @property
    def configuration(self) -> Path:
        """haproxy.cfg as the live document brought it."""
        return self.folder / "var/lib/kindling/live/haproxy.cfg"

    def configure(self, planes: int | None = None) -> None:
        """A live document with the first so many control planes, all of them when None."""
        text = self._text.replace("127.0.0.1:9445", f"127.0.0.1:{self.health}")
        kept = self.planes[:planes]
        for number, address in enumerate(self.planes):
            line = f"    server cp{number + 1}.example.com 192.0.2.{11 + number}:6443\n"
            assert line in text
            there = line.replace(f"192.0.2.{11 + number}", address) if address in kept else ""
            text = text.replace(line, there)
        if os.geteuid() != 0:  # only root can become somebody else
            text = text.replace("    uid 99\n    gid 99\n", "")
        new = self.write("/var/lib/kindling/live/new", text)
        new.rename(self.configuration)

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file of the machine's."""
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def share(self, address: str) -> None:
        """Have a virtual address."""
        self._more("endpoint.env", KINDLING_VIRTUAL_ADDRESS=f"{address}/24")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of the machine's programs to its end."""
        return subprocess.run(
            self._here(command),
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )

    @contextmanager
    def running(self, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """One of the machine's programs, in the background; SIGTERM in the end."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self._here(command),
                env=self.environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    @contextmanager
    def haproxy(self) -> Iterator[subprocess.Popen[bytes]]:
        """HAProxy as the container runs it, without the container."""
        program = shutil.which("haproxy", path=f"{_SEARCHED}:{os.environ['PATH']}")
        assert program, "haproxy is missing; install haproxy"
        with self.running(program, "-W", "-db", "-f", str(self.configuration)) as process:
            yield process

    @property
    def environment(self) -> dict[str, str]:
        """What programs find in their environment."""
        path = f"{self.folder}/bin:{os.environ['PATH']}:{_SEARCHED}"
        return {"PATH": path, "KINDLING_ROOT": str(self.folder), "KINDLING_WATCH_PAUSE": "0.3"}

    @property
    def log(self) -> str:
        """What background programs printed."""
        return (self.folder / "log").read_text()

    def _here(self, command: tuple[str, ...]) -> list[str]:
        name, *arguments = command
        own = self.folder / "opt/kindling" / name
        return [str(own) if own.exists() else name, *arguments]

    def _more(self, name: str, **settings: str) -> None:
        path = self.folder / "etc/kindling" / name
        lines = [f"{key}={value}\n" for key, value in settings.items()]
        path.write_text(path.read_text() + "".join(lines))
