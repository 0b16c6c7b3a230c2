"""How an iPXE boot can end, and what scripts are fetched through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kindling.simulator.transport import Fetched


@dataclass(frozen=True)
class Boot:
    """The script booted a kernel; ``command_line`` is what follows the image's name."""

    kernel: Fetched
    initrds: tuple[Fetched, ...]
    command_line: str


@dataclass(frozen=True)
class BootDisk:
    """The script booted the first disk (BIOS only)."""


@dataclass(frozen=True)
class Exit:
    """The script ended; the firmware goes on with its next boot device, whatever the status."""

    status: int
    reason: str


End = Boot | BootDisk | Exit


class Fetcher(Protocol):
    """Where scripts and images come from; both raise `TransferFailed`."""

    def script(self, url: str) -> str:
        """The text of a script."""

    def image(self, url: str) -> Fetched:
        """Read a kernel, an initrd or a signature to its end."""


class Finished(Exception):
    """Control flow: the boot is over for iPXE."""

    def __init__(self, end: End) -> None:
        self.end = end


class Jump(Exception):
    """Control flow: ``goto``."""

    def __init__(self, label: str) -> None:
        self.label = label


class Leave(Exception):
    """Control flow: the current script is over."""

    def __init__(self, status: int) -> None:
        self.status = status
