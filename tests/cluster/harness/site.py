"""A site: machines on one network, with all that a run needs and nothing that outlives it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from kindling.errors import CommandError
from kindling.process import run
from tests.cluster.harness import extensions, workarounds
from tests.cluster.harness.base import base_system
from tests.cluster.harness.commands import wait_until
from tests.cluster.harness.extensions import Extension
from tests.cluster.harness.leftovers import Guard, remove_leftovers
from tests.cluster.harness.machine import Machine
from tests.cluster.harness.network import Card, Network
from tests.cluster.harness.trees import Tree
from tools.places import cache

_PATIENCE = 3600.0


class Site(AbstractContextManager["Site"]):
    """Machines on a bridge; one site at a time on a host, because names are fixed: others wait.

    What a killed run left is found by its names and removed first. ``logs`` is a folder that
    stays: consoles, journals, and what Ignition said.
    """

    def __init__(self, logs: Path, *, subnet: str = "192.0.2.0/24") -> None:
        self.logs = logs
        self.network = Network(subnet)
        self.machines: dict[str, Machine] = {}
        self.folder = cache() / "cluster-run"
        self._stack = ExitStack()
        self._layers: dict[str, Path] = {}

    def __enter__(self) -> Self:
        """Make the network. Raises `CommandError` where the user is not root."""
        if os.geteuid() != 0:
            raise CommandError("machines need root: run the cluster tests as root")
        self.logs.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            lock = stack.enter_context(_locked())
            remove_leftovers(self.folder)
            _load_modules()
            self.folder.mkdir()
            stack.enter_context(Guard(self.folder, lock))
            self.network.make()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove every machine and the network; the logs stay."""
        with self._stack:
            for machine in self.machines.values():
                machine.remove()

    def machine(
        self,
        name: str,
        address: str,
        *,
        mac: str | None = None,
        card: str = "eth0",
        extended: Sequence[Extension] = (),
    ) -> Machine:
        """A machine with an empty disk. `Machine.install` and `Machine.start` make it run."""
        layers = [self._workarounds(), *map(self._extension, extended), base_system()]
        machine = Machine(
            name,
            Card(address, mac or _mac(name), card),
            Tree(self.folder / "machines" / name, layers),
            self.network,
            self.logs,
        )
        self.machines[name] = machine
        return machine

    def inside(self) -> AbstractContextManager[None]:
        """Put the calling thread on the bridge for a block, and what it starts: servers, kubectl.

        There it has the address ``network.gateway``, and reaches nothing but the machines.
        """
        return self.network.entered()

    def _extension(self, extension: Extension) -> Path:
        if extension.name not in self._layers:
            folder = self.folder / "extensions"
            self._layers[extension.name] = extensions.lay_out(extension, folder)
        return self._layers[extension.name]

    def _workarounds(self) -> Path:
        folder = self.folder / "workarounds"
        return folder if folder.exists() else workarounds.lay_out(folder)


def _load_modules() -> None:
    """Load what Kindling has machines load, where it is not part of the kernel."""
    with suppress(CommandError):
        run(["modprobe", "--all", "overlay", "br_netfilter"])


@contextmanager
def _locked() -> Iterator[IO[str]]:
    """Hold what only one run on this host can hold; wait for another run to end."""

    def free() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".cluster-run.lock").open("w") as lock:
        if not free():
            print("another cluster test is running on this host; waiting for its end", flush=True)
            wait_until("the end of another cluster test on this host", free, _PATIENCE)
        yield lock


def _mac(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ":".join(["52:54:00", *(digest[at : at + 2] for at in (0, 2, 4))])
