"""The one place where the plugins start programs."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from .resource import PluginError

_GRACE = 5.0  # seconds between asking a program to end and killing it
_running: set[subprocess.Popen[bytes]] = set()


class Readable(Protocol):
    """What a program can be fed from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""


@dataclass(frozen=True)
class Finished:
    """What a program left: exit code, the two outputs, and both in the order they came."""

    code: int
    stdout: str
    stderr: str
    combined: str


class _Capture:
    """Collects one stream line by line, into its own text and the common one."""

    def __init__(self, stream: IO[bytes], lines: list[str], log: Callable[[str], None]) -> None:
        self.own: list[str] = []
        self._sinks = (self.own, lines)
        self._log = log
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes]) -> None:
        for raw in stream:
            line = raw.decode(errors="replace")
            for sink in self._sinks:
                sink.append(line)
            self._log(line.rstrip("\n"))

    def text(self) -> str:
        self._thread.join()
        return "".join(self.own).removesuffix("\n")


def run(
    argv: Sequence[str],
    *,
    stdin: Readable | None = None,
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
    logs: tuple[Callable[[str], None], Callable[[str], None]] | None = None,
) -> Finished:
    """Run a program to its end; ``logs`` get the lines of stdout and stderr as they come.

    There is no timeout: how long a user's command may take is the user's business, and the
    engine's Cancel ends it.
    """
    out_log, err_log = logs or (_nowhere, _nowhere)
    with start(argv, environment=environment, directory=directory) as process:
        lines: list[str] = []
        assert process.stdin and process.stdout and process.stderr
        out = _Capture(process.stdout, lines, out_log)
        err = _Capture(process.stderr, lines, err_log)
        _feed(process.stdin, stdin or io.BytesIO())
        stdout, stderr = out.text(), err.text()
        return Finished(process.wait(), stdout, stderr, "".join(lines).rstrip("\n"))


@contextlib.contextmanager
def start(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a session of its own; on leaving, nothing of it runs any more."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        raise PluginError(f"cannot start {argv[0]}: {error.strerror} ({error.filename})") from error
    _running.add(process)
    try:
        yield process
    finally:
        _running.discard(process)
        if process.poll() is None:
            _end(process)
        _wait(process)


def cancel_all() -> None:
    """End every program that is running; the operations that wait for them then fail."""
    for process in tuple(_running):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _feed(pipe: IO[bytes], source: Readable) -> None:
    # A program may end, or close its input, without reading everything; that is no failure.
    with contextlib.suppress(BrokenPipeError):
        shutil.copyfileobj(source, pipe)
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


def _nowhere(line: str) -> None:
    """Take a log line that nobody asked for."""
