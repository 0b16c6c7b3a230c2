"""Checks within one node: units, users and names that may be given once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from kindling.models.node import Node
from kindling.models.paths import Location, written


class Finding(NamedTuple):
    """Something wrong in a node: the place within the node, the sentence, the value."""

    location: Location
    message: str
    value: Any = None


def repeated(entries: Iterable[tuple[Location, Any]]) -> Iterator[Finding]:
    """A finding for each value that an earlier entry has already."""
    first: dict[Any, Location] = {}
    for location, value in entries:
        if value in first:
            message = f"repeats {written(first[value])} of the same node; give each once"
            yield Finding(location, message, value)
        else:
            first[value] = location


def check_taints(node: Node) -> Iterator[Finding]:
    """Repeated taints: the API takes each key and effect once, else the node cannot register.

    Source: k8s.io/kubernetes, pkg/apis/core/validation: validateNodeTaints.
    """
    taints = enumerate(node.taints or ())
    named = ((("taints", index), f"{taint.key}:{taint.effect}") for index, taint in taints)
    yield from repeated(named)


def check_system(node: Node) -> Iterator[Finding]:
    """Repeated MAC addresses, units, drop-ins, users and groups."""
    macs = ((("macAddress", index), mac) for index, mac in enumerate(node.mac_address))
    yield from repeated(macs)
    units = node.systemd.units
    here: Location = ("systemd", "units")
    yield from repeated((((*here, i, "name"), unit.name) for i, unit in enumerate(units)))
    for index, unit in enumerate(units):
        place: Location = (*here, index, "dropins")
        names = (((*place, i, "name"), dropin.name) for i, dropin in enumerate(unit.dropins))
        yield from repeated(names)
    people = (
        (("passwd", "users", index, "name"), user.name)
        for index, user in enumerate(node.passwd.users)
    )
    yield from repeated(people)
    groups = (
        (("passwd", "groups", index, "name"), group.name)
        for index, group in enumerate(node.passwd.groups)
    )
    yield from repeated(groups)
