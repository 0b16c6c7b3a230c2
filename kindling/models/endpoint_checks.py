"""How the API is reached: something gives it an address, and the machines can carry it."""

from __future__ import annotations

from collections.abc import Sequence

from kindling.models.addresses import check_virtual_address
from kindling.models.cluster import ClusterSettings
from kindling.models.kubernetes import Endpoint
from kindling.models.kubernetes_parsers import is_address
from kindling.models.node import Node
from kindling.models.paths import Location, written
from kindling.models.resolution import Draft, Problems
from kindling.models.role import Role

API_PORT = 6443  # of each API server
_HERE: Location = ("kubernetes", "endpoint")
_CALLED = {Role.CONTROL_PLANE: "a control plane", Role.ETCD: "an etcd node"}


def check_endpoint(drafts: Sequence[Draft], settings: ClusterSettings, problems: Problems) -> None:
    """Everything about `kubernetes.endpoint`; roles and networks of all nodes must be known."""
    endpoint = settings.kubernetes.endpoint
    balancers = _of(drafts, Role.LOAD_BALANCER)
    carriers = balancers or _of(drafts, Role.CONTROL_PLANE)
    _check_given(endpoint, balancers, carriers, problems)
    _check_port(endpoint, balancers, problems)
    _check_family(endpoint, problems)
    if endpoint.virtual_address is None:
        if endpoint.interface is not None:
            message = "is the card of virtualAddress, which is not given; add that or remove this"
            problems.add((*_HERE, "interface"), message, endpoint.interface)
        return
    address = endpoint.virtual_address.partition("/")[0]
    _check_same(endpoint.host, address, problems)
    check_virtual_address(address, drafts, settings, problems)
    if endpoint.interface is None:
        _check_network(carriers, address, problems)
    else:
        _check_interface(carriers, endpoint.interface, problems)


def check_reached(drafts: Sequence[Draft], problems: Problems) -> None:
    """Machines that others talk to have an address that is known beforehand, and IPv4."""
    for draft in drafts:
        node = draft.node
        if node is None or draft.doubtful & {"role", "network", "address"}:
            continue
        address = node.reached_at
        if address is None and node.role is not Role.WORKER:
            what = _CALLED.get(node.role, "a load balancer")
            message = (
                f"is missing: others must know where {what} is; add a static address to network, "
                "or give here the one that DHCP always gives it"
            )
            problems.add(draft.origin(("address",)), message)
        elif address is not None and ":" in address:
            message = (
                f"would be {address}, and machines of a cluster reach each other by IPv4; "
                "add an IPv4 address"
            )
            problems.add(draft.origin(("address",)), message)


def _of(drafts: Sequence[Draft], role: Role) -> list[tuple[Location, Node]]:
    return [
        (draft.location, draft.node) for draft in drafts if draft.node and draft.node.role is role
    ]


def _check_given(
    endpoint: Endpoint,
    balancers: Sequence[object],
    carriers: Sequence[object],
    problems: Problems,
) -> None:
    if len(carriers) < 2 or endpoint.host or endpoint.virtual_address:
        return
    if balancers:
        message = (
            f"gives no address for {len(carriers)} load balancers; add virtualAddress, which they "
            "share, or host, when something else leads to them"
        )
    else:
        message = (
            f"gives no address for {len(carriers)} control planes; add nodes of role "
            "load-balancer, or virtualAddress, which the control planes share, or host, when "
            "something else leads to them"
        )
    problems.add(_HERE, message)


def _check_port(endpoint: Endpoint, balancers: Sequence[object], problems: Problems) -> None:
    foreign = endpoint.host is not None and endpoint.virtual_address is None
    if balancers or foreign or endpoint.port == API_PORT:
        return
    message = (
        f"is not {API_PORT}, where the control planes themselves answer at the endpoint; "
        "remove it, or add nodes of role load-balancer"
    )
    problems.add((*_HERE, "port"), message, endpoint.port)


def _check_family(endpoint: Endpoint, problems: Problems) -> None:
    for key, value in (("host", endpoint.host), ("virtualAddress", endpoint.virtual_address)):
        if value is not None and ":" in value:
            message = "is IPv6, and machines of a cluster reach each other by IPv4; give that"
            problems.add((*_HERE, key), message, value)


def _check_same(host: str | None, address: str, problems: Problems) -> None:
    if host is not None and is_address(host) and host != address:
        message = f"is another address than virtualAddress, {address}; give a name, or remove it"
        problems.add((*_HERE, "host"), message, host)


def _check_network(
    carriers: Sequence[tuple[Location, Node]], address: str, problems: Problems
) -> None:
    lost = [written(place) for place, node in carriers if node.interface_beside(address) is None]
    if lost:
        message = (
            f"lies in no network of {', '.join(lost)}, where it is carried; choose an address in "
            "a network that each has a static address in, or give interface"
        )
        problems.add((*_HERE, "virtualAddress"), message, address)


def _check_interface(
    carriers: Sequence[tuple[Location, Node]], interface: str, problems: Problems
) -> None:
    for place, node in carriers:
        known = node.network.interfaces
        if known and interface not in known:
            message = (
                f"is no interface of {written(place)} ({', '.join(known)}); name one that every "
                "machine has which carries virtualAddress"
            )
            problems.add((*_HERE, "interface"), message, interface)
