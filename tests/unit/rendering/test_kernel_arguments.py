"""The network of the initramfs: exactly one `ip=` for a static node, and what it stands on."""

from fnmatch import fnmatch

import pytest

from kindling.models.architecture import Architecture
from kindling.rendering.kernel_arguments import (
    console_arguments,
    first_boot_arguments,
    network_arguments,
    static_address,
)
from tests.fakes.plans import MAC, make_node

SERVER = "http://192.0.2.2:8080"
HOST = "node-1.example.com"
OTHER_MAC = "52:54:00:00:00:02"


def arguments(network, *, server=SERVER, **fields):
    return network_arguments(make_node(network=network, **fields), server)


def test_a_static_node_gets_one_address_its_gateway_and_name_servers_on_its_only_card():
    network = {
        "ethernets": {
            "eth0": {
                "addresses": ["192.0.2.5/24"],
                "gateway": "192.0.2.1",
                "nameservers": {"addresses": ["192.0.2.53", "2001:db8::53"]},
            }
        }
    }
    assert arguments(network) == (
        f"ip=192.0.2.5::192.0.2.1:255.255.255.0:{HOST}:e*:none",
        "nameserver=192.0.2.53",
        "nameserver=2001:db8::53",
    )


@pytest.mark.parametrize("own", [{}, {"macAddress": MAC}])
def test_the_only_card_is_found_under_any_name_but_never_taken_for_the_loopback_interface(own):
    (told,) = arguments({"ethernets": {"lan0": {"addresses": ["192.0.2.5/24"], **own}}})
    device = told.split(":")[5]
    cards = ("eth0", "eno1", "enp3s0f0", "enx525400000001")
    assert [name for name in (*cards, "lo") if fnmatch(name, device)] == list(cards)


@pytest.mark.parametrize(
    ("cards", "macs"),
    [
        ({"lan0": {"macAddress": OTHER_MAC}}, [MAC]),
        ({"lan0": {"macAddress": OTHER_MAC}}, [MAC, OTHER_MAC]),
        ({"lan0": {"macAddress": OTHER_MAC}, "lan1": {}}, [MAC]),
    ],
)
def test_of_several_cards_one_with_an_address_is_named_by_it(cards, macs):
    cards = {"lan0": {"addresses": ["192.0.2.5/24"], **cards.pop("lan0")}, **cards}
    assert arguments({"ethernets": cards}, macAddress=macs) == (
        f"ip=192.0.2.5:::255.255.255.0:{HOST}:lan0:none",
        f"ifname=lan0:{OTHER_MAC}",
    )


def test_the_only_ethernet_beside_a_bond_is_not_taken_for_the_card_that_boots():
    network = {
        "ethernets": {"eno3": {"addresses": ["192.0.2.5/24"]}},
        "bonds": {"bond0": {"interfaces": ["eno1", "eno2"]}},
    }
    assert arguments(network) == (f"ip=192.0.2.5:::255.255.255.0:{HOST}:eno3:none",)


@pytest.mark.parametrize(
    "network",
    [{}, {"ethernets": {"eth0": {"dhcp4": True}}}, {"ethernets": {"eth0": {"dhcp6": True}}}],
)
def test_a_node_on_dhcp_needs_no_argument(network):
    assert arguments(network) == ()


def test_ipv6_addresses_are_in_brackets_with_a_prefix_length():
    network = {"ethernets": {"eth0": {"addresses": ["2001:db8::5/64"], "gateway6": "2001:db8::1"}}}
    assert arguments(network, server="http://[2001:db8::2]:8080") == (
        f"ip=[2001:db8::5]::[2001:db8::1]:64:{HOST}:e*:none",
    )


def test_the_address_family_of_the_boot_server_is_chosen():
    both = {"addresses": ["192.0.2.5/24", "2001:db8::5/64"], "gateway": "192.0.2.1"}
    network = {"ethernets": {"eth0": both}}
    assert arguments(network)[0].startswith("ip=192.0.2.5:")
    assert arguments(network, server="http://[2001:db8::2]")[0].startswith("ip=[2001:db8::5]:")


def test_of_several_static_interfaces_the_one_beside_the_boot_server_is_told():
    network = {
        "ethernets": {
            "eth0": {"addresses": ["203.0.113.5/24"], "gateway": "203.0.113.1"},
            "eth1": {"addresses": ["192.0.2.5/24"]},
        }
    }
    assert arguments(network) == (f"ip=192.0.2.5:::255.255.255.0:{HOST}:eth1:none",)


def test_where_none_is_beside_the_boot_server_the_one_with_a_gateway_is_told():
    network = {
        "ethernets": {
            "eth0": {"addresses": ["198.51.100.5/24"]},
            "eth1": {"addresses": ["203.0.113.5/24"], "gateway": "203.0.113.1"},
        }
    }
    assert arguments(network) == (f"ip=203.0.113.5::203.0.113.1:255.255.255.0:{HOST}:eth1:none",)


