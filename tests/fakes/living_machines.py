"""Simulated machines that stay on: they repeat their stage, hear of restarts, and restart."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from kindling.simulator.console import Console
from kindling.simulator.disk import Disk
from kindling.simulator.inventory import MachineSpec
from kindling.simulator.machine import Machine, Segment
from kindling.simulator.outcome import State

_BEAT = 0.3  # seconds between two reports; real machines leave two minutes


@dataclass
class LivingMachine:
    """One machine in a thread of its own, from its power button until the end of the test."""

    spec: MachineSpec
    segment: Segment
    disks: Path
    ended: threading.Event = field(default_factory=threading.Event)
    button: threading.Event = field(default_factory=threading.Event)
    lines: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # of power-ons that did not end well

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    @property
    def disk(self) -> Disk:
        """Its disk as it is now."""
        return Disk.of(self.disks, self.spec.mac[0])

    def stop(self) -> None:
        """Pull the plug, when it is not in the middle of something."""
        self.ended.set()
        self.button.set()
        self._thread.join(30)

    def _live(self) -> None:
        while not self.ended.is_set():
            self.button.clear()
            machine = Machine(
                self.spec.mac,
                self.spec.arch,
                self.disk,
                Console(self.spec.mac[0], self.lines.append),
                self.segment,
            )
            outcome = machine.power_on()
            if outcome.state is State.BOOTED:
                self._beat()
            else:
                self.reasons.append(outcome.reason)
                self.button.wait()

    def _beat(self) -> None:
        """Say `ready` until the answer asks for a restart."""
        files = self.disk.state.files
        settings = _environment(files["/etc/kindling/node.env"])
        body = {
            "state": "ready",
            "generation": int(settings["KINDLING_GENERATION"]),
            "message": "as before",
            "simulated": True,
        }
        headers = {"Authorization": f"Bearer {files['/etc/kindling/status.token'].strip()}"}
        while not self.ended.wait(_BEAT):
            try:
                url = settings["KINDLING_STATUS_URL"]
                answer = requests.post(url, json=body, headers=headers, timeout=30)
            except requests.RequestException:
                continue
            if answer.ok and answer.json()["reboot"]:
                return


@contextmanager
def living(
    url: str, specs: Sequence[MachineSpec], disks: Path
) -> Iterator[dict[str, LivingMachine]]:
    """The machines of one network, switched on, by their first MAC addresses."""
    segment = Segment(url)
    made = {spec.mac[0]: LivingMachine(spec, segment, disks) for spec in specs}
    try:
        yield made
    finally:
        for machine in made.values():
            machine.stop()


def _environment(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}
