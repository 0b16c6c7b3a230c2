"""Control groups for machines: one of its own in every hierarchy, so that all of it can be ended.

Works with the first version, the second, and both at once (hybrid), which is what it was tried on.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PARENT = "kindling-test"
_UNINHERITED = ("cpuset.cpus", "cpuset.mems")  # empty in a new group of the first version


def hierarchies() -> list[Path]:
    """Where the control groups of this system are mounted."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in {"cgroup", "cgroup2"}:
            found.append(Path(before.split()[4]))
    return found


def only_unified() -> bool:
    """Whether the system has the second version alone."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


class Groups:
    """One machine's control groups."""

    def __init__(self, name: str) -> None:
        self.paths = [each / PARENT / name for each in hierarchies()]

    def make(self) -> None:
        """Make the groups; those that exist stay."""
        for path in self.paths:
            path.mkdir(parents=True, exist_ok=True)
            for group in (path.parent, path):
                _inherit(group)

    def remove(self) -> None:
        """End every process in the groups and remove them."""
        _end(self.paths)
        for path in self.paths:
            _remove(path)


def remove_all() -> None:
    """End everything that a machine of any run left, and remove its groups."""
    parents = [each / PARENT for each in hierarchies()]
    _end(parents)
    for parent in parents:
        _remove(parent)


def _inherit(group: Path) -> None:
    for name in _UNINHERITED:
        file = group / name
        if file.exists() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())


def _end(paths: list[Path]) -> None:
    """Kill until nobody is left: a process may fork while the list is read."""
    deadline = time.monotonic() + 30
    while pids := {pid for path in paths for pid in _pids(path)}:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of a machine do not end: {sorted(pids)}")
        time.sleep(0.05)


def _pids(path: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(path):  # which does not mind that groups go away meanwhile
        with suppress(OSError):
            yield from map(int, Path(folder, "cgroup.procs").read_text().split())


def _remove(path: Path) -> None:
    if not path.is_dir():
        return
    for child in path.iterdir():
        if child.is_dir():
            _remove(child)
    deadline = time.monotonic() + 5
    while True:
        try:
            path.rmdir()
        except OSError:  # the kernel lets go of the last process a moment later
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            break
