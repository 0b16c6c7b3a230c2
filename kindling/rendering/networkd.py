"""The network of a node as systemd-networkd reads it.

Names sort by what stands on what: 10 network cards, 20 bonds, 30 VLANs. Source of the formats:
systemd.network(5), systemd.netdev(5), systemd.link(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kindling.models.network import Bond, Interface, Network, Route, Vlan
from kindling.models.node import Node
from kindling.rendering.text import render_text

DIRECTORY = "/etc/systemd/network"
_TEMPLATES = "flatcar/networkd"
# Names that the kernel itself gives: udev would race with it for them (systemd.link(5), Name=).
_KERNEL_NAME = re.compile(r"eth\d+")
_MIIMON = 100  # ms; networkd's own default is never to look, which keeps a dead member in use


def network_files(node: Node) -> dict[str, tuple[str, str]]:
    """Content and template by path on the machine, sorted by path."""
    made = dict(_boot_card(node) if not node.network.interfaces else _files(node))
    return {path: made[path] for path in sorted(made)}


def bond_of(network: Network) -> dict[str, str]:
    """The bond of each member."""
    return {member: name for name, bond in network.bonds.items() for member in bond.interfaces}


def known_macs(node: Node) -> dict[str, str]:
    """MAC addresses of cards as far as the stack tells them.

    A card's own ``macAddress`` says it; else the node's addresses belong to its only card, or to
    the members of its first bond, in order.
    """
    macs = {node.only_card: node.primary_mac} if node.only_card else {}
    for bond in list(node.network.bonds.values())[:1]:
        if len(node.mac_address) == len(bond.interfaces):
            macs.update(zip(bond.interfaces, node.mac_address, strict=True))
    for name, card in node.network.ethernets.items():
        if card.mac_address:
            macs[name] = card.mac_address
    return macs


_File = tuple[str, tuple[str, str]]


def _file(node: Node, path: str, template: str, /, **values: object) -> _File:
    source = f"{_TEMPLATES}/{template}"
    return f"{DIRECTORY}/{path}", (render_text(source, node.hostname, **values), source)


def _boot_card(node: Node) -> Iterator[_File]:
    """Without a network section: DHCP on the card that the machine boots from."""
    match = f"PermanentMACAddress={node.primary_mac}"
    yield _interface(node, "10-boot", Interface(dhcp4=True, dhcp6=True), match, ())


def _files(node: Node) -> Iterator[_File]:
    yield from _cards(node)
    network, macs = node.network, known_macs(node)
    for name, bond in network.bonds.items():
        yield _bond(node, name, bond, macs)
        yield _interface(node, f"20-{name}", bond, f"Name={name}", _vlans_on(network, name))
    for name, vlan in network.vlans.items():
        yield _file(node, f"30-{name}.netdev", "vlan.netdev", name=name, vlan=vlan)
        yield _interface(node, f"30-{name}", vlan, f"Name={name}", _vlans_on(network, name))


def _cards(node: Node) -> Iterator[_File]:
    network, macs, bonds = node.network, known_macs(node), bond_of(node.network)
    for name in dict.fromkeys([*network.ethernets, *bonds]):
        match = f"Name={name}"
        if name in macs:
            # By address in both files: were the card not renamed, it would still be configured.
            match = f"PermanentMACAddress={macs[name]}"
            if not _KERNEL_NAME.fullmatch(name):
                yield _file(node, f"10-{name}.link", "link.link", name=name, mac=macs[name])
        if name in bonds:
            primary = network.bonds[bonds[name]].parameters.primary == name
            values: Mapping[str, object] = {"bond": bonds[name], "primary": primary}
            yield _file(node, f"10-{name}.network", "member.network", match=match, **values)
        else:
            card = network.ethernets[name]
            yield _interface(node, f"10-{name}", card, match, _vlans_on(network, name))


def _bond(node: Node, name: str, bond: Bond, macs: Mapping[str, str]) -> _File:
    miimon = bond.parameters.miimon
    return _file(
        node,
        f"20-{name}.netdev",
        "bond.netdev",
        name=name,
        bond=bond,
        miimon=_MIIMON if miimon is None else miimon,
        # The first member's address, so that DHCP knows the machine by what it booted with.
        mac=macs.get(bond.interfaces[0]),
    )


def _vlans_on(network: Network, link: str) -> tuple[str, ...]:
    return tuple(name for name, vlan in network.vlans.items() if vlan.link == link)


def _interface(
    node: Node, name: str, interface: Interface, match: str, vlans: tuple[str, ...]
) -> _File:
    return _file(
        node,
        f"{name}.network",
        "interface.network",
        match=match,
        interface=interface,
        vlans=vlans,
        dhcp=_dhcp(interface),
        routes=[_route(route) for route in interface.routes],
    )


def _dhcp(interface: Interface) -> str:
    wanted = {
        (True, True): "yes",
        (True, False): "ipv4",
        (False, True): "ipv6",
        (False, False): "no",
    }
    return wanted[interface.dhcp4, interface.dhcp6]


def _route(route: Route) -> dict[str, object]:
    destination = route.to
    if is_default(route):
        destination = "::/0" if ":" in (route.via or route.to) else "0.0.0.0/0"
    return {"destination": destination, "via": route.via, "metric": route.metric}


def is_default(route: Route) -> bool:
    """Whether a route is for everything; the family is its next hop's."""
    return route.to in {"default", "0.0.0.0/0", "::/0"}


def is_bond_or_vlan(interface: Interface) -> bool:
    """Whether the interface exists only once something makes it."""
    return isinstance(interface, Bond | Vlan)
