"""One simulated machine: firmware, network boot, disk boot, until it runs or gives up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from kindling.errors import SimulationError
from kindling.simulator import installer, node
from kindling.simulator.architecture import Architecture
from kindling.simulator.console import Console
from kindling.simulator.disk import Contents, Disk
from kindling.simulator.endpoints import Endpoints
from kindling.simulator.ends import Boot, Exit
from kindling.simulator.faults import Faults, Point, PowerLost
from kindling.simulator.firmware import Firmware, FirmwareKind
from kindling.simulator.installer import Installer
from kindling.simulator.ipxe import Interpreter
from kindling.simulator.kernel import CommandLine, installer_command_line
from kindling.simulator.outcome import Outcome, State, Stopped
from kindling.simulator.patience import Patience
from kindling.simulator.running import Running
from kindling.simulator.system import System
from kindling.simulator.transport import Fetched, Network, TransferFailed, Trust

_ENTRY = "boot.ipxe"
_MOST_BOOTS = 6  # one installation needs two; more means that it goes round in circles
_FOREIGN = "a foreign system"


@dataclass(frozen=True)
class Segment:
    """The network that machines are on, and how they wait.

    ``url`` is the boot server's, as DHCP would tell it. ``sleep`` gets the seconds that scripts
    wait (virtual by default); ``patience`` rules the real waiting between repeated requests.
    ``endpoints`` are the APIs that its machines find.
    """

    url: str
    trust: Trust = field(default_factory=Trust)
    patience: Patience = field(default_factory=Patience)
    sleep: Callable[[float], None] = lambda _seconds: None
    endpoints: Endpoints = field(default_factory=Endpoints)


class Machine:
    """A machine with its network cards, architecture, disk and console.

    ``source_address`` is the address it speaks from; None leaves the choice to the host.
    """

    def __init__(
        self,
        macs: Sequence[str],
        arch: str,
        disk: Disk,
        console: Console,
        segment: Segment,
        *,
        kind: FirmwareKind = FirmwareKind.EFI,
        faults: Faults | None = None,
        source_address: str | None = None,
    ) -> None:
        self.macs = tuple(macs)
        self.arch = Architecture(arch)
        self.disk = disk
        self.console = console
        self.segment = segment
        self.faults = faults or Faults()
        self._entry = f"{segment.url.rstrip('/')}/{_ENTRY}"
        self._kind = kind
        self._source_address = source_address

    def power_on(self) -> Outcome:
        """Run until the machine stays up, gives up or loses power; never raises for a machine."""
        begun, boots = time.monotonic(), 0
        try:
            while boots < _MOST_BOOTS:
                boots += 1
                stage = self._boot()
                if stage is not None:
                    return self._outcome(State.BOOTED, "", boots, begun, stage)
            reason = f"restarted {boots} times without coming up"
            return self._outcome(State.FAILED, reason, boots, begun)
        except Stopped as stopped:
            return self._outcome(stopped.state, stopped.reason, boots, begun)
        except PowerLost as lost:
            return self._outcome(State.OFF, str(lost), boots, begun)
        except SimulationError as error:
            return self._outcome(State.BROKEN, str(error), boots, begun)

    def _outcome(
        self, state: State, reason: str, boots: int, begun: float, stage: str = ""
    ) -> Outcome:
        self.console.line(f"{state}{': ' if reason else ''}{reason}")
        marker = self.disk.state.marker
        return Outcome(
            host=self.console.name,
            mac=self.macs[0],
            arch=str(self.arch),
            state=state,
            reason=reason,
            boots=boots,
            disk_writes=self.disk.state.writes,
            generation=marker.generation if marker else None,
            digest=marker.digest if marker else None,
            seconds=round(time.monotonic() - begun, 3),
            stage=stage,
        )

    def _boot(self) -> str | None:
        """One boot from power or restart: the stage of the cluster, None when it restarts."""
        if self.faults.foreign_disk and self.disk.state.contents is Contents.EMPTY:
            self.disk.make_foreign(self.faults.foreign_disk)
            self.faults.foreign_disk = None
        firmware = Firmware(self.macs, self._firmware_arch(), self._kind, self.disk.boots)
        self.console.line(f"power on: {firmware.arch}, {firmware.kind}, {self.macs[0]}")
        with Network(trust=self.segment.trust, source_address=self._source_address) as network:
            running = Running(
                network,
                self.console,
                self.disk,
                self.faults,
                self.segment.patience,
                self.segment.endpoints,
            )
            interpreter = Interpreter(
                firmware, _Fetcher(network, self.console), self.console, sleep=self.segment.sleep
            )
            end = interpreter.run(self._entry)
            if isinstance(end, Boot):
                self.faults.pass_point(Point.SCRIPT)
                line = installer_command_line(end, firmware)
                self.console.line("the installer starts")
                with running.in_initramfs(line) as started:
                    self._install(line, started)
                return None
            said = " | ".join(interpreter.said)
            if isinstance(end, Exit):
                self.console.line(f"the firmware goes on with the disk ({end.reason})")
                said = said or end.reason
            return self._boot_disk(running, said)

    def _firmware_arch(self) -> Architecture:
        if not self.faults.wrong_arch:
            return self.arch
        return next(each for each in Architecture if each is not self.arch)

    def _boot_disk(self, running: Running, said: str) -> str | None:
        state = self.disk.state
        if state.contents is Contents.EMPTY:
            raise Stopped(State.IDLE, f"the disk is empty; the network boot said: {said}")
        if state.contents is Contents.FOREIGN:
            raise Stopped(State.FOREIGN, f"booted {state.description or _FOREIGN}")
        return node.boot(running)

    def _install(self, line: CommandLine, running: Running) -> None:
        url = line.single("ignition.config.url")
        if url is None:
            raise SimulationError("kernel command line: ignition.config.url= is missing")
        body = self._ignition(url, running)
        system: System = running.executor().apply(body, url)
        self.faults.pass_point(Point.IGNITION)
        if not system.starts(installer.UNIT):
            raise SimulationError(f"the installer's Ignition does not start {installer.UNIT}")
        Installer(system, running).run()

    def _ignition(self, url: str, running: Running) -> bytes:
        """The installer's Ignition; real Ignition repeats a transfer that broke, so does this."""
        try:
            while self.faults.drop_ignition > 0:
                self.faults.drop_ignition -= 1
                received = running.network.interrupt(url)
                self.console.line(f"ignition: transfer broke after {received} bytes (fault)")
            with ExitStack() as opened:
                network = running.network
                if self.faults.ignition_address:
                    network = opened.enter_context(
                        network.trusting((), self.faults.ignition_address)
                    )
                return self.segment.patience.retry(lambda: network.document(url))
        except TransferFailed as failure:
            raise Stopped(State.FAILED, f"the installer has no Ignition: {failure}") from failure


class _Fetcher:
    """Fetches scripts and images; a boot query of a simulated machine says what it is."""

    def __init__(self, network: Network, console: Console) -> None:
        self._network = network
        self._console = console

    def script(self, url: str) -> str:
        return self._network.document(said_to_be_simulated(url)).decode(errors="replace")

    def image(self, url: str) -> Fetched:
        fetched = self._network.digest(url)
        self._console.line(f"{url}: {fetched.size} bytes, SHA-256 {fetched.sha256}")
        return fetched


def said_to_be_simulated(url: str) -> str:
    """The URL of a machine's script (``.../boot/<mac>``) with ``simulated=1``; others unchanged."""
    parts = urlsplit(url)
    if parts.path.split("/")[-2:-1] != ["boot"]:
        return url
    query = f"{parts.query}&simulated=1" if parts.query else "simulated=1"
    return urlunsplit(parts._replace(query=query))
