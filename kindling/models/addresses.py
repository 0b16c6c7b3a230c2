"""Names and addresses across nodes: each belongs to one machine, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kindling.models.cluster import AddressRange, ClusterSettings
from kindling.models.node import Node
from kindling.models.paths import Location, written
from kindling.models.resolution import Draft, Problems

_VIRTUAL: Location = ("kubernetes", "endpoint", "virtualAddress")


class Identity(NamedTuple):
    """Something that only one machine may have, and where the node says so."""

    kind: str  # hostname, MAC address or address
    name: str
    location: Location


def check_unique(drafts: Iterable[Draft], problems: Problems) -> None:
    """No two nodes share a name, a MAC address or an address."""
    seen: dict[tuple[str, str], tuple[Location, Location]] = {}
    for draft in drafts:
        for kind, name, location in identities(draft):
            owner, place = seen.setdefault((kind, name), (draft.location, location))
            same_entry = owner == draft.location and place == location
            # A card's own address appears twice in one node: where it boots and where it is used.
            if same_entry or (kind == "MAC address" and owner == draft.location):
                continue
            message = f"is also the {kind} of {written(owner)}; each may be given once"
            problems.add(draft.origin(location), message, name)


def check_taken(drafts: Iterable[Draft], settings: ClusterSettings, problems: Problems) -> None:
    """Addresses that the boot server has, or that DHCP would give to somebody else."""
    for draft in drafts:
        for kind, address, location in identities(draft):
            if kind == "address" and (message := _taken(address, settings)):
                problems.add(draft.origin(location), message, address)


def check_virtual_address(
    address: str, drafts: Iterable[Draft], settings: ClusterSettings, problems: Problems
) -> None:
    """The virtual address is no machine's own and not given away by DHCP."""
    if message := _taken(address, settings):
        problems.add(_VIRTUAL, message, address)
    for draft in drafts:
        for kind, name, _ in identities(draft):
            if kind == "address" and name == address:
                owner = written(draft.location)
                message = f"is the address of {owner}; give one that no machine has"
                problems.add(_VIRTUAL, message, address)


def identities(draft: Draft) -> Iterator[Identity]:
    """Everything of a node that must be its own."""
    node = draft.node
    if node is None:
        return
    if "hostname" not in draft.doubtful:
        yield Identity("hostname", node.hostname, ("hostname",))
    if "macAddress" not in draft.doubtful:
        for index, mac in enumerate(node.mac_address):
            yield Identity("MAC address", mac, ("macAddress", index))
    static = tuple(_static_addresses(node))
    yield from _card_addresses(node)
    yield from static
    if node.address is not None and node.address not in (each.name for each in static):
        yield Identity("address", node.address, ("address",))


def _taken(address: str, settings: ClusterSettings) -> str | None:
    dhcp = settings.boot_server.dhcp
    given = dhcp.range if dhcp else None
    if address == urlsplit(settings.boot_server.url).hostname:
        return "is the boot server's address; give another"
    if given and _within(address, given):
        return (
            f"lies in bootServer.dhcp.range ({given.start} to {given.end}), which DHCP "
            "gives to others; take one outside it or shorten the range"
        )
    return None


def _within(address: str, given: AddressRange) -> bool:
    found, start, end = map(ip_address, (address, given.start, given.end))
    return found.version == start.version and int(start) <= int(found) <= int(end)


def _card_addresses(node: Node) -> Iterator[Identity]:
    for name, card in node.network.ethernets.items():
        if card.mac_address is not None:
            here: Location = ("network", "ethernets", name, "macAddress")
            yield Identity("MAC address", card.mac_address, here)


def _static_addresses(node: Node) -> Iterator[Identity]:
    kinds: dict[str, Mapping[str, Any]] = {
        "ethernets": node.network.ethernets,
        "bonds": node.network.bonds,
        "vlans": node.network.vlans,
    }
    for kind, interfaces in kinds.items():
        for name, interface in interfaces.items():
            for index, address in enumerate(interface.addresses):
                plain = address.partition("/")[0]
                if not plain.startswith("fe80:"):  # link-local: unique per link only
                    here: Location = ("network", kind, name, "addresses", index)
                    yield Identity("address", plain, here)
