"""systemd-networkd's files: what matches what, and in which order."""

from kindling.rendering.networkd import network_files
from tests.fakes.plans import MAC, make_node

OTHER_MAC = "52:54:00:00:00:02"


def files(network, **fields):
    made = network_files(make_node(network=network, **fields))
    return {path.rsplit("/", 1)[-1]: text for path, (text, _) in made.items()}


def test_a_node_without_network_asks_dhcp_on_the_card_that_it_boots_from():
    made = files({}, macAddress=[MAC, OTHER_MAC])
    assert list(made) == ["10-boot.network"]
    assert f"[Match]\nPermanentMACAddress={MAC}\n" in made["10-boot.network"]
    assert "DHCP=yes\n" in made["10-boot.network"]


def test_a_static_card_has_addresses_gateways_dns_domains_and_mtu():
    text = files(
        {
            "ethernets": {
                "eth0": {
                    "addresses": ["192.0.2.5/24", "2001:db8::5/64"],
                    "gateway": "192.0.2.1",
                    "gateway6": "2001:db8::1",
                    "mtu": 9000,
                    "nameservers": {
                        "addresses": ["192.0.2.53"],
                        "search": ["a.example", "b.example"],
                    },
                }
            }
        }
    )["10-eth0.network"]
    assert text == (
        f"[Match]\nPermanentMACAddress={MAC}\n\n[Link]\nMTUBytes=9000\n\n[Network]\nDHCP=no\n"
        "Address=192.0.2.5/24\nAddress=2001:db8::5/64\nGateway=192.0.2.1\nGateway=2001:db8::1\n"
        "DNS=192.0.2.53\nDomains=a.example b.example\n"
    )


def test_routes_are_sections_of_their_own_and_default_is_written_out():
    text = files(
        {
            "ethernets": {
                "eth0": {
                    "addresses": ["192.0.2.5/24"],
                    "routes": [
                        {"to": "default", "via": "192.0.2.1", "metric": 0},
                        {"to": "default", "via": "2001:db8::1"},
                        {"to": "198.51.100.0/24"},
                    ],
                }
            }
        }
    )["10-eth0.network"]
    assert text.partition("[Route]")[2] == (
        "\nDestination=0.0.0.0/0\nGateway=192.0.2.1\nMetric=0\n\n"
        "[Route]\nDestination=::/0\nGateway=2001:db8::1\n\n"
        "[Route]\nDestination=198.51.100.0/24\nScope=link\n"
    )


def test_a_card_with_an_address_is_matched_by_it_and_renamed():
    made = files({"ethernets": {"lan0": {"macAddress": MAC, "dhcp4": True}}})
    assert f"PermanentMACAddress={MAC}\n\n[Link]\nName=lan0\n" in made["10-lan0.link"]
    assert f"[Match]\nPermanentMACAddress={MAC}\n" in made["10-lan0.network"]
    assert "DHCP=ipv4\n" in made["10-lan0.network"]


def test_the_only_card_is_the_one_with_the_nodes_address_whatever_it_is_called():
    made = files({"ethernets": {"lan0": {"addresses": ["192.0.2.5/24"]}}})
    assert f"PermanentMACAddress={MAC}\n\n[Link]\nName=lan0\n" in made["10-lan0.link"]
    assert f"[Match]\nPermanentMACAddress={MAC}\n" in made["10-lan0.network"]


def test_no_card_is_given_a_name_that_the_kernel_gives_to_others():
    made = files({"ethernets": {"eth0": {"macAddress": MAC, "dhcp4": True}}})
    assert list(made) == ["10-eth0.network"]
    assert f"[Match]\nPermanentMACAddress={MAC}\n" in made["10-eth0.network"]


def test_a_vlan_on_a_card_needs_no_name_of_the_card():
    vlan = {"id": 7, "link": "eth0", "addresses": ["192.0.2.5/24"]}
    made = files({"ethernets": {"eth0": {}}, "vlans": {"vlan7": vlan}})
    assert f"[Match]\nPermanentMACAddress={MAC}\n" in made["10-eth0.network"]
    assert "VLAN=vlan7\n" in made["10-eth0.network"]
    assert "eth0" not in made["30-vlan7.netdev"] + made["30-vlan7.network"]


def test_of_several_cards_those_without_an_address_are_known_by_name():
    made = files({"ethernets": {"eno1": {"dhcp4": True}, "eno2": {"dhcp4": True}}})
    assert "[Match]\nName=eno1\n" in made["10-eno1.network"]


def test_the_members_of_a_bond_take_the_nodes_addresses_in_order():
    bond = {"interfaces": ["eth1", "eth0"], "dhcp4": True, "parameters": {"primary": "eth0"}}
    made = files({"bonds": {"bond0": bond}}, macAddress=[MAC, OTHER_MAC])
    assert f"PermanentMACAddress={MAC}\n" in made["10-eth1.network"]
    assert f"PermanentMACAddress={OTHER_MAC}\n" in made["10-eth0.network"]
    assert "PrimarySlave=yes" in made["10-eth0.network"]
    assert "PrimarySlave" not in made["10-eth1.network"]
    assert f"MACAddress={MAC}\n" in made["20-bond0.netdev"]


def test_a_bond_looks_for_dead_members_even_where_the_stack_does_not_say_how_often():
    made = files({"bonds": {"bond0": {"interfaces": ["eth0"], "dhcp4": True}}})
    assert "MIIMonitorSec=100ms\n" in made["20-bond0.netdev"]


def test_members_are_not_waited_for_one_by_one():
    made = files({"bonds": {"bond0": {"interfaces": ["eth0"], "dhcp4": True}}})
    assert "RequiredForOnline=no\n" in made["10-eth0.network"]


def test_a_vlan_is_made_on_its_link_and_sorted_after_what_it_stands_on():
    made = files(
        {
            "bonds": {"bond0": {"interfaces": ["eth0"]}},
            "vlans": {"vlan7": {"id": 7, "link": "bond0", "addresses": ["192.0.2.5/24"]}},
        }
    )
    assert "VLAN=vlan7\n" in made["20-bond0.network"]
    assert "[VLAN]\nId=7\n" in made["30-vlan7.netdev"]
    assert list(made) == sorted(made)
    assert list(made)[-1] == "30-vlan7.network"


def test_machines_are_known_to_dhcp_by_the_address_of_their_card():
    made = files({"ethernets": {"eth0": {"dhcp4": True}}})
    assert "ClientIdentifier=mac\n" in made["10-eth0.network"]