def test_a_static_network_beside_dhcp_that_does_not_lead_to_the_boot_server_is_not_told():
    network = {
        "ethernets": {"eth0": {"dhcp4": True}, "storage0": {"addresses": ["198.51.100.5/24"]}}
    }
    assert arguments(network) == ()


def test_a_static_route_to_the_boot_server_gives_the_gateway():
    network = {
        "ethernets": {
            "eth0": {
                "addresses": ["198.51.100.5/24"],
                "routes": [{"to": "192.0.2.0/24", "via": "198.51.100.254"}],
            }
        }
    }
    assert arguments(network)[0].startswith("ip=198.51.100.5::198.51.100.254:")


def test_a_default_route_is_a_gateway():
    network = {
        "ethernets": {
            "eth0": {
                "addresses": ["198.51.100.5/24"],
                "routes": [{"to": "default", "via": "198.51.100.1"}],
            }
        }
    }
    assert arguments(network)[0].startswith("ip=198.51.100.5::198.51.100.1:")


def test_a_vlan_is_named_by_its_tag_because_the_parser_reads_the_tag_from_the_name():
    network = {
        "ethernets": {"eth0": {}},
        "vlans": {"storage": {"id": 120, "link": "eth0", "addresses": ["192.0.2.5/24"]}},
    }
    assert arguments(network) == (
        f"ip=192.0.2.5:::255.255.255.0:{HOST}:vlan120:none",
        "vlan=vlan120:eth0",
        f"ifname=eth0:{MAC}",
    )


def test_a_vlan_on_a_bond_tells_all_that_it_stands_on_and_the_cards_by_address():
    network = {
        "bonds": {
            "bond0": {
                "interfaces": ["lan0", "lan1"],
                "mode": "802.3ad",
                "parameters": {"lacpRate": "fast", "transmitHashPolicy": "layer3+4"},
            }
        },
        "vlans": {"vlan7": {"id": 7, "link": "bond0", "addresses": ["192.0.2.5/24"]}},
    }
    assert arguments(network, macAddress=[MAC, OTHER_MAC]) == (
        f"ip=192.0.2.5:::255.255.255.0:{HOST}:vlan7:none",
        "vlan=vlan7:bond0",
        "bond=bond0:lan0,lan1:mode=802.3ad,miimon=100,lacp_rate=fast,xmit_hash_policy=layer3+4",
        f"ifname=lan0:{MAC}",
        f"ifname=lan1:{OTHER_MAC}",
    )


def test_dhcp_on_a_bond_is_told_because_the_initramfs_cannot_guess_a_bond():
    network = {"bonds": {"bond0": {"interfaces": ["eth0", "eth1"], "dhcp4": True}}}
    assert arguments(network) == (
        "ip=bond0:dhcp",
        "bond=bond0:eth0,eth1:mode=active-backup,miimon=100",
    )


def test_an_ip_argument_of_the_node_itself_replaces_ours():
    network = {"ethernets": {"eth0": {"addresses": ["192.0.2.5/24"]}}}
    own = {"shouldExist": ["quiet", "ip=eth9:dhcp"]}
    assert arguments(network, kernelArguments=own) == ("ip=eth9:dhcp",)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (
            ("ip=192.0.2.5::192.0.2.1:255.255.255.0:host:eth0:none", "nameserver=9.9.9.9"),
            "192.0.2.5",
        ),
        (("ip=[2001:DB8:0::5]::[fe80::1]:64:host:eth0:none",), "2001:db8::5"),
        (("quiet", "ip=192.0.2.5:::24:host:vlan7:none", "vlan=vlan7:eth0"), "192.0.2.5"),
        (("ip=bond0:dhcp", "bond=bond0:eth0,eth1"), None),
        (("ip=dhcp",), None),
        (("ip=",), None),
        ((), None),
    ],
)
def test_the_static_address_is_the_first_field_of_ip_in_its_shortest_form(given, address):
    assert static_address(given) == address


@pytest.mark.parametrize(
    ("architecture", "serial"),
    [(Architecture.X86_64, "ttyS0"), (Architecture.ARM64, "ttyAMA0")],
)
def test_the_serial_console_comes_last_because_the_last_one_is_dev_console(architecture, serial):
    assert console_arguments(make_node(arch=architecture))[-1] == f"console={serial},115200n8"


def test_consoles_of_the_node_itself_are_the_installers_too():
    own = {"shouldExist": ["quiet", "console=ttyS1,57600n8", "console=tty0"]}
    node = make_node(kernelArguments=own)
    assert console_arguments(node) == ("console=ttyS1,57600n8", "console=tty0")


def test_only_what_kindling_added_for_the_first_boot_is_taken_away_again():
    network = {
        "ethernets": {
            "eth0": {
                "addresses": ["192.0.2.5/24"],
                "nameservers": {"addresses": ["192.0.2.53", "192.0.2.54"]},
            }
        }
    }
    own = {"shouldExist": ["nameserver=192.0.2.53"]}
    node = make_node(network=network, kernelArguments=own)
    ip = f"ip=192.0.2.5:::255.255.255.0:{HOST}:e*:none"
    assert first_boot_arguments(node, SERVER) == (ip, "nameserver=192.0.2.54")
