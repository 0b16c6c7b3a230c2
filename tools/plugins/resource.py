"""What every resource type of the plugins has: fields, the check of inputs, and comparison."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .wire import UNKNOWN, Properties, reveal


class PluginError(Exception):
    """A refusal or failure that the user sees as one message."""


@dataclass(frozen=True)
class Field:
    """One input: the Python type of its value, and whether it must be given."""

    kind: type | tuple[type, ...]
    required: bool = False


@dataclass(frozen=True)
class Failure:
    """A wrong input, for the engine to show at the resource."""

    property: str
    reason: str


@dataclass(frozen=True)
class Change:
    """One difference at a property path; ``kind`` is add, delete or update."""

    kind: str
    replace: bool = False


@dataclass(frozen=True)
class Call:
    """Who is asked for: the resource's name, preview or not, and where its log lines go."""

    name: str
    preview: bool = False
    log: Callable[[str], None] = field(default=lambda line: None)


TEXT = Field(str)
FLAG = Field(bool)
NUMBER = Field((int, float))
TABLE = Field(dict)
ITEMS = Field(list)

_NAMES = {str: "a string", bool: "true or false", dict: "a map", list: "a list"}


class ResourceType(ABC):
    """One resource type. It holds no state: the engine's threads share the object."""

    token: ClassVar[str]
    inputs: ClassVar[Mapping[str, Field]]
    outputs: ClassVar[frozenset[str]]
    """What the type adds to its inputs in the state."""

    def check(self, news: Properties) -> tuple[Properties, list[Failure]]:
        """Return the inputs as they shall be stored, and what is wrong with them."""
        given = {name: value for name, value in news.items() if value is not None}
        return given, check_fields(self.inputs, given)

    @abstractmethod
    def diff(self, olds: Properties, old_inputs: Properties, news: Properties) -> dict[str, Change]:
        """Return what changes, by property path; nothing means nothing to do."""

    @abstractmethod
    def create(self, call: Call, news: Properties) -> tuple[str, Properties]:
        """Make the resource and return its id and outputs; in preview, what is known of them."""

    @abstractmethod
    def update(
        self, call: Call, olds: Properties, old_inputs: Properties, news: Properties
    ) -> Properties:
        """Change the resource in place and return its outputs."""

    def delete(self, call: Call, olds: Properties) -> None:
        """Remove the resource; most of these types leave nothing outside the state."""
        return


def check_fields(fields: Mapping[str, Field], given: Properties) -> list[Failure]:
    """Return a failure for each unknown, missing or mistyped input."""
    failures = [
        Failure(name, f"{name} is not an input here; inputs are: {', '.join(sorted(fields))}")
        for name in given
        if name not in fields
    ]
    for name, wanted in fields.items():
        failures += _check_field(name, wanted, reveal(given.get(name)))
    return failures


def _check_field(name: str, wanted: Field, value: Any) -> list[Failure]:
    if value is None:
        return [Failure(name, f"{name} is required")] if wanted.required else []
    numeric = wanted.kind == NUMBER.kind
    if value is UNKNOWN or (
        isinstance(value, wanted.kind) and not (numeric and isinstance(value, bool))
    ):
        return []
    expected = "a number" if isinstance(wanted.kind, tuple) else _NAMES[wanted.kind]
    return [Failure(name, f"{name} must be {expected}")]


def changes(old: Any, new: Any, path: str, replace: bool) -> dict[str, Change]:
    """Return the differences of two values by path, as deep as maps and lists go."""
    if old == new and old is not UNKNOWN:
        return {}
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        steps = [(_step(path, key), old.get(key), new.get(key)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list):
        steps = [
            (
                f"{path}[{index}]",
                old[index] if index < len(old) else None,
                new[index] if index < len(new) else None,
            )
            for index in range(max(len(old), len(new)))
        ]
    else:
        kind = "add" if old is None else "delete" if new is None else "update"
        return {path: Change(kind, replace)}
    found: dict[str, Change] = {}
    for step, before, after in steps:
        found |= changes(before, after, step, replace)
    return found


def _step(path: str, key: str) -> str:
    """Return the path of a map's entry, in the engine's spelling."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"
