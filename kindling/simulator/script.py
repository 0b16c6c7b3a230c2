"""iPXE scripts as text: lines, labels, commands, and the expansion of ``${settings}``.

The rules are those of iPXE's ``core/exec.c`` and ``image/script.c``: words are split at white space
before settings are expanded (an empty or spaced value stays one word), nothing is quoted, ``#``
at a word's beginning starts a comment, and ``&&``, ``||`` and ``;`` are read from left to right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from kindling.errors import SimulationError
from kindling.simulator.console import redact

_OPERATORS = ("&&", "||", ";")
_EXPANSION_LIMIT = 200


@dataclass(frozen=True)
class Place:
    """Where in a script something is: what every error names."""

    url: str
    line: int
    text: str

    def error(self, message: str) -> SimulationError:
        """The error to raise for this place."""
        return SimulationError(redact(f"{self.url}, line {self.line}: `{self.text}`: {message}"))


@dataclass(frozen=True)
class Command:
    """One command; ``operator`` is what joins it to the one before ("" for the first)."""

    operator: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line (continuation lines joined), numbered as in the file."""

    place: Place
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Script:
    """A parsed script; ``labels`` give the index into ``lines``."""

    url: str
    lines: tuple[Line, ...]
    labels: dict[str, int]


def parse(url: str, text: str) -> Script:
    """Parse a script. Raises `SimulationError` when it is none."""
    if not text.startswith("#!ipxe"):
        raise SimulationError(f"{redact(url)}: not an iPXE script: it must begin with `#!ipxe`")
    lines: list[Line] = []
    labels: dict[str, int] = {}
    for number, content in _joined(text):
        if content.startswith(":"):
            name = (content[1:].split() or [""])[0]
            labels.setdefault(name, len(lines))  # iPXE takes the first one
        else:
            lines.append(Line(Place(url, number, content.strip()), _commands(content)))
    return Script(url, tuple(lines), labels)


def _joined(text: str) -> list[tuple[int, str]]:
    """Numbered lines, those that end with a backslash joined with the next."""
    joined: list[tuple[int, str]] = []
    pending: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        first, before = pending or (number, "")
        if line.endswith("\\"):
            pending = (first, before + line[:-1])
            continue
        joined.append((first, before + line))
        pending = None
    return joined + ([pending] if pending else [])


def _commands(content: str) -> tuple[Command, ...]:
    commands: list[Command] = []
    operator, words = "", list[str]()
    for word in content.split():
        if word.startswith("#"):
            break
        if word in _OPERATORS:
            commands.append(Command(operator, tuple(words)))
            operator, words = word, []
        else:
            words.append(word)
    if words or commands:
        commands.append(Command(operator, tuple(words)))
    return tuple(commands)


def expand(text: str, lookup: Callable[[str], bytes | str], place: Place) -> str:
    """Replace ``${name}`` and ``${name:type}``, innermost first, until none is left.

    ``lookup`` answers "" for a setting that is not there; bytes are a MAC address.
    """
    for _ in range(_EXPANSION_LIMIT):
        end = text.find("}", text.find("${")) if "${" in text else -1
        start = text.rfind("${", 0, end) if end >= 0 else -1
        if start < 0:
            return text
        name, _separator, kind = text[start + 2 : end].partition(":")
        text = text[:start] + _formatted(lookup(name), kind, place) + text[end + 1 :]
    raise place.error("a setting expands to itself without end")


def _formatted(value: bytes | str, kind: str, place: Place) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    plain = value if isinstance(value, str) else _hex(raw, ":")
    match kind:
        case "" | "string":
            return plain
        case "uristring":
            return quote(plain, safe="")
        case "hex":
            return _hex(raw, ":")
        case "hexhyp":
            return _hex(raw, "-")
        case "hexraw":
            return raw.hex()
    raise place.error(f'"{kind}" is not a setting type that simulated machines know')


def _hex(raw: bytes, separator: str) -> str:
    return separator.join(f"{byte:02x}" for byte in raw)
