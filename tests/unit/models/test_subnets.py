"""The cluster's own networks: large enough, and apart from each other and from the machines'."""

from __future__ import annotations

from typing import Any

import pytest

from kindling.models.loading import load_cluster
from tests.fakes.clusters import node
from tests.unit.models.test_kubernetes import at, problems_of, settings

PODS, SERVICES = "kubernetes.networking.podSubnet", "kubernetes.networking.serviceSubnet"


def networks(*nodes: Any, pods: str = "10.244.0.0/16", services: str = "10.96.0.0/12", **keys: Any
             ) -> dict[str, Any]:  # fmt: skip
    return settings(*nodes, networking={"podSubnet": pods, "serviceSubnet": services}, **keys)


FIVE = [node(number) for number in range(1, 6)]
SENTENCES: list[tuple[dict[str, Any], str]] = [
    (
        networks(services="10.244.128.0/20"),
        (
            f'{SERVICES}: "10.244.128.0/20" overlaps podSubnet, 10.244.0.0/16; give each a network '
            "of its own"
        ),
    ),
    (
        networks(at(1, "10.244.3.5/24")),
        (
            f'{PODS}: "10.244.0.0/16" overlaps 10.244.3.0/24 (nodes[0]); give a network that is '
            "nowhere else"
        ),
    ),
    (
        networks(node(address="10.96.0.5")),
        (
            f'{SERVICES}: "10.96.0.0/12" overlaps 10.96.0.5/32 (nodes[0]); give a network that is '
            "nowhere else"
        ),
    ),
    (
        networks() | {"bootServer": {"url": "https://10.244.0.1"}},
        (
            f'{PODS}: "10.244.0.0/16" overlaps 10.244.0.1/32 (bootServer.url); give a network that '
            "is nowhere else"
        ),
    ),
    (
        networks()
        | {"bootServer": {"url": "https://boot.example.com", "dhcp": {"subnet": "10.100.0.0/16"}}},
        (
            f'{SERVICES}: "10.96.0.0/12" overlaps 10.100.0.0/16 (bootServer.dhcp.subnet); give a '
            "network that is nowhere else"
        ),
    ),
    (
        networks(*FIVE, pods="10.244.0.0/22"),
        (
            f'{PODS}: "10.244.0.0/22" holds 4 networks of /24, and 5 nodes take one each; '
            "give /21 or larger"
        ),
    ),
    (
        networks(pods="10.244.0.0/25"),
        (
            f'{PODS}: "10.244.0.0/25" holds 0 networks of /24, and 1 nodes take one each; '
            "give /24 or larger"
        ),
    ),
    (
        networks(
            pods="10.128.0.0/9", controllerManager={"extraArgs": {"node-cidr-mask-size": 26}}
        ),
        (
            f'{PODS}: "10.128.0.0/9" is larger than kubeadm allows with /26 per node; '
            "give /10 or smaller"
        ),
    ),
    (
        networks(services="10.96.0.0/29"),
        f'{SERVICES}: "10.96.0.0/29" has no tenth address for DNS; give /28 or larger',
    ),
    (
        networks(services="11.0.0.0/8"),
        f'{SERVICES}: "11.0.0.0/8" is larger than kubeadm allows; give /12 or smaller',
    ),
    (
        networks(pods="fd00::/48"),
        (
            f'{PODS}: "fd00::/48" is an IPv6 network; pods and services have IPv4 only, write it '
            "like 10.244.0.0/16"
        ),
    ),
    (
        networks(pods="default"),
        (
            f'{PODS}: "default" is every address there is; write a network like 10.244.0.0/16'
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "sentence"), SENTENCES, ids=[text[:80] for _, text in SENTENCES])
def test_a_network_that_is_too_small_or_taken_is_refused(
    bad: dict[str, Any], sentence: str
) -> None:
    assert problems_of(bad) == [sentence]


@pytest.mark.parametrize(
    "data",
    [
        networks(*FIVE[:4], pods="10.244.0.0/22"),
        networks(
            *FIVE,
            pods="10.244.0.0/22",
            controllerManager={"extraArgs": {"node-cidr-mask-size": 25}},
        ),
        networks(node(1), at(2, "fd00::5/64", address="10.66.9.9"), services="10.96.0.0/28"),
    ],
)
def test_networks_that_just_fit_are_accepted(data: dict[str, Any]) -> None:
    assert load_cluster(data).nodes
