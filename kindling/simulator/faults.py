"""Mishaps that tests and demonstrations can inject; each happens as often as it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter, ValidationError

from kindling.errors import SimulationError


class Point(StrEnum):
    """Named points at which power can be lost."""

    SCRIPT = "script"  # kernel and initrd are fetched, nothing runs yet
    IGNITION = "ignition"  # the installer's Ignition is applied
    INSTALLING = "installing"  # `installing` was reported, nothing is written
    WRITING = "writing"  # half of the image is on the disk
    WRITTEN = "written"  # the disk is complete, `installed` is not reported
    INSTALLED = "installed"  # `installed` was acknowledged, the machine has not restarted
    FIRST_BOOT = "first-boot"  # the node's Ignition is applied, `booted` is not reported
    BOOTED = "booted"  # `booted` was acknowledged, the secrets are still on the disk


class PowerLost(Exception):
    """The machine went dark at a point; its disk keeps what was written."""

    def __init__(self, point: Point) -> None:
        self.point = point
        super().__init__(f"power lost at: {point}")


@dataclass
class Faults:
    """What goes wrong with one machine; the counters are used up."""

    wrong_arch: bool = False  # the firmware is of the other architecture, at every boot
    drop_ignition: int = 0  # transfers of the installer's Ignition that break in the middle
    lose_answers: int = 0  # answers to `installed` that never reach the machine
    lose_reports: int = 0  # reports of `installed` that never reach the server
    power_off_at: Point | None = None
    foreign_disk: str | None = None  # an empty disk holds this foreign system instead
    ignition_address: str | None = None  # the installer's Ignition is fetched from this address

    def pass_point(self, point: Point) -> None:
        """Lose power here if so ordered, once."""
        if self.power_off_at is point:
            self.power_off_at = None
            raise PowerLost(point)


def parse_faults(texts: Iterable[str]) -> Faults:
    """Faults from ``name`` or ``name=value``, with hyphens: ``lose-reports=3``, ``wrong-arch``."""
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        field = name.replace("-", "_")
        if field not in Faults.__dataclass_fields__:
            known = ", ".join(each.replace("_", "-") for each in Faults.__dataclass_fields__)
            raise SimulationError(f"--fault {text}: no fault is called {name}; known are: {known}")
        given[field] = value if equals else "1"
    try:
        return TypeAdapter(Faults).validate_python(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise SimulationError(f"--fault {problem['loc'][0]}: {problem['msg']}") from error
