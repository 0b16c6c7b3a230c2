"""The installer's rules, as ``/opt/kindling/install`` follows them on a real machine.

The disk has the last word (design decision 8): an own marker of this or a newer generation means
that nothing is written; an own note means that an installation of this generation was
interrupted; what is not this node's is only overwritten when the stack says so.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from kindling.errors import SimulationError
from kindling.simulator.disk import Contents, Image, Marker
from kindling.simulator.faults import Point
from kindling.simulator.outcome import State, Stopped
from kindling.simulator.patience import may_pass
from kindling.simulator.running import Running
from kindling.simulator.statuses import Reporter
from kindling.simulator.system import System
from kindling.simulator.transport import Fetched

UNIT = "kindling-install.service"
_DIRECTORY = "/opt/kindling"
_IMAGE = "flatcar_production_image.bin.bz2"
# A sample signature (see docs/simulator.md) tells the digest of the image that it belongs to.
_SAMPLE = re.compile(rb"^Comment: KINDLING SAMPLE of SHA-256 ([0-9a-f]{64})$", re.MULTILINE)
_SWITCHES = {"true": True, "false": False}


@dataclass(frozen=True)
class Order:
    """What ``install.env`` asks for."""

    host: str
    stack: str
    generation: int
    digest: str
    arch: str
    disk: str
    version: str
    assets_url: str
    status_url: str
    overwrite: bool
    oem_arguments: str

    @classmethod
    def read(cls, system: System) -> Order:
        """Read the installer's settings. Raises `SimulationError` for what is missing or odd."""
        path = f"{_DIRECTORY}/install.env"
        values = system.environment(path)
        names = {name: f"KINDLING_{name.upper()}" for name in cls.__dataclass_fields__}
        if missing := [name for name in names.values() if name not in values]:
            raise SimulationError(f"{path}: {', '.join(missing)} missing")
        given = {name: values[variable] for name, variable in names.items()}
        overwrite = _SWITCHES.get(given["overwrite"])
        if overwrite is None or not given["generation"].isdigit():
            raise SimulationError(
                f"{path}: KINDLING_OVERWRITE or KINDLING_GENERATION is unreadable"
            )
        made = {**given, "generation": int(given["generation"]), "overwrite": overwrite}
        return cls(**made)  # type: ignore[arg-type]


