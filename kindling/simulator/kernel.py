"""Kernel command lines: what the initramfs of an installer or of an installed node reads."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from kindling.errors import SimulationError
from kindling.simulator.architecture import Architecture
from kindling.simulator.console import redact
from kindling.simulator.ends import Boot
from kindling.simulator.firmware import Firmware

_FIRST_BOOT = ("flatcar.first_boot", "coreos.first_boot")
_AUTOMATIC = {"dhcp", "on", "any", "dhcp6", "auto6", "either6", "both", "ibft", "link6"}
_SILENT = {"off", "none", ""}
_STATIC_FIELDS = 7  # client:server:gateway:netmask:host:device:autoconf, then DNS and more


@dataclass(frozen=True)
class CommandLine:
    """Arguments in order; a name may be there several times (``console=``)."""

    arguments: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> CommandLine:
        """Split at white space. The image's own name, which newer iPXE puts first, is harmless."""
        pairs = (word.partition("=") for word in text.split())
        return cls(tuple((name, value) for name, _equals, value in pairs))

    def values(self, name: str) -> list[str]:
        """All values of one argument."""
        return [value for each, value in self.arguments if each == name]

    def single(self, name: str) -> str | None:
        """The value of an argument that may be there once. Raises `SimulationError` if repeated."""
        found = self.values(name)
        if len(found) > 1:
            shown = redact(" ".join(f"{name}={value}" for value in found))
            raise SimulationError(f"kernel command line: {len(found)} times {name}= ({shown})")
        return found[0] if found else None

    def network(self) -> str:
        """How the initramfs gets its address: checks ``ip=``; without one it is DHCP."""
        value = self.single("ip")
        if value is None:
            return "DHCP (no ip= given)"
        _check_ip(value)
        return f"ip={value}"

    def own_address(self) -> str | None:
        """The static address of ``ip=`` if a simulated machine can have it: 127.0.0.0/8 only.

        Every other address would have to be configured on the host.
        """
        client = _split_brackets(self.single("ip") or "")[0]
        try:
            found = ipaddress.IPv4Address(client)
        except ValueError:
            return None
        return str(found) if found.is_loopback else None


def installer_command_line(boot: Boot, firmware: Firmware) -> CommandLine:
    """The command line of a network-booted installer, checked as firmware and kernel would.

    Raises `SimulationError` when a real machine would hang or boot without what it needs.
    """
    _check_architecture(boot, firmware.arch)
    if not boot.initrds:
        raise SimulationError(f"{boot.kernel.url}: booted without an initrd")
    line = CommandLine.parse(boot.command_line)
    if firmware.is_efi:  # only BIOS iPXE hands images over without being told
        _check_initrds(boot, line)
    if not any(value not in ("", "0") for name in _FIRST_BOOT for value in line.values(name)):
        raise SimulationError(
            "kernel command line: without flatcar.first_boot=1 Ignition does not run"
        )
    return line


def _check_architecture(boot: Boot, arch: Architecture) -> None:
    for fetched in (boot.kernel, *boot.initrds):
        others = {str(each) for each in Architecture if each is not arch}
        if found := others & set(fetched.url.split("/")):
            raise SimulationError(f"{fetched.url}: {found.pop()} files on a machine of {arch}")


def _check_initrds(boot: Boot, line: CommandLine) -> None:
    named = line.values("initrd")
    for fetched in boot.initrds:
        name = fetched.url.rsplit("/", 1)[-1]
        if name not in named:
            raise SimulationError(f"kernel command line: UEFI needs initrd={name}")


def _check_ip(value: str) -> None:
    """The forms of dracut.cmdline(7) that Kindling writes."""
    fields = _split_brackets(value)
    if value in _AUTOMATIC or (len(fields) in (2, 3, 4) and fields[1] in _AUTOMATIC):
        return
    if len(fields) < _STATIC_FIELDS:
        raise SimulationError(f"kernel command line: ip={value} is not a form that dracut reads")
    client, _server, gateway, mask, _host, device, automatic = fields[:_STATIC_FIELDS]
    if automatic not in _AUTOMATIC | _SILENT:
        raise SimulationError(f"kernel command line: ip={value}: no autoconf is called {automatic}")
    if not device and not client:
        raise SimulationError(f"kernel command line: ip={value} names neither address nor device")
    if client and automatic in _SILENT:
        _check_addresses(value, client, gateway, mask)


def _check_addresses(value: str, client: str, gateway: str, mask: str) -> None:
    try:
        network = ipaddress.ip_interface(f"{client}/{mask}").network
        inside = not gateway or ipaddress.ip_address(gateway) in network
    except ValueError as error:
        raise SimulationError(f"kernel command line: ip={value}: {error}") from error
    if not inside and network.version == 4:  # an IPv6 gateway may be link-local
        raise SimulationError(f"kernel command line: ip={value}: the gateway is not in {network}")


def _split_brackets(value: str) -> list[str]:
    """Fields between colons; IPv6 addresses stand in brackets, which are taken off."""
    fields, inside = [""], False
    for character in value:
        if character in "[]":
            inside = character == "["
        elif character == ":" and not inside:
            fields.append("")
        else:
            fields[-1] += character
    return fields
