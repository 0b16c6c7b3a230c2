"""Kernel arguments: the console, and the network that is there before Ignition has run.

Source: dracut.cmdline(7) and systemd-network-generator(8), which Flatcar's initramfs follows.
A machine on DHCP needs no argument: Flatcar's initramfs asks DHCP on every card by itself. On a
bond or a VLAN it cannot know of them, so these are told with ``bond=``, ``vlan=`` and ``ip=``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from kindling.models.architecture import Architecture
from kindling.models.network import Bond, Interface, Network, Vlan
from kindling.models.node import Node
from kindling.rendering.networkd import bond_of, is_bond_or_vlan, is_default, known_macs

# The serial console comes last: it becomes /dev/console, which the installer writes to, and
# machines in racks are read over serial lines.
_CONSOLES = {
    Architecture.X86_64: ("console=tty0", "console=ttyS0,115200n8"),
    Architecture.ARM64: ("console=tty0", "console=ttyAMA0,115200n8"),
}


# A card of any name that Linux gives to Ethernet cards. Not an empty field: before
# systemd-network-generator Flatcar's initramfs makes it `Name=*`, and the loopback interface, which
# that matches too, then takes the whole network for the machine itself (flatcar/scripts#4248).
_ANY_CARD = "e*"


def console_arguments(node: Node) -> tuple[str, ...]:
    """The consoles that the node's own kernel arguments name; else those of its architecture."""
    wanted = node.kernel_arguments.should_exist
    own = tuple(argument for argument in wanted if argument.startswith("console="))
    return own or _CONSOLES[node.arch]


def network_arguments(node: Node, base_url: str) -> tuple[str, ...]:
    """What brings up the network in the initramfs: one ``ip=`` for a static node, else nothing.

    A node whose own ``kernelArguments.shouldExist`` has an ``ip=`` is left alone.
    """
    if any(argument.startswith("ip=") for argument in node.kernel_arguments.should_exist):
        return tuple(filter(is_network_argument, node.kernel_arguments.should_exist))
    chosen = _choose(node.network, _host(base_url))
    if chosen is None:
        return ()
    alone = chosen.name == node.only_card
    name = _ANY_CARD if alone else _initramfs_name(chosen.name, node.network)
    return (
        _ip_argument(chosen, name, node.hostname),
        *(() if alone else _below(chosen.name, node)),
        *(f"nameserver={address}" for address in _nameservers(chosen, node.network)),
    )


def first_boot_arguments(node: Node, base_url: str) -> tuple[str, ...]:
    """Those of `network_arguments` that are Kindling's, which the first good boot takes away."""
    own = node.kernel_arguments.should_exist
    return tuple(each for each in network_arguments(node, base_url) if each not in own)


def is_network_argument(argument: str) -> bool:
    """Whether an argument is about the network of the initramfs."""
    names = {"ip", "nameserver", "vlan", "bond", "ifname", "rd.route", "bridge", "team"}
    return argument.partition("=")[0] in names


def static_address(arguments: Iterable[str]) -> str | None:
    """The address that ``ip=`` names for the installer, as servers see it; None on DHCP."""
    values = (argument.partition("=")[2] for argument in arguments if argument.startswith("ip="))
    return next(filter(None, map(_client_of, values)), None)


def _client_of(value: str) -> str | None:
    """The first field of ``<client>:<peer>:<gateway>:...``; IPv6 addresses are in brackets."""
    bracketed, _, _ = value.removeprefix("[").partition("]")
    text = bracketed if value.startswith("[") else value.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None  # an interface, or the word dhcp


@dataclass(frozen=True)
class _Choice:
    """The one interface that the initramfs configures; without ``address`` by DHCP."""

    name: str
    interface: Interface
    address: ipaddress.IPv4Interface | ipaddress.IPv6Interface | None = None
    gateway: str = ""


