"""Checks of MetalLB's address pools: nobody else may have an address of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from kindling.models.addons import MetalLb
from kindling.models.cluster import ClusterSettings
from kindling.models.node import Node
from kindling.models.node_checks import Finding, repeated
from kindling.models.paths import Location, written

Address = IPv4Address | IPv6Address


class Range(NamedTuple):
    """Addresses from one to another, both included; of one IP version."""

    first: Address
    last: Address

    def overlaps(self, other: Range) -> bool:
        """Whether an address is in both."""
        if self.first.version != other.first.version:
            return False
        return int(self.first) <= int(other.last) and int(other.first) <= int(self.last)


def pool_findings(
    metallb: MetalLb, settings: ClusterSettings, nodes: tuple[Node, ...]
) -> Iterator[Finding]:
    """Ranges that are none, and ranges that overlap with what has an owner already."""
    here: Location = ("addons", "metallb", "pools")
    for finding in repeated(((*here, i, "name"), p.name) for i, p in enumerate(metallb.pools)):
        yield finding._replace(message=finding.message.replace(" of the same node", ""))
    taken = list(_taken(settings, nodes))
    for index, pool in enumerate(metallb.pools):
        for position, text in enumerate(pool.addresses):
            location = (*here, index, "addresses", position)
            try:
                found = parse_range(text)
            except ValueError as error:
                yield Finding(location, str(error), text)
                continue
            owner = next((who for who, other in taken if found.overlaps(other)), None)
            if owner:
                yield Finding(location, f"holds {owner}; take addresses that nobody has", text)
            taken.append((f"addresses of {written(location)}", found))


def parse_range(text: str) -> Range:
    """``first-last`` or a network, with all its addresses, as MetalLB reads them."""
    try:
        if "/" in text:
            network = ip_network(text)
            return Range(network[0], network[-1])
        first, last = (ip_address(part.strip()) for part in text.split("-"))
    except ValueError:
        raise ValueError(
            "is not a range of addresses; write it like 192.0.2.100-192.0.2.120 or 192.0.2.96/28"
        ) from None
    if first.version != last.version or int(first) > int(last):
        raise ValueError("begins after its end; write the lower address first")
    return Range(first, last)


def _taken(settings: ClusterSettings, nodes: tuple[Node, ...]) -> Iterator[tuple[str, Range]]:
    for node in nodes:
        static = (each for card in node.network.interfaces.values() for each in card.addresses)
        plain = (address.partition("/")[0] for address in static)
        for own in dict.fromkeys((*plain, *([node.address] if node.address else []))):
            yield f"{own}, the address of {node.hostname}", _single(own)
    endpoint = settings.kubernetes.endpoint
    if endpoint.virtual_address is not None:
        virtual = endpoint.virtual_address.partition("/")[0]
        yield f"{virtual}, kubernetes.endpoint.virtualAddress", _single(virtual)
    yield from _of_host(endpoint.host, "kubernetes.endpoint.host")
    yield from _of_host(urlsplit(settings.boot_server.url).hostname, "the boot server")
    networking = settings.kubernetes.networking
    yield "addresses of kubernetes.networking.podSubnet", parse_range(networking.pod_subnet)
    yield "addresses of kubernetes.networking.serviceSubnet", parse_range(networking.service_subnet)
    dhcp = settings.boot_server.dhcp
    if dhcp is not None and dhcp.range is not None:
        given = Range(ip_address(dhcp.range.start), ip_address(dhcp.range.end))
        yield "addresses of bootServer.dhcp.range", given
    if dhcp is not None and dhcp.gateway is not None:
        yield f"{dhcp.gateway}, bootServer.dhcp.gateway", _single(dhcp.gateway)


def _of_host(host: str | None, owner: str) -> Iterator[tuple[str, Range]]:
    try:
        yield f"{host}, {owner}", _single(host or "")
    except ValueError:
        return  # a name: who has which address is not known here


def _single(address: str) -> Range:
    found = ip_address(address)
    return Range(found, found)
