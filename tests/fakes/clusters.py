"""Small valid clusters that the tests of the models spoil in one place each."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHU4bGfM5mYw0sn1nSmsDbIh9Qe1IrxC0h4fBy0mTest a@b"


def node(number: int = 1, **keys: Any) -> dict[str, Any]:
    """A control plane with its own name, MAC address, and an address that others reach it at."""
    address = f"10.66.{number // 250}.{number % 250 + 1}"
    own = {} if "address" in keys or _is_reached(keys) else {"address": address}
    return {
        "hostname": f"n{number}.example.com",
        "macAddress": f"52:54:00:00:00:{number:02x}",
        "role": "control-plane",
        "storage": {"installDisk": "/dev/sda"},
        **own,
        **keys,
    }


def cluster(*nodes: Any, **keys: Any) -> dict[str, Any]:
    """A cluster of the given nodes, or of one; somebody else's load balancer is its endpoint."""
    return deepcopy(
        {
            "name": "test",
            "bootServer": {"url": "https://boot.example.com"},
            "assets": {
                "flatcar": {"version": "4230.2.3"},
                "kubernetes": "1.33.6",
                "containerd": "2.1.4",
                "etcd": "3.6.6",
            },
            "kubernetes": {"endpoint": {"host": "api.example.com"}},
            "nodes": list(nodes) or [node()],
            **keys,
        }
    )


def fleet(*nodes: Any, **keys: Any) -> dict[str, Any]:
    """Machines that form no cluster, with the versions of one; ``assets`` are added to these."""
    made = cluster(*nodes, **keys)
    del made["assets"]["kubernetes"], made["kubernetes"]
    return made


def _is_reached(keys: Mapping[str, Any]) -> bool:
    """Whether the node's own network gives it a static IPv4 address."""
    network = keys.get("network")
    kinds = network.values() if isinstance(network, Mapping) else ()
    cards = [each for kind in kinds if isinstance(kind, Mapping) for each in kind.values()]
    static = [a for card in cards if isinstance(card, Mapping) for a in card.get("addresses", ())]
    return any("." in str(address) for address in static)
