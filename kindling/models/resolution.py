"""From the raw cluster to complete nodes, keeping every problem and where it was written.

A node is the merge of three layers: `defaults`, its pool, its own values. A wrong value is
reported where it stands, once, not at every node that inherits it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import ErrorDetails

from kindling.errors import Problem
from kindling.models.explain import explain, nearest, problem
from kindling.models.merging import merge
from kindling.models.node import Node
from kindling.models.paths import Location, existing
from kindling.models.salvage import salvage, validate

_OWN = ("hostname", "macAddress", "pool")  # keys that no two nodes can share
# What stands in for a value that is missing or wrong, so that the other checks still run.
_STAND_INS: dict[Location, Any] = {
    ("hostname",): "unknown.invalid",
    ("macAddress",): "02:00:00:00:00:00",
    ("role",): "worker",
    ("storage",): {},
    ("storage", "installDisk"): "/dev/unknown",
}


class Problems:
    """A collection that tells each problem once, and nothing twice about a secret."""

    def __init__(self, secrets: Iterable[tuple[Location, str]] = ()) -> None:
        self._secrets: set[Location] = set()
        self._found: dict[tuple[Location, str], Problem] = {}
        for location, message in secrets:
            self._secrets.add(location)
            self._found[location, message] = problem(location, message, None)

    def add(self, location: Location, message: str, value: Any = None) -> None:
        """Note a problem, unless the same is noted, or a secret stands there or above."""
        if any(location[:depth] in self._secrets for depth in range(1, len(location) + 1)):
            return
        self._found.setdefault((location, message), problem(location, message, value))

    def all(self) -> tuple[Problem, ...]:
        """All problems in the order in which they were found."""
        return tuple(self._found.values())


@dataclass(frozen=True)
class Layer:
    """One source of a node's values, and where it stands in the file."""

    location: Location
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Draft:
    """A node as far as it could be understood; ``doubtful`` are top-level keys not to rely on."""

    layers: tuple[Layer, ...]  # the node's own first
    node: Node | None = None
    doubtful: frozenset[str] = field(default_factory=frozenset)

    @property
    def location(self) -> Location:
        """Where the node itself stands."""
        return self.layers[0].location

    def origin(self, location: Location) -> Location:
        """Where the value at a location of the merged node was written."""
        for layer in self.layers:
            if (found := existing(layer.data, location)) is not None:
                return layer.location + found
        # Missing: in a list the entry's writer is to blame, else the node lacks it.
        inside_list = any(isinstance(part, int) for part in location)
        return (
            (*self.origin(location[:-1]), location[-1]) if inside_list else self.location + location
        )


def resolve(raw: Mapping[str, Any], problems: Problems) -> list[Draft]:
    """Every node of the raw cluster, complete; problems with their origin are added."""
    defaults = _layer(raw.get("defaults"), ("defaults",), problems)
    pools = _pools(raw.get("pools"), problems)
    nodes = raw.get("nodes")
    if not isinstance(nodes, list | tuple):
        problems.add(("nodes",), "must be a list with at least one node; each begins with -")
        return []
    if not nodes:
        problems.add(("nodes",), "has no nodes; give at least one, a control plane")
    return [
        _draft(node, ("nodes", index), defaults, pools, problems)
        for index, node in enumerate(nodes)
    ]


def _pools(raw: Any, problems: Problems) -> dict[str, Layer]:
    if raw is not None and not isinstance(raw, Mapping):
        problems.add(("pools",), "must be a map: a pool's name with its values below it")
    named = raw.items() if isinstance(raw, Mapping) else ()
    return {str(name): _layer(data, ("pools", str(name)), problems) for name, data in named}


def _layer(raw: Any, location: Location, problems: Problems) -> Layer:
    """Defaults or a pool, checked on their own: they may lack keys but have no wrong ones."""
    if raw is None:
        return Layer(location, {})
    if not isinstance(raw, Mapping):
        problems.add(location, "must be a map: keys with values, indented below it")
        return Layer(location, {})
    for key in _OWN:
        if key in raw:
            problems.add((*location, key), "belongs to one node; move it to an entry of nodes")
    data = {key: value for key, value in raw.items() if key not in _OWN}
    for error in validate(Node, data)[1]:
        inside_list = any(isinstance(part, int) for part in error["loc"])
        if error["type"] != "missing" or inside_list:
            _note(error, Draft((Layer(location, data),)), problems)
    return Layer(location, data)


def _draft(
    raw: Any, location: Location, defaults: Layer, pools: Mapping[str, Layer], problems: Problems
) -> Draft:
    if not isinstance(raw, Mapping):
        problems.add(location, "must be a map: keys with values, indented below it", raw)
        return Draft((Layer(location, {}),), doubtful=frozenset(("role",)))
    layers = [Layer(location, raw), *_pool_of(raw, location, pools, problems), defaults]
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged = merge(merged, layer.data)
    draft = Draft(tuple(layers))
    node, errors = validate(Node, merged)
    for error in errors:
        _note(error, draft, problems)
    doubtful = frozenset(str(error["loc"][0]) for error in errors if error["loc"])
    return Draft(draft.layers, node or salvage(Node, merged, errors, _STAND_INS), doubtful)


def _pool_of(
    raw: Mapping[str, Any], location: Location, pools: Mapping[str, Layer], problems: Problems
) -> Iterator[Layer]:
    """The layer of the node's pool. Without any `pools`, a pool is only a name."""
    name = raw.get("pool")
    if not pools or not isinstance(name, str):
        return
    if name in pools:
        yield pools[name]
        return
    meant = nearest(name, pools)
    hint = f"did you mean {meant}?" if meant else f"the pools are: {', '.join(pools)}"
    problems.add((*location, "pool"), f"is not one of pools; {hint}", name)


def _note(error: ErrorDetails, draft: Draft, problems: Problems) -> None:
    location, message, value = explain(error, Node)
    problems.add(draft.origin(location), message, value)
