"""Kernel command lines are checked as the initramfs of a real machine would meet them."""

from __future__ import annotations

import pytest

from kindling.errors import SimulationError
from kindling.simulator.architecture import Architecture
from kindling.simulator.ends import Boot
from kindling.simulator.firmware import Firmware, FirmwareKind
from kindling.simulator.kernel import CommandLine, installer_command_line
from kindling.simulator.transport import Fetched

FIRST = "flatcar.first_boot=1"


def fetched(path: str) -> Fetched:
    return Fetched(f"http://boot.test/assets/flatcar/{path}", 1, "0" * 64)


def boot(arguments: str, arch: str = "x86-64", initrds: tuple[str, ...] = ("i.gz",)) -> Boot:
    images = tuple(fetched(f"{arch}/1/{name}") for name in initrds)
    return Boot(fetched(f"{arch}/1/vmlinuz"), images, arguments)


def firmware(kind: FirmwareKind = FirmwareKind.EFI) -> Firmware:
    return Firmware(("52:54:00:00:00:01",), Architecture.X86_64, kind)


@pytest.mark.parametrize(
    "ip",
    [
        "",
        "ip=dhcp",
        "ip=eth0:dhcp",
        "ip=10.0.0.2::10.0.0.1:255.255.255.0:host.example:eth0:none",
        "ip=10.0.0.2::10.0.0.1:24:host:eth0:off:10.0.0.1",
        "ip=10.0.0.2:::24:host:eth0:none",
        "ip=[2001:db8::2]::[fe80::1]:64:host:eth0:none",
        "ip=:::::eth0:dhcp",
    ],
)
def test_the_forms_of_ip_that_dracut_reads_pass(ip: str) -> None:
    line = CommandLine.parse(f"vmlinuz console=ttyS0 console=tty0 {ip}")
    assert line.network() == (ip or "DHCP (no ip= given)")


@pytest.mark.parametrize(
    ("ip", "address"),
    [
        ("ip=127.0.0.77:::255.0.0.0:host:eth0:none", "127.0.0.77"),
        ("ip=10.0.0.2:::24:host:eth0:none", None),
        ("ip=[::1]:::128:host:eth0:none", None),
        ("ip=eth0:dhcp", None),
        ("ip=dhcp", None),
        ("", None),
    ],
)
def test_a_simulated_machine_can_only_take_an_address_of_the_loopback_network(
    ip: str, address: str | None
) -> None:
    assert CommandLine.parse(f"vmlinuz {ip}").own_address() == address


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("ip=dhcp ip=eth1:dhcp", "2 times ip="),
        ("ip=10.0.0.2", "not a form that dracut reads"),
        ("ip=10.0.0.999::10.0.0.1:24:h:eth0:none", "ip=10.0.0.999"),
        ("ip=10.0.0.2::10.0.1.1:24:h:eth0:none", "the gateway is not in 10.0.0.0/24"),
        ("ip=10.0.0.2::10.0.0.1::h:eth0:none", "ip=10.0.0.2"),
        ("ip=10.0.0.2::10.0.0.1:24:h:eth0:static", "no autoconf is called static"),
        ("ip=::::h::none", "neither address nor device"),
        ("ip=2001:db8::2::[fe80::1]:64:h:eth0:none", "ip=2001"),
    ],
)
def test_a_network_that_would_not_come_up_is_refused(arguments: str, message: str) -> None:
    with pytest.raises(SimulationError) as raised:
        CommandLine.parse(arguments).network()
    assert message in str(raised.value)


def test_a_repeated_argument_is_refused_without_showing_a_ticket() -> None:
    url = "ignition.config.url=http://x/?token=secretticket"
    with pytest.raises(SimulationError, match="2 times") as raised:
        CommandLine.parse(f"{url} {url}").single("ignition.config.url")
    assert "secretticket" not in str(raised.value)


def test_uefi_needs_each_initrd_named_and_bios_does_not() -> None:
    assert installer_command_line(boot(f"{FIRST} initrd=i.gz"), firmware()).values("initrd")
    assert installer_command_line(boot(FIRST), firmware(FirmwareKind.BIOS))
    with pytest.raises(SimulationError, match=r"UEFI needs initrd=i\.gz"):
        installer_command_line(boot(f"{FIRST} initrd=other.gz"), firmware())


@pytest.mark.parametrize(
    ("booted", "message"),
    [
        (boot("initrd=i.gz"), "flatcar.first_boot=1"),
        (boot("initrd=i.gz flatcar.first_boot=0"), "flatcar.first_boot=1"),
        (boot(FIRST, initrds=()), "without an initrd"),
        (boot(f"{FIRST} initrd=i.gz", arch="arm64"), "arm64 files on a machine of x86-64"),
    ],
)
def test_an_installer_that_could_not_start_is_refused(booted: Boot, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        installer_command_line(booted, firmware())
