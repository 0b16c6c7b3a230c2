"""How much memory a process took at most, as the kernel counts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_KIB = 1024
_CLEAR_PEAK = "5"  # what makes the kernel forget the peak: proc(5), /proc/pid/clear_refs


@dataclass(frozen=True)
class Growth:
    """Watches a process and its children from `since` on; resident sizes in bytes by pid."""

    pid: int
    before: dict[int, int]

    @classmethod
    def since(cls, pid: int) -> Self:
        """Begin to watch; peaks before now do not count."""
        processes = _tree(pid)
        for each in processes:
            Path(f"/proc/{each}/clear_refs").write_text(_CLEAR_PEAK)
        return cls(pid, {each: _resident(each) for each in processes})

    def peak(self) -> int:
        """Bytes beyond what each process had then, at the highest, added up.

        Processes need not peak together, so this is never too small.
        """
        return sum(_resident(each, "VmHWM") - self.before.get(each, 0) for each in _tree(self.pid))


def _tree(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [pid, *(each for child in children for each in _tree(child))]


def _resident(pid: int, field: str = "VmRSS") -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * _KIB if found else 0
