"""What is doubtful about nodes' networks before Ignition has run: warnings, not refusals."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from kindling.models.network import Bond, Interface, Vlan
from kindling.models.node import Node


def network_warnings(nodes: Iterable[Node], boot_server: str) -> Iterator[str]:
    """One sentence per doubt, for all nodes that share it. ``boot_server`` is its URL."""
    server = urlsplit(boot_server).hostname or ""
    ours = [node for node in nodes if not _has_own_ip(node)]
    if guessed := [node for node in ours if _guesses_card(node)]:
        yield (
            f"nodes: {_names(guessed)}: a static address is on one of several network cards, and "
            "only its name tells it (eno1, enp1s0f0, ...); give that ethernet its macAddress"
        )
    if made := [node for node in ours if _boots_over_bond_or_vlan(node, server)]:
        yield (
            f"nodes: {_names(made)}: the boot server is reached by a static address on a bond or "
            "VLAN, which only Flatcar releases with systemd-network-generator in the initramfs "
            "make (flatcar/scripts#4248); use one, or boot over an untagged network card"
        )


def _names(nodes: Sequence[Node]) -> str:
    shown = ", ".join(node.hostname for node in nodes[:3])
    return f"{shown} and {len(nodes) - 3} more" if len(nodes) > 3 else shown


def _has_own_ip(node: Node) -> bool:
    return any(each.startswith("ip=") for each in node.kernel_arguments.should_exist)


def _guesses_card(node: Node) -> bool:
    return any(
        card.addresses and card.mac_address is None and name != node.only_card
        for name, card in node.network.ethernets.items()
    )


def _boots_over_bond_or_vlan(node: Node, server: str) -> bool:
    """Whether rendering's choice is one: beside the boot server, else with a gateway."""
    static = [each for each in node.network.interfaces.values() if each.addresses]
    beside = [each for each in static if _holds(each, server)]
    chosen = beside or [each for each in static if _has_gateway(each)]
    return bool(chosen) and isinstance(chosen[0], Bond | Vlan)


def _holds(interface: Interface, server: str) -> bool:
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False  # a name
    return any(address in ipaddress.ip_interface(each).network for each in interface.addresses)


def _has_gateway(interface: Interface) -> bool:
    return any((interface.gateway, interface.gateway6, *(each.via for each in interface.routes)))
