"""A machine of a site: installed from Ignition, switched on and off, and asked from outside."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kindling.errors import CommandError
from kindling.process import run
from tests.cluster.harness import workarounds
from tests.cluster.harness.commands import judged, wait_until
from tests.cluster.harness.container import REBOOT, Container
from tests.cluster.harness.network import Card, Network
from tests.cluster.harness.provisioning import provision
from tests.cluster.harness.trees import Tree, copy_files


@dataclass(frozen=True)
class Installation:
    """What an installer would put on the disk.

    ``ignition`` is the system's document, or the URL of it; ``oem`` holds files of the OEM
    partition by name; ``containers`` is a folder that /var/lib/containerd begins with.
    """

    ignition: bytes | str
    oem: Mapping[str, str] = field(default_factory=dict)
    containers: Path | None = None


class Machine:
    """One machine. Made by `Site.machine`."""

    def __init__(self, name: str, card: Card, tree: Tree, network: Network, logs: Path) -> None:
        self.name = name
        self.card = card
        self.tree = tree
        self.boots = 0
        self.on_reboot: Callable[[Machine], None] = lambda machine: None
        """Called when the machine restarts itself, before it is on again; may reinstall it."""
        self._network = network
        self._logs = logs
        self._container: Container | None = None
        self._lock = threading.RLock()
        self._installed = 0

    @property
    def console(self) -> Path:
        """What it printed on its console, over all boots."""
        return self._logs / f"{self.name}.console"

    @property
    def running(self) -> bool:
        """Whether it is on."""
        return self._container is not None and self._container.running

    def install(self, installation: Installation) -> None:
        """Give the machine a new disk with what Ignition writes to it. It must be off."""
        if self.running:
            raise CommandError(f"{self.name} is on; stop or kill it before it is installed")
        self._keep_journal()
        self.tree.make()
        self._installed += 1
        namespace = self._network.attach(self.name, self.card)
        log = self._logs / f"{self.name}.ignition-{self._installed}"
        with self._network.addressed(self.name):
            provision(self.tree.root, installation.ignition, namespace, log)
        workarounds.rewrite_networks(self.tree.root, self.card.mac)
        for name, text in installation.oem.items():
            (self.tree.root / "oem" / name).write_text(text)
        if installation.containers:
            copy_files(installation.containers, self.tree.containers)

    def start(self) -> None:
        """Switch the machine on; returns when its systemd answers, long before it is done."""
        with self._lock:
            if self.running:
                raise CommandError(f"{self.name} is on already")
            self._boot()

    def stop(self, timeout: float = 60.0) -> bool:
        """Switch the machine off in order; tell whether it did so in time. Else it is killed."""
        with self._lock:
            clean = self._container is None or self._container.power_off(timeout)
            self.kill()
        return clean

    def kill(self) -> None:
        """Cut the power: everything ends at once, and what was written stays."""
        with self._lock:
            if self._container:
                self._container.kill()
            self._container = None
            self._network.detach(self.name)

    def remove(self) -> None:
        """Cut the power and throw the disk away; the logs stay."""
        self.kill()
        self._keep_journal()
        self.tree.remove()

    def ask(
        self, *argv: str, stdin: bytes = b"", timeout: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command inside, as root; whatever its exit code. Raises `CommandError` when off."""
        container = self._container
        if container is None or not container.running:
            raise CommandError(f"{self.name} is off")
        environment = {"HOME": "/root", "PATH": "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        return run(container.enter(*argv), stdin=stdin, timeout=timeout, environment=environment)

    def run(self, *argv: str, stdin: bytes = b"", timeout: float = 60.0) -> str:
        """Run a command inside that must succeed; return what it printed."""
        return judged([f"{self.name}:", *argv], self.ask(*argv, stdin=stdin, timeout=timeout))

    def succeeds(self, *argv: str) -> bool:
        """Whether a command inside succeeds; no while the machine is off."""
        try:
            return self.ask(*argv).returncode == 0
        except CommandError:
            return False

    def wait_for(self, *argv: str, timeout: float = 60.0) -> float:
        """Wait until a command inside succeeds; return the seconds. A failure tells the state."""
        try:
            return wait_until(
                f"{self.name}: {' '.join(argv)}", lambda: self.succeeds(*argv), timeout
            )
        except CommandError as error:
            raise CommandError(f"{error}\n{self.state()}") from error

    def wait_for_unit(self, unit: str, timeout: float = 60.0) -> float:
        """Wait until a unit is active; return the seconds."""
        return self.wait_for("systemctl", "is-active", "--quiet", unit, timeout=timeout)

    def failed_units(self) -> list[str]:
        """Units that failed."""
        listed = self.run("systemctl", "list-units", "--failed", "--plain", "--no-legend")
        return [line.split()[0] for line in listed.splitlines()]

    def journal(self, unit: str | None = None, lines: int | None = None) -> str:
        """What the machine logged, over all boots since it was installed; also when it is off."""
        wanted = [f"--unit={unit}"] if unit else []
        wanted += [f"--lines={lines}"] if lines else []
        folder = self.tree.root / "var/log/journal"
        argv = ["journalctl", f"--directory={folder}", "--no-pager", "--output=short-precise"]
        return run([*argv, *wanted]).stdout.decode(errors="replace")

    def state(self) -> str:
        """What explains a failure: failed units, waiting jobs, the end of the journal."""
        parts = [f"{self.name} is {'on' if self.running else 'off'}, boots: {self.boots}"]
        if self.running:
            for argv in (["--failed"], ["list-jobs"]):
                parts.append(self.ask("systemctl", "--no-pager", *argv).stdout.decode())
        return "\n".join([*parts, self.journal(lines=40)])

    def _boot(self) -> None:
        binds = [f"{self.tree.containers}:/var/lib/containerd"]
        namespace, root = self._network.attach(self.name, self.card), self.tree.root
        container = Container.start(self.name, root, namespace, binds, self.console)
        self._container = container
        self.boots += 1
        threading.Thread(target=self._follow, args=(container,), daemon=True).start()

    def _follow(self, container: Container) -> None:
        """Start the machine again when it restarts itself."""
        if container.process.wait() != REBOOT:
            return
        with self._lock:
            if self._container is not container:
                return  # it was killed meanwhile
            self.kill()
            self.on_reboot(self)
            self._boot()

    def _keep_journal(self) -> None:
        if (self.tree.root / "var/log/journal").is_dir():
            kept = self._logs / f"{self.name}.journal-{self._installed}"
            kept.write_text(self.journal())
