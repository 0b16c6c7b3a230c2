"""The cluster's own networks: large enough, and apart from each other and from the machines'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, ip_interface, ip_network
from urllib.parse import urlsplit

from kindling.models.cluster import ClusterSettings
from kindling.models.kubernetes import Kubernetes
from kindling.models.paths import Location, written
from kindling.models.resolution import Draft, Problems
from kindling.models.role import Role

_HERE: Location = ("kubernetes", "networking")
_PODS: Location = (*_HERE, "podSubnet")
_SERVICES: Location = (*_HERE, "serviceSubnet")
_MASK_ARGUMENTS = ("node-cidr-mask-size-ipv4", "node-cidr-mask-size")
# Sources: k8s.io/kubernetes, cmd/kubeadm/app/constants/constants.go (MaximumBitsForServiceSubnet,
# PodSubnetNodeMaskMaxDiff), and GetDNSIP: the tenth address of the services' network is the DNS'.
_NODE_MASK = 24
_LARGEST_SERVICES, _SMALLEST_SERVICES = 12, 28
_LARGEST_DIFFERENCE = 16


def check_subnets(drafts: Sequence[Draft], settings: ClusterSettings, problems: Problems) -> None:
    """Everything about `kubernetes.networking`; all nodes' roles and networks must be known."""
    pods = IPv4Network(settings.kubernetes.networking.pod_subnet)
    services = IPv4Network(settings.kubernetes.networking.service_subnet)
    _check_services(services, problems)
    joining = (Role.CONTROL_PLANE, Role.WORKER)
    count = sum(1 for draft in drafts if draft.node and draft.node.role in joining)
    _check_pods(pods, node_mask(settings.kubernetes), count, problems)
    if pods.overlaps(services):
        message = f"overlaps podSubnet, {pods}; give each a network of its own"
        problems.add(_SERVICES, message, str(services))
    for place, mine in ((_PODS, pods), (_SERVICES, services)):
        _check_apart(place, mine, drafts, settings, problems)


def node_mask(kubernetes: Kubernetes) -> int:
    """Prefix length of the network that each node takes out of the pods' network."""
    arguments = kubernetes.controller_manager.extra_args
    given = next((arguments[name] for name in _MASK_ARGUMENTS if name in arguments), "")
    return int(given) if given.isdigit() else _NODE_MASK


def _check_services(services: IPv4Network, problems: Problems) -> None:
    if services.prefixlen > _SMALLEST_SERVICES:
        message = f"has no tenth address for DNS; give /{_SMALLEST_SERVICES} or larger"
        problems.add(_SERVICES, message, str(services))
    elif services.prefixlen < _LARGEST_SERVICES:
        message = f"is larger than kubeadm allows; give /{_LARGEST_SERVICES} or smaller"
        problems.add(_SERVICES, message, str(services))


def _check_pods(pods: IPv4Network, mask: int, count: int, problems: Problems) -> None:
    spare = mask - pods.prefixlen
    if spare > _LARGEST_DIFFERENCE:
        largest = mask - _LARGEST_DIFFERENCE
        message = f"is larger than kubeadm allows with /{mask} per node; give /{largest} or smaller"
        problems.add(_PODS, message, str(pods))
    elif spare < 0 or 2**spare < count:
        fitting = mask - max(count - 1, 0).bit_length()
        message = (
            f"holds {2**spare if spare >= 0 else 0} networks of /{mask}, and {count} nodes take "
            f"one each; give /{fitting} or larger"
        )
        problems.add(_PODS, message, str(pods))


def _check_apart(
    place: Location,
    mine: IPv4Network,
    drafts: Sequence[Draft],
    settings: ClusterSettings,
    problems: Problems,
) -> None:
    taken = next((each for each in _taken(drafts, settings) if mine.overlaps(each[1])), None)
    if taken is not None:
        owner, network = taken
        message = f"overlaps {network} ({owner}); give a network that is nowhere else"
        problems.add(place, message, str(mine))


def _taken(drafts: Sequence[Draft], settings: ClusterSettings) -> Iterator[tuple[str, IPv4Network]]:
    """Every network that is in use outside, by who uses it."""
    with suppress(ValueError):  # a name
        yield from _of("bootServer.url", urlsplit(settings.boot_server.url).hostname or "")
    if settings.boot_server.dhcp is not None:
        network = ip_network(settings.boot_server.dhcp.subnet)
        if isinstance(network, IPv4Network):
            yield "bootServer.dhcp.subnet", network
    if virtual := settings.kubernetes.endpoint.virtual_address:
        yield from _of("kubernetes.endpoint.virtualAddress", virtual)
    for draft in drafts:
        yield from _of_node(draft)


def _of_node(draft: Draft) -> Iterator[tuple[str, IPv4Network]]:
    if draft.node is None:
        return
    owner = written(draft.location)
    for interface in draft.node.network.interfaces.values():
        for address in interface.addresses:
            yield from _of(owner, address)
    if draft.node.address is not None:
        yield from _of(owner, draft.node.address)


def _of(owner: str, address: str) -> Iterator[tuple[str, IPv4Network]]:
    network = ip_interface(address).network
    if isinstance(network, IPv4Network):
        yield owner, network