class Installer:
    """One run of the installer on one machine."""

    def __init__(self, system: System, running: Running) -> None:
        self._system = system
        self._running = running
        self._disk = running.disk
        self._say = running.console.line
        self.order = Order.read(system)
        self._token = system.secret(f"{_DIRECTORY}/status.token")
        running.console.name = self.order.host
        self._reporter: Reporter = running.reporter(self.order.status_url, self._token)

    def run(self) -> None:
        """Install or leave the disk alone; returns when the machine restarts.

        Raises `Stopped` after a failure was reported: the machine stays up and does nothing.
        """
        try:
            if self._decide() == "boot":
                self._boot_what_is_there()
            else:
                self._install()
        except SimulationError as error:
            reason = str(error)
            self._reporter.post("failed", self.order.generation, None, reason)
            self._say("INSTALLATION FAILED. Nothing more happens until this machine is restarted.")
            raise Stopped(State.FAILED, reason) from error

    @property
    def _may_overwrite(self) -> bool:
        """Whether the stack lets a system be overwritten; then starting over needs no note."""
        return self.order.overwrite or self.order.generation > 1

    def _decide(self) -> Literal["install", "boot"]:
        order, state = self.order, self._disk.state
        if state.note == self._note():
            self._say(f"an interrupted installation is on {order.disk}, starting over")
            return "install"
        marker = state.marker
        if marker is not None and (marker.host, marker.stack) == (order.host, order.stack):
            return "boot" if marker.generation >= order.generation else "install"
        found = (
            f"{marker.host} of stack {marker.stack}, generation {marker.generation}"
            if marker is not None
            else state.description or str(state.contents)
        )
        if state.contents is Contents.EMPTY:
            self._say(f"{order.disk} is empty")
        elif self._may_overwrite:
            self._say(f"what is on {order.disk} ({found}) is overwritten, as the stack asks")
        else:
            raise SimulationError(
                f"refused: {order.disk} holds something that is not this node's ({found});"
                " set storage.overwrite: true for it, or raise its generation"
            )
        return "install"

    def _boot_what_is_there(self) -> None:
        marker = self._disk.state.marker
        if marker is None:
            raise SimulationError("the marker is gone")
        self._say(f"generation {marker.generation} is already on the disk; nothing is written")
        # A token speaks for its own generation only, so a lowered generation reports as itself.
        generation = min(marker.generation, self.order.generation)
        self._report_installed(generation, marker.digest, "already on the disk")

    def _install(self) -> None:
        order, faults = self.order, self._running.faults
        node = self._node_ignition()
        answer = self._reporter.post("installing", order.generation, None, f"writing {order.disk}")
        if not answer.accepted:
            raise SimulationError(f"this machine may not be installed: {answer.reason}")
        faults.pass_point(Point.INSTALLING)
        if not self._may_overwrite:
            self._disk.change(note=self._note())
        self._would_run("pre-install")
        image = self._image()
        self._would_run("post-install")
        marker = Marker(
            host=order.host, stack=order.stack, generation=order.generation, digest=order.digest
        )
        self._disk.install(marker, image, node, order.oem_arguments)
        self._say(f"generation {order.generation} is on {order.disk}")
        faults.pass_point(Point.WRITTEN)
        self._report_installed(order.generation, order.digest, "")

    def _report_installed(self, generation: int, digest: str, message: str) -> None:
        """Restart only after the server has stored it and said so."""
        answer = self._reporter.post("installed", generation, digest, message)
        reason = f"`installed` was not acknowledged: {answer.reason}"
        if not answer.accepted and may_pass(answer.status):
            # A real installer repeats this report without end and never calls it a failure.
            raise Stopped(State.FAILED, reason)
        if not answer.accepted:
            raise SimulationError(reason)
        self._running.faults.pass_point(Point.INSTALLED)

    def _node_ignition(self) -> str:
        path = f"{_DIRECTORY}/node.ign"
        body = self._system.bytes_of(path)
        found = hashlib.sha256(body).hexdigest()
        if found != self.order.digest:
            raise SimulationError(
                f"{path}: SHA-256 is {found}, install.env says {self.order.digest}"
            )
        return body.decode()

    def _image(self) -> Image:
        """What flatcar-install does: HEAD before GET, the image and its signature."""
        url = f"{self.order.assets_url}/{self.order.version}/{_IMAGE}"
        network, patience = self._running.network, self._running.patience
        announced = patience.retry(lambda: network.head(url))
        patience.retry(lambda: network.head(f"{url}.sig"))
        signature = patience.retry(lambda: network.document(f"{url}.sig"))
        self._disk.begin_writing()
        self._running.faults.pass_point(Point.WRITING)
        image = patience.retry(lambda: network.digest(url))
        if not image.size or not signature or announced not in (None, image.size):
            raise SimulationError(f"{url}: {image.size} bytes, announced were {announced}")
        self._say(f"image of {image.size} bytes written, {_checked(image, signature)}")
        return Image(url=url, size=image.size, sha256=image.sha256)

    def _would_run(self, name: str) -> None:
        for line in self._system.bytes_of(f"{_DIRECTORY}/{name}").decode().splitlines():
            command = line.strip()
            if command and not command.startswith(("#", "set -")):
                self._say(f"{name}: would run: {command}")

    def _note(self) -> str:
        order = self.order
        text = f"kindling is installing {order.stack} {order.host} {order.generation} {self._token}"
        return hashlib.sha256(text.encode()).hexdigest()


def _checked(image: Fetched, signature: bytes) -> str:
    """What is said of the signature. Raises `SimulationError` when a sample one does not fit."""
    wanted = _SAMPLE.search(signature)
    if wanted is None:
        return "signature not checked"
    if wanted[1].decode() != image.sha256:
        raise SimulationError(
            f"{image.url}: the sample signature is of SHA-256 {wanted[1].decode()}, the image has"
            f" {image.sha256}: it was altered"
        )
    return "digest in the sample signature checked"
