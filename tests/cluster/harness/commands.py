"""Running programs and waiting, with messages that tell what went wrong."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from kindling.errors import CommandError
from kindling.process import run


def call(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float = 60.0,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program that must succeed; return what it printed. Raises `CommandError`."""
    return judged(argv, run(argv, stdin=stdin, timeout=timeout, environment=environment))


def judged(argv: Sequence[str], done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what a program printed. Raises `CommandError` when it failed."""
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        said = (text + done.stderr.decode(errors="replace")).strip()
        shown = " ".join(argv)
        raise CommandError(f"{shown[:300]} ended with {done.returncode}:\n{said[-4000:]}")
    return text


def wait_until(what: str, check: Callable[[], bool], timeout: float, every: float = 0.2) -> float:
    """Wait for ``check``; return the seconds it took. Raises `CommandError` naming ``what``."""
    start = time.monotonic()
    while not check():
        if time.monotonic() - start > timeout:
            raise CommandError(f"{what}: not within {timeout:.0f} s")
        time.sleep(every)
    return time.monotonic() - start
