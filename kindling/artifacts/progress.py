"""How a download tells what it is doing: bars on a terminal, lines every few seconds elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

LINE_EVERY = 5.0  # seconds between two lines of one file where there is no terminal


class Report(Protocol):
    """What downloads call, from several threads at once. Positions and sizes are in bytes."""

    def started(self, path: str, size: int | None, source: str) -> None:
        """A source of a file begins to answer."""

    def at(self, path: str, position: int) -> None:
        """So much of the file is there."""

    def finished(self, path: str) -> None:
        """The file is complete and verified."""

    def note(self, message: str) -> None:
        """One sentence for the user."""


class Silent:
    """Reports nothing."""

    def started(self, path: str, size: int | None, source: str) -> None:
        """Ignored."""

    def at(self, path: str, position: int) -> None:
        """Ignored."""

    def finished(self, path: str) -> None:
        """Ignored."""

    def note(self, message: str) -> None:
        """Ignored."""


@dataclass
class Lines:
    """Plain lines to ``say``: at the start, every ``every`` seconds, at the end."""

    say: Callable[[str], None]
    every: float = LINE_EVERY
    clock: Callable[[], float] = time.monotonic
    _files: dict[str, _Line] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, path: str, size: int | None, source: str) -> None:
        """One line that names the file and its source."""
        with self._lock:
            self._files[path] = _Line(size, self.clock())
        self.say(f"{path}: fetching {megabytes(size)} from {source}")

    def at(self, path: str, position: int) -> None:
        """A line when the last one is long enough ago."""
        with self._lock:
            line, now = self._files.get(path), self.clock()
            if line is None:
                return
            line.position = position
            if now - line.said < self.every:
                return
            line.said = now
        share = f" ({position * 100 // line.size} %)" if line.size else ""
        self.say(f"{path}: {megabytes(position)} of {megabytes(line.size)}{share}")

    def finished(self, path: str) -> None:
        """The last line of a file."""
        with self._lock:
            line = self._files.pop(path, None)
        self.say(f"{path}: complete" + (f", {megabytes(line.position)}" if line else ""))

    def note(self, message: str) -> None:
        """The sentence as a line."""
        self.say(message)


@dataclass
class _Line:
    size: int | None
    said: float
    position: int = 0


@dataclass
class Bars:
    """One bar per file on a terminal."""

    progress: Progress
    _tasks: dict[str, TaskID] = field(default_factory=dict)

    def started(self, path: str, size: int | None, source: str) -> None:
        """Shows the file's bar, or begins it anew for another source."""
        if path in self._tasks:
            self.progress.reset(self._tasks[path], total=size)
        else:
            self._tasks[path] = self.progress.add_task(path.removeprefix("assets/"), total=size)

    def at(self, path: str, position: int) -> None:
        """Moves the bar."""
        if path in self._tasks:
            self.progress.update(self._tasks[path], completed=position)

    def finished(self, path: str) -> None:
        """Replaces the bar by a line, so that many files do not fill the screen."""
        if path in self._tasks:
            self.progress.remove_task(self._tasks.pop(path))
        self.note(f"{path}: complete")

    def note(self, message: str) -> None:
        """The sentence above the bars."""
        self.progress.console.print(message, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def shown_progress(stream: TextIO | None = None) -> Iterator[Report]:
    """Progress on ``stream`` (standard error by default): bars on a terminal, else lines."""
    output = stream or sys.stderr
    console = Console(file=output)
    if not console.is_terminal:
        yield Lines(say=lambda line: _write_line(output, line))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)


def megabytes(size: int | None) -> str:
    """A size for people."""
    if size is None:
        return "an unknown size"
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _write_line(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()
