"""Checks within a node's network: gateways are reachable, interfaces exist."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kindling.models.network import Interface, Network
from kindling.models.node import Node
from kindling.models.node_checks import Finding
from kindling.models.paths import Location


def check_network(node: Node) -> Iterator[Finding]:
    """Everything about one node's interfaces."""
    network = node.network
    for kind, name, interface in _interfaces(network):
        here: Location = ("network", kind, name)
        yield from _check_gateway(interface, here, "gateway", interface.gateway)
        yield from _check_gateway(interface, here, "gateway6", interface.gateway6)
    yield from _check_names(network)
    yield from _check_bonds(network)
    yield from _check_vlans(network)
    yield from _check_address(node)


def _check_address(node: Node) -> Iterator[Finding]:
    """Where everything is static, the node's address is one of those."""
    if node.address is None:
        return
    interfaces = node.network.interfaces.values()
    given = [each.partition("/")[0] for one in interfaces for each in one.addresses]
    static = [each for each in given if (":" in each) == (":" in node.address)]
    asked = any(each.dhcp4 or each.dhcp6 for each in interfaces)
    if static and not asked and node.address not in static:
        message = f"is none of the node's addresses; choose one of: {', '.join(static)}"
        yield Finding(("address",), message, node.address)


def _interfaces(network: Network) -> Iterator[tuple[str, str, Interface]]:
    yield from (("ethernets", name, each) for name, each in network.ethernets.items())
    yield from (("bonds", name, each) for name, each in network.bonds.items())
    yield from (("vlans", name, each) for name, each in network.vlans.items())


def _check_gateway(
    interface: Interface, here: Location, key: str, gateway: str | None
) -> Iterator[Finding]:
    if gateway is None:
        return
    address = ipaddress.ip_address(gateway)
    own = [ipaddress.ip_interface(each) for each in interface.addresses]
    own = [each for each in own if each.version == address.version]
    if any(each.ip == address for each in own):
        message = "is the machine's own address; give the router's"
        yield Finding((*here, key), message, gateway)
    elif address.is_link_local and address.version == 6:
        return  # routers announce themselves by link-local addresses, which are on every link
    elif not own:
        message = f"has no static IPv{address.version} address beside it; add one to addresses"
        yield Finding((*here, key), message, gateway)
    elif not any(address in each.network for each in own):
        networks = ", ".join(str(each.network) for each in own)
        message = f"is outside the interface's networks ({networks}); give a router in one of them"
        yield Finding((*here, key), message, gateway)


def _check_names(network: Network) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for kind, name, _ in _interfaces(network):
        if first.setdefault(name, kind) != kind:
            message = f"is one of {first[name]}, too; interface names must be unique"
            yield Finding(("network", kind, name), message)


def _check_bonds(network: Network) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, bond in network.bonds.items():
        here: Location = ("network", "bonds", name)
        for index, member in enumerate(bond.interfaces):
            if message := _refused_member(network, member, taken, name):
                yield Finding((*here, "interfaces", index), message, member)
            taken.setdefault(member, name)
        primary = bond.parameters.primary
        if primary is not None and primary not in bond.interfaces:
            message = f"is no member of the bond; choose one of: {', '.join(bond.interfaces)}"
            yield Finding((*here, "parameters", "primary"), message, primary)


def _refused_member(network: Network, member: str, taken: dict[str, str], bond: str) -> str | None:
    if member in network.bonds or member in network.vlans:
        return "is a bond or VLAN; members of a bond are network cards"
    if member in taken:
        where = "this bond" if taken[member] == bond else taken[member]
        return f"is a member of {where} already; give it once"
    card = network.ethernets.get(member)
    if card and (card.addresses or card.dhcp4 or card.dhcp6):
        return f"has addresses of its own; move them to bonds.{bond}"
    return None


def _check_vlans(network: Network) -> Iterator[Finding]:
    tags: dict[tuple[str, int], str] = {}
    for name, vlan in network.vlans.items():
        here: Location = ("network", "vlans", name)
        if vlan.link not in network.ethernets and vlan.link not in network.bonds:
            known = ", ".join((*network.ethernets, *network.bonds)) or "none yet"
            message = f"is neither in ethernets nor in bonds ({known}); add it there"
            yield Finding((*here, "link"), message, vlan.link)
        if (other := tags.setdefault((vlan.link, vlan.id), name)) != name:
            message = f"is the tag of {other} on {vlan.link} already; give another"
            yield Finding((*here, "id"), message, vlan.id)
