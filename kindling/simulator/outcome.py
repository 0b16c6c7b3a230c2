"""How powering a simulated machine on can end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class State(StrEnum):
    """The end of a run, from the machine's point of view."""

    BOOTED = "booted"  # the node runs and the server has stored its report
    UNREPORTED = "unreported"  # the node runs, but its report was not accepted
    FAILED = "failed"  # an installation or a first boot ended and said so
    IDLE = "idle"  # nothing to install, and the disk is empty
    FOREIGN = "foreign"  # somebody else's system was booted
    OFF = "off"  # power was lost (an injected fault)
    BROKEN = "broken"  # what was served is nothing that a real machine could follow


class Stopped(Exception):
    """Control flow: the machine does nothing more until it is powered on again."""

    def __init__(self, state: State, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Outcome:
    """One machine after one power-on. ``seconds`` are real ones; ``boots`` counts restarts too."""

    host: str  # the MAC while no host name was told
    mac: str
    arch: str
    state: State
    reason: str
    boots: int
    disk_writes: int
    generation: int | None  # of the marker on the disk
    digest: str | None
    seconds: float
    stage: str = ""  # of the cluster, as last reported; empty where there is none
    simulated: bool = True

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)
