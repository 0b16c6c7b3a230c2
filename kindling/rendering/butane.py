"""Butane, strictly: a Butane document in, Ignition out, errors traced to what made the line."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kindling.errors import CommandError, RenderError
from kindling.process import run
from kindling.rendering.text import render_text

_LOCAL = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "butane"
_REPORT = re.compile(
    r"^(error|warning) at (?P<path>\S+?)(, line (?P<line>\d+) col \d+)?: (?P<why>.*)$"
)
_TIMEOUT = 60.0  # seconds; it needs ten milliseconds on a quiet machine


@dataclass(frozen=True)
class Entry:
    """One entry of a list in a Butane document, and where it comes from."""

    data: dict[str, Any]
    origin: str  # a template's name, or the path in the stack


@dataclass
class ButaneDocument:
    """The lists of a Butane document. Each entry becomes one line, so a line names its origin."""

    owner: str  # whom errors name: the node
    template: str
    storage: dict[str, list[Entry]] = field(default_factory=dict)
    units: list[Entry] = field(default_factory=list)
    passwd: dict[str, list[Entry]] = field(default_factory=dict)
    kernel_arguments: dict[str, list[str]] = field(default_factory=dict)

    def add(self, section: str, origin: str, data: dict[str, Any]) -> None:
        """Append to ``storage``: files, links, directories, disks, raid, luks, filesystems."""
        self.storage.setdefault(section, []).append(Entry(data, origin))

    def text(self) -> str:
        """The document as YAML."""
        return render_text(self.template, self.owner, document=self)

    def entries(self) -> list[Entry]:
        """Every entry in the order of the text."""
        lists = [*self.storage.values(), self.units, *self.passwd.values()]
        return [entry for entries in lists for entry in entries]


def to_ignition(document: ButaneDocument) -> bytes:
    """Ignition (JSON) of a document.

    Raises `RenderError` with every problem that Butane found, each with the template or the part
    of the stack that it comes from, and `CommandError` when Butane is missing.
    """
    text = document.text()
    result = run([butane_program(), "--strict"], stdin=text.encode(), timeout=_TIMEOUT)
    if result.returncode != 0:
        raise RenderError(_explained(document, text, result.stderr.decode(errors="replace")))
    return result.stdout.rstrip(b"\n")


@cache
def butane_program() -> str:
    """Butane's path: ``KINDLING_BUTANE``, else PATH, else what `make setup` built.

    Raises `CommandError` when there is none.
    """
    if named := os.environ.get("KINDLING_BUTANE"):
        return named
    if found := shutil.which("butane"):
        return found
    if _LOCAL.exists():
        return str(_LOCAL)
    raise CommandError(
        "butane is not on PATH; `make setup` makes it available, or name it in KINDLING_BUTANE"
    )


def _explained(document: ButaneDocument, text: str, stderr: str) -> str:
    lines = text.splitlines()
    origins = _origins(document, lines)
    found = [
        _sentence(match, lines, origins)
        for match in map(_REPORT.match, stderr.splitlines())
        if match
    ]
    problems = "\n".join(f"  - {problem}" for problem in found) or f"  - {stderr.strip()}"
    return f"{document.owner}: Butane refuses templates/{document.template}:\n{problems}"


def _sentence(match: re.Match[str], lines: Sequence[str], origins: dict[int, str]) -> str:
    where, why = match["path"], match["why"]
    if not match["line"]:
        return f"{where}: {why}"
    number = int(match["line"])
    line = lines[number - 1].strip() if number <= len(lines) else ""
    origin = f" from {origins[number]}" if number in origins else ""
    return f"{where} (line {number}{origin}): {why}: {_excerpt(line)}"


def _excerpt(line: str) -> str:
    """The beginning, which names the entry; contents are long, and one of them is a token."""
    shown = line.partition('"contents"')[0]
    return line if line == shown and len(line) <= 80 else shown[:77] + "..."


def _origins(document: ButaneDocument, lines: Sequence[str]) -> dict[int, str]:
    """Origin by line number. Entries are the lines that begin with a dash and a brace."""
    numbers = [number for number, line in enumerate(lines, 1) if line.lstrip().startswith("- {")]
    return {
        number: entry.origin for number, entry in zip(numbers, document.entries(), strict=False)
    }
