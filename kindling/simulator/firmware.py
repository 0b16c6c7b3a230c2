"""What the firmware and its iPXE know of a machine before any operating system runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kindling.simulator.architecture import Architecture


class FirmwareKind(StrEnum):
    """As iPXE's ``${platform}`` writes it."""

    EFI = "efi"
    BIOS = "pcbios"


@dataclass(frozen=True)
class Firmware:
    """One boot of one firmware; ``macs`` are lower case with colons, ``macs[0]`` boots."""

    macs: tuple[str, ...]
    arch: Architecture
    kind: FirmwareKind = FirmwareKind.EFI
    disk_boots: bool = False

    @property
    def is_efi(self) -> bool:
        """Whether a failed or ended script goes on to the UEFI boot order."""
        return self.kind is FirmwareKind.EFI

    @property
    def is_x86(self) -> bool:
        """Whether iPXE has the ``cpuid`` command."""
        return self.arch is Architecture.X86_64

    def settings(self) -> dict[str, bytes | str]:
        """Settings of iPXE; MAC addresses as bytes. A BIOS iPXE is a 32-bit program: i386."""
        addresses = [bytes.fromhex(mac.replace(":", "")) for mac in self.macs]
        settings: dict[str, bytes | str] = {
            f"net{index}/mac": address for index, address in enumerate(addresses)
        }
        settings |= {"netX/mac": addresses[0], "mac": addresses[0], "netX": "net0"}
        settings |= {
            "buildarch": self.arch.ipxe if self.is_efi else "i386",
            "platform": str(self.kind),
            "manufacturer": "Kindling simulator",
            "product": "simulated machine",
            "serial": f"SIM-{addresses[0].hex()}",
        }
        return settings
