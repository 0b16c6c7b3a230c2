"""How the API is reached: something gives it an address, and the machines can carry it."""

from __future__ import annotations

from typing import Any

import pytest

from kindling.models.loading import load_cluster
from tests.unit.models.test_kubernetes import BALANCER, PLANE, at, endpoint, problems_of

THREE = [at(number, f"10.1.0.{number}/24") for number in (1, 2, 3)]
TWO_BALANCERS = [PLANE, BALANCER, at(3, "10.1.0.3/24", role="load-balancer")]
BY_DHCP = {**BALANCER, "network": {}, "address": "10.1.0.2"}
SENTENCES: list[tuple[dict[str, Any], str]] = [
    (
        endpoint(*THREE),
        (
            "kubernetes.endpoint: gives no address for 3 control planes; add nodes of role "
            "load-balancer, or virtualAddress, which the control planes share, or host, when "
            "something else leads to them"
        ),
    ),
    (
        endpoint(*TWO_BALANCERS),
        (
            "kubernetes.endpoint: gives no address for 2 load balancers; add virtualAddress, which "
            "they share, or host, when something else leads to them"
        ),
    ),
    (
        endpoint(*THREE, virtualAddress="10.1.0.9/24", port=8443),
        (
            "kubernetes.endpoint.port: 8443 is not 6443, where the control planes themselves "
            "answer at the endpoint; remove it, or add nodes of role load-balancer"
        ),
    ),
    (
        endpoint(PLANE, port=8443),
        (
            "kubernetes.endpoint.port: 8443 is not 6443, where the control planes themselves "
            "answer at the endpoint; remove it, or add nodes of role load-balancer"
        ),
    ),
    (
        endpoint(*THREE, virtualAddress="10.1.0.3/24"),
        (
            'kubernetes.endpoint.virtualAddress: "10.1.0.3" is the address of nodes[2]; '
            "give one that no machine has"
        ),
    ),
    (
        endpoint(*THREE, virtualAddress="10.1.0.9/24")
        | {"bootServer": {"url": "https://10.1.0.9:8080"}},
        (
            'kubernetes.endpoint.virtualAddress: "10.1.0.9" is the boot server\'s address; '
            "give another"
        ),
    ),
    (
        endpoint(*THREE, virtualAddress="10.1.0.150/24")
        | {
            "bootServer": {
                "url": "https://boot.example.com",
                "dhcp": {
                    "subnet": "10.1.0.0/24",
                    "range": {"start": "10.1.0.100", "end": "10.1.0.200"},
                },
            }
        },
        (
            'kubernetes.endpoint.virtualAddress: "10.1.0.150" lies in bootServer.dhcp.range '
            "(10.1.0.100 to 10.1.0.200), which DHCP gives to others; take one outside it or "
            "shorten the range"
        ),
    ),
    (
        endpoint(*THREE[:2], at(3, "10.2.0.3/24"), virtualAddress="10.1.0.9/24"),
        (
            'kubernetes.endpoint.virtualAddress: "10.1.0.9" lies in no network of nodes[2], where '
            "it is carried; choose an address in a network that each has a static address in, or "
            "give interface"
        ),
    ),
    (
        endpoint(PLANE, BY_DHCP, virtualAddress="10.1.0.9/24"),
        (
            'kubernetes.endpoint.virtualAddress: "10.1.0.9" lies in no network of nodes[1], where '
            "it is carried; choose an address in a network that each has a static address in, or "
            "give interface"
        ),
    ),
    (
        endpoint(PLANE, BALANCER, virtualAddress="10.1.0.9/24", interface="eth1"),
        (
            'kubernetes.endpoint.interface: "eth1" is no interface of nodes[1] (eth0); name one '
            "that every machine has which carries virtualAddress"
        ),
    ),
    (
        endpoint(PLANE, interface="eth0"),
        (
            'kubernetes.endpoint.interface: "eth0" is the card of virtualAddress, which is not '
            "given; add that or remove this"
        ),
    ),
    (
        endpoint(PLANE, BALANCER, virtualAddress="10.1.0.9/24", host="10.1.0.8"),
        (
            'kubernetes.endpoint.host: "10.1.0.8" is another address than virtualAddress, '
            "10.1.0.9; give a name, or remove it"
        ),
    ),
    (
        endpoint(PLANE, host="2001:db8::9"),
        (
            'kubernetes.endpoint.host: "2001:db8::9" is IPv6, and machines of a cluster reach each '
            "other by IPv4; give that"
        ),
    ),
]


@pytest.mark.parametrize(("bad", "sentence"), SENTENCES, ids=[text[:70] for _, text in SENTENCES])
def test_an_endpoint_that_leads_nowhere_is_refused(bad: dict[str, Any], sentence: str) -> None:
    assert problems_of(bad) == [sentence]


SOUND: list[tuple[dict[str, Any], str]] = [
    (endpoint(PLANE), "10.1.0.1"),
    (endpoint(PLANE, BALANCER, port=443), "10.1.0.2"),
    (endpoint(PLANE, host="API.example.com", port=443), "api.example.com"),
    (endpoint(*THREE, virtualAddress="10.1.0.9/24"), "10.1.0.9"),
    (endpoint(*THREE, virtualAddress="10.1.0.9/32", host="api1"), "api1"),
    (endpoint(*TWO_BALANCERS, virtualAddress="10.1.0.9/24", port=443), "10.1.0.9"),
    (endpoint(PLANE, BY_DHCP, virtualAddress="10.1.0.9/24", interface="ens3"), "10.1.0.9"),
    (endpoint(*TWO_BALANCERS, host="api.example.com"), "api.example.com"),
]


@pytest.mark.parametrize(("data", "host"), SOUND)
def test_roles_choose_who_carries_the_endpoint(data: dict[str, Any], host: str) -> None:
    assert load_cluster(data).endpoint_host == host


def test_the_interface_beside_an_address_is_the_one_that_has_its_network() -> None:
    network = {
        "ethernets": {"eth0": {"addresses": ["10.1.0.1/24", "2001:db8::1/64"]}},
        "vlans": {"v7": {"id": 7, "link": "eth0", "addresses": ["10.7.0.1/24"]}},
    }
    node = load_cluster(endpoint({**PLANE, "network": network})).nodes[0]
    assert node.interface_beside("10.7.0.200") == "v7"
    assert node.interface_beside("2001:db8::99") == "eth0"
    assert node.interface_beside("10.8.0.1") is None


def test_a_wrong_value_in_the_endpoint_is_told_alone() -> None:
    """Not also that nothing gives an address."""
    (found,) = problems_of(endpoint(*THREE, virtualAddress="10.1.0.9"))
    assert found.startswith('kubernetes.endpoint.virtualAddress: "10.1.0.9" has no prefix length')
