"""The one place where external programs are started."""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from kindling.errors import CommandError

log = logging.getLogger(__name__)

_GRACE = 20.0  # seconds for a program to end by itself after it was asked to

# Kept short on purpose: a program gets what it needs to start, not the caller's secrets.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "GOTRACEBACK")


def run(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float = 60.0,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end and return what it printed, whatever its exit code.

    ``timeout`` is in seconds. Raises `CommandError` when the program is missing or too slow;
    callers judge the exit code, because only they know what its output means.
    """
    log.debug("run %s", argv[0])
    try:
        return subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            timeout=timeout,
            env=_environment(environment),
            cwd=directory,
            check=False,
        )
    except FileNotFoundError as error:
        raise _missing(argv) from error
    except subprocess.TimeoutExpired as error:
        raise _too_slow(argv, timeout) from error


def follow(
    argv: Sequence[str],
    line: Callable[[str], None],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> int:
    """Run a program to its end, give ``line`` each line it prints, and return its exit code.

    An interrupt (Ctrl-C) reaches the program once, so that it can end in good order, and is raised
    when it has ended; a second one kills it. So does the end of ``timeout`` seconds, which raises
    `CommandError`, as a missing program does.
    """
    late = threading.Event()

    def end(process: subprocess.Popen[bytes]) -> None:
        late.set()
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        _kill(process)

    with _opened(argv, environment, directory) as process:
        timer = threading.Timer(timeout, end, [process])
        timer.start()
        try:
            code = _follow(process, line)
        finally:
            timer.cancel()
    if late.is_set():
        raise _too_slow(argv, timeout)
    return code


class Background:
    """A program that runs beside this one; made by `beside`."""

    def __init__(self, name: str, output: IO[bytes]) -> None:
        self._name = name
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=[output], daemon=True).start()

    def line(self, timeout: float) -> str:
        """The next line it prints. Raises `CommandError` when it ended or says nothing in time."""
        try:
            found = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise CommandError(f"{self._name} said nothing for {timeout:.0f} s") from None
        if found is None:
            raise CommandError(f"{self._name} ended early")
        return found

    def _read(self, output: IO[bytes]) -> None:
        for raw in output:
            self._lines.put(raw.decode(errors="replace").rstrip())
        self._lines.put(None)


@contextmanager
def beside(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> Iterator[Background]:
    """Run a program until the end of the block. Raises `CommandError` when it is missing."""
    with _opened(argv, environment, None) as process:
        assert process.stdout is not None
        try:
            yield Background(Path(argv[0]).name, process.stdout)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            _kill(process)


def _opened(
    argv: Sequence[str], environment: Mapping[str, str] | None, directory: Path | None
) -> subprocess.Popen[bytes]:
    log.debug("run %s", argv[0])
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(environment),
            cwd=directory,
            # A terminal's Ctrl-C would reach it beside ours, and Pulumi takes two for "at once".
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise _missing(argv) from error


def _follow(process: subprocess.Popen[bytes], line: Callable[[str], None]) -> int:
    assert process.stdout is not None
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            for raw in process.stdout:
                line(raw.decode(errors="replace").rstrip())
            code = process.wait()
            break
        except KeyboardInterrupt as interrupt:
            if interrupted is None:
                process.send_signal(signal.SIGINT)
            else:
                _kill(process)
            interrupted = interrupt
    if interrupted is not None:
        raise interrupted
    return code


def _kill(process: subprocess.Popen[bytes]) -> None:
    """And its own programs, which would keep the pipe open that is read to its end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment(given: Mapping[str, str] | None) -> dict[str, str]:
    built = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**built, **(given or {})}


def _missing(argv: Sequence[str]) -> CommandError:
    return CommandError(f"{argv[0]} is not on PATH; `make setup` makes it available")


def _too_slow(argv: Sequence[str], timeout: float) -> CommandError:
    return CommandError(f"{argv[0]} did not finish within {timeout:.0f} s")
