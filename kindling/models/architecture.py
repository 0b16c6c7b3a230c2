"""The two architectures, and the one table of how everybody else spells them."""

from __future__ import annotations

from enum import StrEnum


class Architecture(StrEnum):
    """``x86-64`` and ``arm64`` are the only spellings in configuration, file names and URLs."""

    X86_64 = "x86-64"
    ARM64 = "arm64"

    @property
    def go(self) -> str:
        """As Go, Debian and Kubernetes (``kubernetes.io/arch``) write it."""
        return _SPELLINGS[self]["go"]

    @property
    def kernel(self) -> str:
        """As the Linux kernel (``uname -m``) writes it."""
        return _SPELLINGS[self]["kernel"]

    @property
    def ipxe(self) -> str:
        """As iPXE's ``${buildarch}`` writes it (a 32-bit BIOS build says i386 on any machine)."""
        return _SPELLINGS[self]["ipxe"]

    @property
    def flatcar_board(self) -> str:
        """The board in Flatcar's download URLs."""
        return f"{self.go}-usr"


_SPELLINGS: dict[Architecture, dict[str, str]] = {
    Architecture.X86_64: {"go": "amd64", "kernel": "x86_64", "ipxe": "x86_64"},
    Architecture.ARM64: {"go": "arm64", "kernel": "aarch64", "ipxe": "arm64"},
}

# What people write instead, for hints in error messages; never accepted silently.
COMMON_MISSPELLINGS: dict[str, Architecture] = {
    "amd64": Architecture.X86_64,
    "x86_64": Architecture.X86_64,
    "x64": Architecture.X86_64,
    "aarch64": Architecture.ARM64,
    "arm": Architecture.ARM64,
    "armv8": Architecture.ARM64,
}
