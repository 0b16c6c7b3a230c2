"""The one place where external programs are started."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kindling.errors import CommandError

log = logging.getLogger(__name__)

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
    built = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    built.update(environment or {})
    log.debug("run %s", argv[0])
    try:
        return subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            timeout=timeout,
            env=built,
            cwd=directory,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]} is not on PATH; `make setup` makes it available") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{argv[0]} did not finish within {timeout:.0f} s") from error
