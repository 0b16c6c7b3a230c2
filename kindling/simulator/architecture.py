"""The architectures of simulated machines, which share no model with the stack on purpose."""

from __future__ import annotations

from enum import StrEnum


class Architecture(StrEnum):
    """As the stack file and the store's paths write them."""

    X86_64 = "x86-64"
    ARM64 = "arm64"

    @property
    def ipxe(self) -> str:
        """As the 64-bit UEFI programs of iPXE write it in ``${buildarch}``."""
        return "x86_64" if self is Architecture.X86_64 else "arm64"
