"""What no single value can show: checks across nodes and sections."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kindling.errors import StackFileError
from kindling.models.crosschecks import unknown_versions
from kindling.models.loading import load_cluster, warnings
from tests.fakes.clusters import cluster, fleet, node


def problems_of(data: Any) -> list[str]:
    with pytest.raises(StackFileError) as caught:
        load_cluster(data)
    return [str(problem) for problem in caught.value.problems]


def ethernet(**keys: Any) -> dict[str, Any]:
    return {"ethernets": {"eth0": keys}}


def disk(*partitions: dict[str, Any], device: str = "/dev/sda", **keys: Any) -> dict[str, Any]:
    disks = [{"device": device, "partitions": list(partitions), **keys}]
    return {"storage": {"installDisk": "/dev/sda", "disks": disks}}


ACROSS_NODES: list[tuple[list[dict[str, Any]], str]] = [
    (
        [node(1), node(2, hostname="N1.example.com")],
        (
            'nodes[1].hostname: "n1.example.com" is also the hostname of nodes[0]; '
            "each may be given once"
        ),
    ),
    (
        [node(1), node(2, macAddress=["52:54:00:00:00:02", "525400000001"])],
        (
            'nodes[1].macAddress[1]: "52:54:00:00:00:01" is also the MAC address of nodes[0]; '
            "each may be given once"
        ),
    ),
    (
        [node(1), node(2, network=ethernet(macAddress="5254.0000.0001"))],
        (
            'nodes[1].network.ethernets.eth0.macAddress: "52:54:00:00:00:01" is also the MAC '
            "address of nodes[0]; each may be given once"
        ),
    ),
    (
        [
            node(1, network=ethernet(addresses=["2001:db8:0::1/64"])),
            node(2, network=ethernet(addresses=["2001:db8::1/48"])),
        ],
        (
            'nodes[1].network.ethernets.eth0.addresses[0]: "2001:db8::1" is also the address of '
            "nodes[0]; each may be given once"
        ),
    ),
    (
        [node(1, role="worker"), node(2, role="etcd")],
        "nodes: have no control plane; give at least one of them role: control-plane",
    ),
]


@pytest.mark.parametrize(("nodes", "sentence"), ACROSS_NODES)
def test_nodes_do_not_share_what_is_theirs_and_one_is_a_control_plane(
    nodes: list[dict[str, Any]], sentence: str
) -> None:
    assert problems_of(cluster(*nodes)) == [sentence]


def test_an_address_in_a_pool_that_several_nodes_take_is_told_once() -> None:
    pools = {"edge": {"network": ethernet(addresses=["192.0.2.1/24"])}}
    nodes = [node(number, pool="edge", address=None) for number in range(1, 5)]
    assert problems_of(cluster(*nodes, pools=pools)) == [
        (
            'pools.edge.network.ethernets.eth0.addresses[0]: "192.0.2.1" is also the address of '
            "nodes[0]; each may be given once"
        )
    ]


def test_link_local_addresses_and_the_own_card_may_repeat() -> None:
    same = ethernet(addresses=["fe80::1/64"])
    own = ethernet(addresses=["fe80::1/64"], macAddress="52:54:00:00:00:02")
    assert load_cluster(cluster(node(1, network=same), node(2, network=own)))


NETWORK: list[tuple[dict[str, Any], str]] = [
    (
        ethernet(addresses=["192.0.2.5/24"], gateway="198.51.100.1"),
        (
            'ethernets.eth0.gateway: "198.51.100.1" is outside the interface\'s networks '
            "(192.0.2.0/24); give a router in one of them"
        ),
    ),
    (
        ethernet(addresses=["192.0.2.5/24"], gateway="192.0.2.5"),
        "ethernets.eth0.gateway: \"192.0.2.5\" is the machine's own address; give the router's",
    ),
    (
        ethernet(addresses=["192.0.2.5/24"], gateway6="2001:db8::1"),
        (
            'ethernets.eth0.gateway6: "2001:db8::1" has no static IPv6 address beside it; '
            "add one to addresses"
        ),
    ),
    (
        ethernet(dhcp4=True, gateway="192.0.2.1"),
        (
            'ethernets.eth0.gateway: "192.0.2.1" has no static IPv4 address beside it; '
            "add one to addresses"
        ),
    ),
    (
        {"vlans": {"v": {"id": 5, "link": "eth9"}}},
        'vlans.v.link: "eth9" is neither in ethernets nor in bonds (none yet); add it there',
    ),
    (
        {"ethernets": {"e": {}}, "vlans": {n: {"id": 5, "link": "e"} for n in ("v", "w")}},
        "vlans.w.id: 5 is the tag of v on e already; give another",
    ),
    (
        {"bonds": {"b": {"interfaces": ["e1"]}, "c": {"interfaces": ["e2", "b"]}}},
        'bonds.c.interfaces[1]: "b" is a bond or VLAN; members of a bond are network cards',
    ),
    (
        {"bonds": {"b": {"interfaces": ["e1"]}, "c": {"interfaces": ["e1"]}}},
        'bonds.c.interfaces[0]: "e1" is a member of b already; give it once',
    ),
    (
        {"ethernets": {"e1": {"dhcp4": True}}, "bonds": {"b": {"interfaces": ["e1"]}}},
        'bonds.b.interfaces[0]: "e1" has addresses of its own; move them to bonds.b',
    ),
    (
        {"bonds": {"b": {"interfaces": ["e1", "e2"], "parameters": {"primary": "e3"}}}},
        'bonds.b.parameters.primary: "e3" is no member of the bond; choose one of: e1, e2',
    ),
    (
        {"ethernets": {"x": {}}, "bonds": {"x": {"interfaces": ["e1"]}}},
        "bonds.x: is one of ethernets, too; interface names must be unique",
    ),
]


@pytest.mark.parametrize(("network", "sentence"), NETWORK)
def test_networks_hang_together(network: dict[str, Any], sentence: str) -> None:
    assert problems_of(cluster(node(network=network))) == [f"nodes[0].network.{sentence}"]


def test_bonds_of_plain_cards_and_link_local_gateways_are_fine() -> None:
    bond = {"interfaces": ["eno1", "eno2"], "addresses": ["2001:db8::5/64"], "gateway6": "fe80::1"}
    assert load_cluster(cluster(node(network={"bonds": {"bond0": bond}})))


@pytest.mark.parametrize("number", range(9))
def test_the_systems_partitions_on_the_install_disk_are_refused(number: int) -> None:
    bad = cluster(node(**disk({"number": number, "label": "x"})))
    assert problems_of(bad) == [
        (
            f"nodes[0].storage.disks[0].partitions[0].number: {number} is not yours on the install "
            "disk: 1 to 8 are the system's; use 9 to grow ROOT, 10 and up for partitions of "
            "your own"
        )
    ]


def test_root_may_grow_and_more_partitions_may_follow() -> None:
    root = {"number": 9, "label": "ROOT", "sizeMib": 40960, "resize": True}
    assert load_cluster(cluster(node(**disk(root, {"number": 10, "label": "data"}))))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shouldExist", False),
        ("wipePartitionEntry", True),
        ("startMib", 5),
        ("label", "data"),
        ("guid", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
        ("typeGuid", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ],
)
def test_root_may_do_nothing_but_grow(key: str, value: Any) -> None:
    bad = cluster(node(**disk({"number": 9, "resize": True, key: value})))
    assert problems_of(bad) == [
        (
            f"nodes[0].storage.disks[0].partitions[0].{key}: would change ROOT (9), which may only "
            f"grow; remove {key}"
        )
    ]


def test_a_change_of_root_without_resize_is_refused() -> None:
    assert problems_of(cluster(node(**disk({"number": 9})))) == [
        (
            "nodes[0].storage.disks[0].partitions[0].number: 9 is ROOT, which may only grow; "
            "add resize: true and sizeMib"
        )
    ]


def test_the_install_disks_table_is_not_wiped_and_another_disks_may_be() -> None:
    assert problems_of(cluster(node(**disk(wipeTable=True)))) == [
        (
            "nodes[0].storage.disks[0].wipeTable: would erase the system on the install disk; "
            "remove wipeTable"
        )
    ]
    other = disk({"number": 1, "label": "a"}, device="/dev/sdb", wipeTable=True)
    assert load_cluster(cluster(node(**other)))


def test_the_install_disk_of_a_pool_is_judged_together_with_the_nodes_partitions() -> None:
    pools = {"edge": {"storage": {"installDisk": "/dev/sdb"}}}
    bad = disk({"number": 1, "label": "x"}, device="/dev/sdb")
    del bad["storage"]["installDisk"]
    found = problems_of(cluster(node(pool="edge", **bad), pools=pools))
    assert [text.partition(":")[0] for text in found] == [
        "nodes[0].storage.disks[0].partitions[0].number"
    ]


def two(kind: str, **entry: Any) -> dict[str, Any]:
    return {"storage": {"installDisk": "/dev/sda", kind: [entry, entry]}}


DROPIN = {"name": "a.conf", "contents": ""}
TWICE: list[tuple[dict[str, Any], str]] = [
    ({"macAddress": ["52:54:00:00:00:01", "525400000001"]}, "macAddress[1]"),
    (disk(*[{"number": 11}] * 2, device="/dev/sdb"), "storage.disks[0].partitions[1].number"),
    (
        disk({"number": 1, "label": "a"}, {"number": 2, "label": "a"}, device="/dev/sdb"),
        "storage.disks[0].partitions[1].label",
    ),
    (two("disks", device="/dev/sdb"), "storage.disks[1].device"),
    (two("directories", path="/a"), "storage.directories[1].path"),
    (two("links", path="/a", target="/b"), "storage.links[1].path"),
    (two("files", path="/a", contents={"inline": ""}), "storage.files[1].path"),
    ({"systemd": {"units": [{"name": "a.service"}] * 2}}, "systemd.units[1].name"),
    (
        {
            "systemd": {
                "units": [
                    {"name": "a.service", "dropins": [{"name": "a.conf", "contents": ""}] * 2}
                ]
            }
        },
        "systemd.units[0].dropins[1].name",
    ),
    ({"passwd": {"users": [{"name": "a"}] * 2}}, "passwd.users[1].name"),
    ({"passwd": {"groups": [{"name": "a"}] * 2}}, "passwd.groups[1].name"),
]


@pytest.mark.parametrize(("keys", "path"), TWICE, ids=[path for _, path in TWICE])
def test_what_may_be_given_once_is_refused_the_second_time(keys: dict[str, Any], path: str) -> None:
    (found,) = problems_of(cluster(node(**keys)))
    assert found.startswith(f"nodes[0].{path}: ")
    assert "repeats" in found
    assert found.endswith("of the same node; give each once")


def test_names_devices_and_mount_points_of_volumes_are_given_once() -> None:
    clevis = {"tpm2": True}
    storage = {
        "installDisk": "/dev/sda",
        "raid": [{"name": "a", "level": "raid1", "devices": [f"/dev/sd{x}"]} for x in "bc"],
        "luks": [{"name": "a", "device": f"/dev/sd{x}", "clevis": clevis} for x in "de"],
        "filesystems": [{"device": f"/dev/sd{x}", "format": "xfs", "path": "/a"} for x in "fb"],
    }
    found = [text.partition(": ")[0] for text in problems_of(cluster(node(storage=storage)))]
    assert sorted(found) == [
        "nodes[0].storage.filesystems[1].path",
        "nodes[0].storage.luks[1].name",
        "nodes[0].storage.raid[0].devices[0]",
        "nodes[0].storage.raid[1].name",
    ]


STORAGE: list[tuple[dict[str, Any], str]] = [
    (
        {"filesystems": [{"device": "/dev/sda", "format": "xfs"}]},
        'filesystems[0].device: "/dev/sda" is the install disk; name a partition of it',
    ),
    (
        {"raid": [{"name": "a", "level": "raid1", "devices": ["/dev/sdb"], "spares": 1}]},
        "raid[0].spares: 1 leaves no active member of 1 devices; lower spares",
    ),
    (
        {"disks": [{"device": "/dev/sdb", "partitions": [{"number": 0}]}]},
        (
            "disks[0].partitions[0].number: 0 is 0 (the next free one), so a label must tell the "
            "partition; add label"
        ),
    ),
    (
        {"files": [{"path": "/etc/kindling/x", "contents": {"inline": ""}}]},
        'files[0].path: "/etc/kindling/x" is Kindling\'s own place on a node; choose another',
    ),
    (
        {"files": [{"path": "/etc/hostname", "contents": {"inline": ""}}]},
        'files[0].path: "/etc/hostname" is written from hostname; remove it',
    ),
]


@pytest.mark.parametrize(("storage", "sentence"), STORAGE)
def test_storage_hangs_together(storage: dict[str, Any], sentence: str) -> None:
    bad = cluster(node(storage={"installDisk": "/dev/sda", **storage}))
    assert problems_of(bad) == [f"nodes[0].storage.{sentence}"]


def test_etcd_lock_is_refused_while_locksmith_gets_no_certificate() -> None:
    assert problems_of(cluster(updates={"strategy": "etcd-lock"})) == [
        (
            "updates.strategy: \"etcd-lock\" needs a client certificate of etcd's for Flatcar's "
            "locksmith, which machines are not given; write off or reboot"
        )
    ]


def with_sysext(name: str, **keys: Any) -> dict[str, Any]:
    data = cluster(node(1), node(2, arch="arm64"))
    data["assets"]["sysexts"] = [{"name": name, "version": "1.0", **keys}]
    return data


def test_a_source_has_every_architecture_in_use() -> None:
    data = with_sysext("tool", url={"x86-64": "https://a/b.raw"})
    data["assets"]["urls"] = {"etcd": {"arm64": "https://a/c.raw"}}
    assert problems_of(data) == [
        "assets.urls.etcd: lacks x86-64, which nodes have; add x86-64: URL",
        "assets.sysexts[0].url: lacks arm64, which nodes have; add arm64: URL",
    ]


def test_a_known_extension_is_not_added_again() -> None:
    assert problems_of(with_sysext("etcd")) == [
        (
            'assets.sysexts[0].name: "etcd" is a system extension already; '
            "remove it or give assets.etcd"
        )
    ]


KNOWN = {
    "flatcar": frozenset({"4230.2.3"}),
    "kubernetes": frozenset({"1.33.10", "1.33.4", "1.9.0", "1.36.0"}),
    "containerd": frozenset({"2.1.4"}),
    "tool": frozenset({"0.9", "0.8"}),
    "etcd": frozenset({"3.6.6"}),
    "flannel": frozenset({"0.27.4"}),
}


def test_versions_that_nobody_knows_are_problems() -> None:
    data = with_sysext("tool")
    found = unknown_versions(load_cluster(data), KNOWN)
    assert [str(problem) for problem in found] == [
        (
            'assets.kubernetes: "1.33.6" is not in the catalog (known of that line: 1.33.4, '
            "1.33.10); choose a known one or give assets.urls.kubernetes"
        ),
        (
            'assets.sysexts[0].version: "1.0" is not in the catalog (newest known: 0.8, 0.9); '
            "choose a known one or give assets.sysexts[0].url"
        ),
    ]


def test_a_version_with_urls_need_not_be_known() -> None:
    urls = {"x86-64": "https://a/b.raw", "arm64": "https://a/c.raw"}
    data = with_sysext("tool", url=urls)
    data["assets"]["urls"] = {"kubernetes": urls}
    assert unknown_versions(load_cluster(data), KNOWN) == ()


def test_a_sound_cluster_has_no_warnings() -> None:
    assert warnings(load_cluster(cluster())) == ()


def test_an_even_number_of_etcd_members_is_warned_about() -> None:
    """They are the etcd nodes where there are any; then control planes may be two."""
    sentence = (
        "nodes: 2 {} survive no more failures than 1 would: etcd needs a majority; "
        "use an odd number"
    )
    planes, own = (node(1), node(2)), (node(3, role="etcd"), node(4, role="etcd"))
    assert warnings(load_cluster(cluster(*planes))) == (sentence.format("control planes"),)
    assert warnings(load_cluster(cluster(*planes, *own))) == (sentence.format("etcd nodes"),)
    assert warnings(load_cluster(cluster(*planes, own[0]))) == ()


def test_plain_http_with_control_planes_is_warned_about() -> None:
    (found,) = warnings(load_cluster(cluster(bootServer={"url": "http://192.0.2.1:8080"})))
    assert found.startswith("bootServer.url: http://192.0.2.1:8080 is plain http")


def test_a_role_without_its_extension_is_warned_about() -> None:
    data = fleet(node(1, role="etcd"), node(2, role="control-plane"), node(3, role="load-balancer"))
    assert warnings(load_cluster(data)) == (
        "assets.kubernetes: no version is given, so control-plane nodes lack it",
        "assets.keepalived: no version is given, so load-balancer nodes lack it",
    )


def test_no_node_has_the_boot_servers_address_or_one_that_dhcp_gives_away() -> None:
    """Each is told with the range or the server that it collides with."""
    dhcp = {"subnet": "10.0.0.0/24", "range": {"start": "10.0.0.100", "end": "10.0.0.200"}}
    addresses = ("10.0.0.5/24", "10.0.0.100/24", "10.0.0.201/24")
    nodes = [
        node(number, network={"ethernets": {"eth0": {"addresses": [address]}}})
        for number, address in enumerate(addresses, 1)
    ]
    server = {"url": "https://10.0.0.5:8080", "dhcp": dhcp}
    with pytest.raises(StackFileError) as caught:
        load_cluster(cluster(*nodes, bootServer=server))
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 2
    assert told[0].startswith("nodes[0].network.ethernets.eth0.addresses[0]")
    assert "the boot server's address" in told[0]
    assert "bootServer.dhcp.range (10.0.0.100 to 10.0.0.200)" in told[1]


@pytest.mark.parametrize(
    "disk", ["/dev/sda1", "/dev/nvme0n1p2", "/dev/mmcblk0p1", "/dev/disk/by-id/ata-x-part3"]
)
def test_a_partition_is_no_install_disk(disk: str) -> None:
    """The installer would find out only on the machine."""
    with pytest.raises(StackFileError, match="is a partition; name the whole disk"):
        load_cluster(cluster(node(storage={"installDisk": disk})))


@pytest.mark.parametrize("disk", ["/dev/sda", "/dev/nvme0n1", "/dev/mmcblk0", "/dev/disk/by-id/x"])
def test_a_whole_disk_is_one(disk: str) -> None:
    """By the kernel's names and by udev's."""
    assert load_cluster(cluster(node(storage={"installDisk": disk}))).nodes


STATIC = {"addresses": ["192.0.2.11/24"], "gateway": "192.0.2.1"}


@pytest.mark.parametrize(
    "keys",
    [
        {"macAddress": ["52:54:00:00:00:01", "52:54:00:00:00:99"], "network": ethernet(**STATIC)},
        {"network": {"ethernets": {"eno1": STATIC, "eno2": {"dhcp4": True}}}},
    ],
)
def test_a_static_card_among_several_that_only_its_name_tells_is_warned_about(keys: Any) -> None:
    (found,) = warnings(load_cluster(cluster(node(1, **keys))))
    assert found.startswith("nodes: n1.example.com: a static address is on one of several")
    assert found.endswith("give that ethernet its macAddress")


def test_the_only_card_needs_no_address_of_its_own() -> None:
    assert warnings(load_cluster(cluster(node(1, network=ethernet(**STATIC))))) == ()


@pytest.mark.parametrize(
    "network",
    [
        {"ethernets": {"lan0": {}}, "vlans": {"boot": {"id": 7, "link": "lan0", **STATIC}}},
        {"bonds": {"bond0": {"interfaces": ["eno1", "eno2"], **STATIC}}},
    ],
)
def test_booting_over_a_static_bond_or_vlan_is_warned_about_once_for_all_nodes(
    network: Any,
) -> None:
    def with_address(number: int) -> dict[str, Any]:
        text = json.dumps(network).replace("192.0.2.11/", f"192.0.2.{number + 10}/")
        return node(number, network=json.loads(text))

    nodes = [with_address(number) for number in range(1, 6)]
    (found,) = warnings(load_cluster(cluster(*nodes)))
    assert found.startswith(
        "nodes: n1.example.com, n2.example.com, n3.example.com and 2 more: the boot server is "
        "reached by a static address on a bond or VLAN"
    )
    assert "systemd-network-generator" in found


def test_a_vlan_that_does_not_lead_to_the_boot_server_is_no_reason_to_warn() -> None:
    vlan = {"id": 7, "link": "eth0", "addresses": ["198.51.100.5/24"], "gateway": "198.51.100.1"}
    network = {**ethernet(addresses=["192.0.2.11/24"]), "vlans": {"storage": vlan}}
    data = cluster(node(1, network=network), bootServer={"url": "https://192.0.2.2"})
    assert warnings(load_cluster(data)) == ()


def test_an_ip_argument_of_the_nodes_own_is_its_own_business() -> None:
    bond = {"bonds": {"bond0": {"interfaces": ["eno1", "eno2"], **STATIC}}}
    own = {"shouldExist": ["ip=eno1:dhcp"]}
    assert warnings(load_cluster(cluster(node(1, network=bond, kernelArguments=own)))) == ()
