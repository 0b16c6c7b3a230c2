"""The disk of a machine: its own files over layers that machines share.

An overlay, as systemd-sysext makes one of an extension: nothing is copied, and a machine that is
installed again simply gets new, empty files of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from kindling.errors import CommandError
from tests.cluster.harness.commands import call

_SOURCE = "kindling-test"  # what is mounted, as /proc/self/mountinfo shows it


class Tree:
    """A machine's file system in ``folder``; ``root`` is what the machine sees as /."""

    def __init__(self, folder: Path, layers: Sequence[Path]) -> None:
        self.folder = folder
        self.layers = layers  # the topmost first
        self.root = folder / "root"
        self.containers = folder / "containers"  # becomes /var/lib/containerd

    def make(self) -> None:
        """Mount a tree without a file of its own."""
        self.remove()
        for name in ("own", "work", "root", "containers"):
            (self.folder / name).mkdir(parents=True)
        lower = ":".join(str(layer) for layer in self.layers)
        options = f"lowerdir={lower},upperdir={self.folder}/own,workdir={self.folder}/work"
        call(["mount", "-t", "overlay", "-o", options, _SOURCE, str(self.root)])

    def remove(self) -> None:
        """Unmount and delete the tree."""
        unmount_under(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


def unmount_under(folder: Path) -> None:
    """Unmount what a run mounted in ``folder``, the innermost first."""
    for mounted in reversed(_mounted(folder)):
        call(["umount", str(mounted)])


def _mounted(folder: Path) -> list[Path]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        path = Path(line.split()[4].encode().decode("unicode_escape"))
        if path.is_relative_to(folder):
            found.append(path)
    return found


def copy_files(source: Path, target: Path) -> None:
    """Copy a folder; files that nobody changes in place become hard links where that works.

    What containerd stores is written once, except for its databases.
    """
    try:
        call(["cp", "--archive", "--link", f"{source}/.", str(target)])
    except CommandError:  # another file system
        call(["cp", "--archive", f"{source}/.", str(target)], timeout=600)
        return
    for database in target.rglob("*.db"):
        original = source / database.relative_to(target)
        database.unlink()
        shutil.copy2(original, database)
