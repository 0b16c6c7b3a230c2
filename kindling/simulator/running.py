"""What a machine has while an operating system runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kindling.simulator.console import Console
from kindling.simulator.disk import Disk
from kindling.simulator.endpoints import Endpoints
from kindling.simulator.faults import Faults
from kindling.simulator.ignition import Executor
from kindling.simulator.kernel import CommandLine
from kindling.simulator.patience import Patience
from kindling.simulator.statuses import Reporter
from kindling.simulator.transport import Network


@dataclass(frozen=True)
class Running:
    """One boot of one machine."""

    network: Network
    console: Console
    disk: Disk
    faults: Faults
    patience: Patience
    endpoints: Endpoints

    @contextmanager
    def in_initramfs(self, line: CommandLine) -> Iterator[Running]:
        """This boot from the kernel on: it speaks from the address that ``ip=`` gives."""
        self.console.line(f"network in the initramfs: {line.network()}")
        address = line.own_address()
        if address is None:
            yield self
            return
        with self.network.trusting((), address) as network:
            yield replace(self, network=network)

    def executor(self) -> Executor:
        """An Ignition for this boot."""
        return Executor(self.network, self.console, self.patience)

    def reporter(self, url: str, token: str) -> Reporter:
        """A reporter for the holder of a status token."""
        return Reporter(self.network, self.console, self.patience, self.faults, url, token)
