"""The network of a site: a bridge in a namespace of its own, and one namespace per machine.

Nothing connects the bridge with the host, so no packet leaves.
"""

from __future__ import annotations

import ctypes
import hashlib
import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.harness.commands import call

PREFIX = "kindling-test-"
_NAMESPACES = Path("/run/netns")  # where ip(8) keeps them
_NEWNET = 0x40000000  # CLONE_NEWNET of linux/sched.h
_BRIDGE = "bridge"


@dataclass(frozen=True)
class Card:
    """A machine's network card; ``address`` is what the machine's own configuration gives it."""

    address: str
    mac: str
    name: str = "eth0"


class Network:
    """A bridge with the network's first address, and machines' cards plugged into it."""

    def __init__(self, network: str = "192.0.2.0/24") -> None:
        self.network = ipaddress.IPv4Network(network)
        self.gateway = str(self.network[1])
        self._attached: dict[str, Card] = {}  # by machine
        self._routes: dict[str, str] = {}  # destination -> next hop

    def make(self) -> None:
        """Make the bridge."""
        call(["ip", "netns", "add", PREFIX + _BRIDGE])
        self._ip(_BRIDGE, "link", "set", "lo", "up")
        self._ip(_BRIDGE, "link", "add", "br0", "type", "bridge")
        self._ip(
            _BRIDGE, "address", "add", f"{self.gateway}/{self.network.prefixlen}", "dev", "br0"
        )
        self._ip(_BRIDGE, "link", "set", "br0", "up")

    def attach(self, machine: str, card: Card) -> str:
        """Make a machine's namespace anew, with its card; return the namespace's path.

        The card is up and has no address yet: that is the machine's own business.
        """
        self.detach(machine)
        name, cable = PREFIX + machine, _cable(machine)
        call(["ip", "netns", "add", name])
        self._ip(machine, "link", "set", "lo", "up")
        ends = ["peer", "name", card.name, "address", card.mac, "netns", name]
        self._ip(_BRIDGE, "link", "add", cable, "type", "veth", *ends)
        self._ip(_BRIDGE, "link", "set", cable, "master", "br0", "up")
        self._ip(machine, "link", "set", card.name, "up")
        self._attached[machine] = card
        for destination, via in self._routes.items():
            self._route(machine, destination, via)
        return str(_NAMESPACES / name)

    def detach(self, machine: str) -> None:
        """Remove a machine's namespace with all that is in it, as a power cut does."""
        if self._attached.pop(machine, None):
            # Else the kernel would remove it some time after the namespace, and its name with it.
            self._ip(_BRIDGE, "link", "delete", _cable(machine))
        if (_NAMESPACES / (PREFIX + machine)).exists():
            call(["ip", "netns", "delete", PREFIX + machine])

    def route(self, destination: str, via: str) -> None:
        """Send packets for ``destination`` to the machine at ``via``, from everywhere, from now on.

        This is what a cluster's own network add-on would do for the ranges of pods.
        """
        self._routes[destination] = via
        for machine in [_BRIDGE, *self._attached]:
            self._route(machine, destination, via)

    @contextmanager
    def addressed(self, machine: str) -> Iterator[None]:
        """Give a machine's card its address for the block, as an initial RAM disk would."""
        card = self._attached[machine]
        text = f"{card.address}/{self.network.prefixlen}"
        self._ip(machine, "address", "add", text, "dev", card.name)
        try:
            yield
        finally:
            self._ip(machine, "address", "flush", "dev", card.name, "scope", "global")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread, and what it starts, beside the bridge: at ``gateway``."""
        with Path("/proc/thread-self/ns/net").open() as here:
            with (_NAMESPACES / (PREFIX + _BRIDGE)).open() as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def _route(self, machine: str, destination: str, via: str) -> None:
        card = self._attached.get(machine)
        if card is None or card.address != via:
            # On the link: the machine gives its card the address only later.
            next_hop = ["via", via, "dev", card.name if card else "br0", "onlink"]
            self._ip(machine, "route", "replace", destination, *next_hop)

    def _ip(self, machine: str, *arguments: str) -> None:
        call(["ip", "-netns", PREFIX + machine, *arguments])


def remove_all() -> None:
    """Remove every namespace that a run of the harness made."""
    if _NAMESPACES.is_dir():
        for path in _NAMESPACES.glob(f"{PREFIX}*"):
            call(["ip", "netns", "delete", path.name])


def inside(namespace: str) -> list[str]:
    """The beginning of a command that runs in a namespace."""
    return ["nsenter", f"--net={namespace}", "--"]


def _cable(machine: str) -> str:
    """The name of a machine's cable at the bridge; the kernel allows 15 characters."""
    return f"to-{hashlib.sha256(machine.encode()).hexdigest()[:10]}"


def _enter(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
