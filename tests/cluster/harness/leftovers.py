"""Leaving nothing behind, however a run ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, Self

from kindling.errors import CommandError
from tests.cluster.harness import groups, network
from tests.cluster.harness.trees import unmount_under
from tools.catalog import ROOT

_END = 120.0


class Guard:
    """A process that cleans up when this one is done with ``folder``, or has been killed.

    It holds the lock as well, so the next run waits for it.
    """

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[lock.fileno()],
            cwd=ROOT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        """Return the guard, which watches already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Have it clean up. Raises `CommandError` when it could not."""
        said = self._process.communicate(timeout=_END)[1].decode(errors="replace")
        if self._process.returncode != 0:
            raise CommandError(f"cleaning up failed:\n{said}")


def remove_leftovers(folder: Path) -> None:
    """Remove everything that a run made outside of ``folder``, then the folder."""
    groups.remove_all()
    network.remove_all()
    unmount_under(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()  # until whoever started this closes the pipe, or is gone
    remove_leftovers(Path(sys.argv[1]))