def _host(base_url: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(urlsplit(base_url).hostname or "")
    except ValueError:
        return None  # a name


def _choose(
    network: Network, server: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> _Choice | None:
    """The interface that reaches the boot server: beside it, else by a gateway, else by DHCP."""
    members = bond_of(network)
    usable = {name: each for name, each in network.interfaces.items() if name not in members}
    static = [
        _Choice(name, each, address, _gateway(each, address, server))
        for name, each in usable.items()
        for address in _addresses(each, server)
    ]
    for choice in static:
        if choice.address and server and server in choice.address.network:
            return choice
    for choice in static:
        if choice.gateway:
            return choice
    for name, each in usable.items():
        if each.dhcp4 or each.dhcp6:
            return _Choice(name, each) if is_bond_or_vlan(each) else None
    return static[0] if static else None


def _addresses(
    interface: Interface, server: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> Iterable[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
    """Static addresses, those of the boot server's family first, IPv4 when it is not known."""
    version = server.version if server else 4
    parsed = [ipaddress.ip_interface(address) for address in interface.addresses]
    return sorted(parsed, key=lambda address: address.version != version)


def _gateway(
    interface: Interface,
    address: ipaddress.IPv4Interface | ipaddress.IPv6Interface,
    server: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
) -> str:
    """The next hop towards the boot server, of the address's family; empty when there is none."""
    for route in interface.routes:
        if route.via and server and not is_default(route):
            network = ipaddress.ip_network(route.to)
            if server.version == network.version == address.version and server in network:
                return route.via
    given = interface.gateway if address.version == 4 else interface.gateway6
    if given:
        return given
    vias = [route.via for route in interface.routes if route.via and is_default(route)]
    return next((via for via in vias if (":" in via) == (address.version == 6)), "")


def _ip_argument(choice: _Choice, name: str, hostname: str) -> str:
    if choice.address is None:
        return f"ip={name}:{'dhcp' if choice.interface.dhcp4 else 'dhcp6'}"
    address = choice.address
    if address.version == 4:
        # Dotted: every parser of this argument has always known it.
        client, gateway, mask = str(address.ip), choice.gateway, str(address.netmask)
    else:
        gateway = f"[{choice.gateway}]" if choice.gateway else ""
        client, mask = f"[{address.ip}]", str(address.network.prefixlen)
    return f"ip={client}::{gateway}:{mask}:{hostname}:{name}:none"


def _initramfs_name(name: str, network: Network) -> str:
    """A VLAN is called vlan<tag> there, because the tag is read from the name."""
    return f"vlan{network.vlans[name].id}" if name in network.vlans else name


def _below(name: str, node: Node) -> tuple[str, ...]:
    """Arguments that make an interface and all that it stands on."""
    network, macs = node.network, known_macs(node)
    interface = network.interfaces.get(name)
    if isinstance(interface, Vlan):
        link = _initramfs_name(interface.link, network)
        own = f"vlan={_initramfs_name(name, network)}:{link}"
        return (own, *_below(interface.link, node))
    if isinstance(interface, Bond):
        members = ",".join(interface.interfaces)
        own = f"bond={name}:{members}:{_bond_options(interface)}"
        return (own, *(each for member in interface.interfaces for each in _below(member, node)))
    return (f"ifname={name}:{macs[name]}",) if name in macs else ()


def _bond_options(bond: Bond) -> str:
    """Options in the words of the kernel's bonding driver."""
    parameters = bond.parameters
    options: dict[str, object | None] = {
        "mode": bond.mode,
        "miimon": 100 if parameters.miimon is None else parameters.miimon,
        "lacp_rate": parameters.lacp_rate,
        "xmit_hash_policy": parameters.transmit_hash_policy,
        "primary": parameters.primary,
    }
    return ",".join(f"{key}={value}" for key, value in options.items() if value is not None)


def _nameservers(choice: _Choice, network: Network) -> tuple[str, ...]:
    if choice.address is None:
        return ()  # DHCP tells them
    own = choice.interface.nameservers.addresses
    others = [each.nameservers.addresses for each in network.interfaces.values()]
    return own or next((addresses for addresses in others if addresses), ())
