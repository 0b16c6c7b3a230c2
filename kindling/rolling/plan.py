"""Who is rolled, in which order, and how many at once: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from kindling.errors import RollError
from kindling.rolling.machines import Fleet, Kind, Machine

_TITLES = {
    Kind.ETCD: "etcd nodes",
    Kind.CONTROL_PLANE: "control planes",
    Kind.LOAD_BALANCER: "load balancers",
}


@dataclass(frozen=True)
class Wishes:
    """What the operator chose. Without any of it: every outdated machine."""

    all: bool = False  # also what is not outdated
    pools: tuple[str, ...] = ()  # only of these pools
    nodes: tuple[str, ...] = ()  # only these, whether outdated or not


@dataclass(frozen=True)
class Step:
    """One machine, and the generation that it will have."""

    machine: Machine
    target: int

    @property
    def host(self) -> str:
        """The machine's name."""
        return self.machine.host

    @property
    def why(self) -> str:
        """Why it is rolled."""
        if self.machine.raised:
            return "begun: its generation is raised already"
        return "outdated" if self.machine.outdated else "asked for"


@dataclass(frozen=True)
class Batch:
    """Machines that are taken out together; all of one kind and pool."""

    steps: tuple[Step, ...]

    @property
    def kind(self) -> Kind:
        """Their kind."""
        return self.steps[0].machine.kind

    @property
    def pool(self) -> str | None:
        """Their pool."""
        return self.steps[0].machine.pool

    @property
    def title(self) -> str:
        """What the batch is a part of."""
        if self.kind in _TITLES:
            return _TITLES[self.kind]
        return f"pool {self.pool}" if self.pool else "workers without a pool"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(step.host for step in self.steps)


@dataclass(frozen=True)
class Plan:
    """``left`` are machines that an earlier roll installed and did not take in again."""

    batches: tuple[Batch, ...]
    left: tuple[Batch, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Everybody who is to be rolled, in order."""
        return tuple(host for batch in self.batches for host in batch.hosts)

    @property
    def everybody(self) -> frozenset[str]:
        """Those, and who was left."""
        return frozenset((*self.hosts, *(host for batch in self.left for host in batch.hosts)))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.batches or self.left)


def plan_roll(fleet: Fleet, wishes: Wishes, *, at_once: int, marked: Collection[str] = ()) -> Plan:
    """The whole roll. ``at_once`` machines of a pool are taken out together, others one by one.

    ``marked`` are nodes that an earlier roll cordoned. Machines whose generation is raised but not
    installed come first: an earlier roll began them. Raises `RollError` for unknown names.
    """
    scope = _scope(fleet, wishes)
    begun = [each for each in scope if each.raised]
    fresh = [each for each in scope if not each.raised and _is_wanted(each, wishes)]
    planned = {each.host for each in (*begun, *fresh)}
    left = [m for m in fleet if m.host in marked and m.host not in planned and not m.raised]
    return Plan(
        batches=(*_batches(begun, at_once), *_batches(fresh, at_once)),
        left=tuple(Batch((Step(each, each.node.generation),)) for each in left),
        notes=tuple(_notes(fleet, planned)),
    )


def _scope(fleet: Fleet, wishes: Wishes) -> list[Machine]:
    """The machines that the operator chose among. What was never installed cannot be rolled."""
    _refuse_unknown("pool", wishes.pools, {each.pool for each in fleet if each.pool})
    _refuse_unknown("node", wishes.nodes, {each.host for each in fleet})
    chosen = [
        each
        for each in fleet
        if (not wishes.nodes and not wishes.pools)
        or each.host in wishes.nodes
        or each.pool in wishes.pools
    ]
    if new := [
        each.host for each in chosen if each.installed is None and each.host in wishes.nodes
    ]:
        raise RollError(f"--node {new[0]}: it was never installed; switch it on instead")
    return [each for each in chosen if each.installed is not None]


def _refuse_unknown(what: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise RollError(f"--{what} {name}: there is no such {what}; there are: {there}")


def _is_wanted(machine: Machine, wishes: Wishes) -> bool:
    return wishes.all or machine.outdated or machine.host in wishes.nodes


def _batches(machines: Sequence[Machine], at_once: int) -> Iterator[Batch]:
    for (kind, _, _), group in groupby(sorted(machines, key=_place), key=_place):
        members = list(group)
        size = at_once if kind is Kind.WORKER else 1
        for begin in range(0, len(members), size):
            yield Batch(tuple(map(_step, members[begin : begin + size])))


def _place(machine: Machine) -> tuple[Kind, bool, str]:
    """Where it comes: by kind, then pools by name, and workers without a pool after these."""
    return machine.kind, machine.pool is None, machine.pool or ""


def _step(machine: Machine) -> Step:
    generation = machine.node.generation
    if machine.raised:
        return Step(machine, generation)
    return Step(machine, max(generation, machine.installed or 0) + 1)


def _notes(fleet: Fleet, planned: Collection[str]) -> Iterator[str]:
    others = [each for each in fleet if each.host not in planned]
    if new := [each.host for each in others if each.installed is None]:
        yield f"never installed, so not rolled: {', '.join(new)}"
    if begun := [each.host for each in others if each.raised]:
        yield f"begun earlier and not among what you chose: {', '.join(begun)}"
    silent = [each for each in others if each.installed is not None and not each.ready]
    if listed := ", ".join(f"{each.host} ({each.state})" for each in silent):
        yield f"not ready: {listed}"
