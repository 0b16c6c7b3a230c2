"""Where in the stack file something is: as pydantic counts it, and as people write it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Location = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def written(location: Location) -> str:
    """``("nodes", 3, "labels", "a.b/c")`` as ``nodes[3].labels["a.b/c"]``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text or "cluster"


def existing(data: Any, location: Location) -> Location | None:
    """The location inside ``data``, or None when it is not there.

    A step into a value that is neither map nor list ends the location there: one MAC address
    written without a list is checked as a list of one, but the user wrote no ``[0]``.
    """
    for depth, part in enumerate(location):
        if isinstance(data, Mapping):
            if part not in data:
                return None
            data = data[part]
        elif isinstance(data, Sequence) and not isinstance(data, str):
            if not isinstance(part, int) or part >= len(data):
                return None
            data = data[part]
        else:
            return location[:depth]
    return location


def without(data: Any, location: Location) -> Any:
    """A copy of ``data`` that lacks the value at the location, or the whole list it is in.

    List entries are never taken out alone: the places of the others would change.
    """
    if not location or not isinstance(data, Mapping) or location[0] not in data:
        return data
    head, rest = location[0], location[1:]
    copy = dict(data)
    if rest and isinstance(copy[head], Mapping):
        copy[head] = without(copy[head], rest)
    else:
        del copy[head]
    return copy
