"""Many simulated machines at once, one thread each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from kindling.errors import SimulationError
from kindling.simulator.console import Console, Sink, discard
from kindling.simulator.disk import Disk
from kindling.simulator.faults import Faults
from kindling.simulator.inventory import MachineSpec, refuse_duplicates
from kindling.simulator.machine import Machine, Segment
from kindling.simulator.outcome import Outcome
from kindling.simulator.patience import Patience
from kindling.simulator.transport import Trust


def _ignore(_outcome: Outcome) -> None:
    """Nobody counts."""


@dataclass(frozen=True)
class Watcher:
    """Who follows a simulation: ``line`` gets console lines, ``finished`` each last outcome."""

    line: Sink = discard
    finished: Callable[[Outcome], None] = _ignore


def simulate(
    url: str,
    machines: Sequence[MachineSpec],
    *,
    disks_dir: Path,
    parallel: int = 64,
    boots: int = 1,
    watcher: Watcher | None = None,
    segment: Segment | None = None,
    faults: Faults | None = None,
) -> list[Outcome]:
    """Power every machine on ``boots`` times, ``parallel`` at once; last outcomes, in order.

    Every machine gets its own copy of ``faults``; ``segment`` says how they wait and whom they
    trust. Raises `SimulationError` for unusable settings only: what happens to a machine is in
    its outcome.
    """
    if boots < 1 or parallel < 1:
        raise SimulationError("a simulation needs at least one boot and one machine at a time")
    refuse_duplicates(machines)
    watching = watcher or Watcher()
    place = replace(segment, url=url) if segment else Segment(url)

    def live(spec: MachineSpec) -> Outcome:
        machine = Machine(
            spec.mac,
            spec.arch,
            Disk.of(disks_dir, spec.mac[0]),
            Console(spec.mac[0], watching.line),
            place,
            kind=spec.firmware,
            faults=replace(faults or Faults()),
            source_address=spec.source_address,
        )
        outcome = machine.power_on()
        for _ in range(boots - 1):
            outcome = machine.power_on()
        watching.finished(outcome)
        return outcome

    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="machine") as pool:
        return list(pool.map(live, machines))


def segment_of(ca_file: Path | None, patience: Patience | None = None) -> Segment:
    """A segment whose machines trust one more authority; its URL is set by `simulate`."""
    trust = Trust(ca_file)
    trust.context()  # an unusable file is one error here, not one per machine
    return Segment("", trust, patience or Patience())
