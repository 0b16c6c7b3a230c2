"""All problems of a cluster are told together, each with path, value and remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from kindling.errors import StackFileError
from kindling.models.cluster import ClusterSettings
from kindling.models.fields import fields_of, models_in
from kindling.models.loading import load_cluster
from kindling.models.node import Node
from tests.fakes.clusters import KEY, cluster, node


def problems_of(data: Any) -> list[str]:
    with pytest.raises(StackFileError) as caught:
        load_cluster(data)
    return [str(problem) for problem in caught.value.problems]


def test_a_foreign_architecture_is_refused_with_path_value_and_remedy() -> None:
    bad = cluster(node(1), node(2), node(3), node(4, arch="amd64"))
    assert problems_of(bad) == [
        (
            'nodes[3].arch: "amd64" is not an architecture here; '
            "arch must be one of: x86-64, arm64 (amd64 is x86-64)"
        )
    ]


SENTENCES: list[tuple[dict[str, Any], str]] = [
    (cluster(node(hostnam=1)), "nodes[0].hostnam: is not a key here; did you mean hostname?"),
    (
        cluster(node(mac_address=1)),
        "nodes[0].mac_address: is not a key here; did you mean macAddress?",
    ),
    (
        cluster(zzz=1),
        (
            "zzz: is not a key here; the keys are: name, sshAuthorizedKeys, proxy, bootServer, "
            "assets, updates, kubernetes, etcd, cni, addons, manifests, credentials, roll, "
            "defaults, pools, nodes"
        ),
    ),
    (cluster(pool={}), "pool: is not a key here; did you mean pools?"),
    (
        cluster(node(role="worked"), node(2)),
        (
            'nodes[0].role: "worked" is not allowed here; role must be one of: control-plane, '
            "worker, load-balancer, etcd (did you mean worker?)"
        ),
    ),
    (
        cluster(node(os="windows")),
        'nodes[0].os: "windows" is not allowed here; os must be one of: flatcar',
    ),
    (cluster(node(generation=0)), "nodes[0].generation: 0 is too small; the least is 1"),
    (
        cluster(node(generation=1.5)),
        "nodes[0].generation: 1.5 is not a number; write a whole number without quotes",
    ),
    (
        cluster(node(network={"vlans": {"v": {"id": 5000, "link": "e"}}})),
        "nodes[0].network.vlans.v.id: 5000 is too large; the most is 4094",
    ),
    (
        cluster(assets={"flatcar": {"version": 1.33}}),
        'assets.flatcar.version: 1.33 is a number and must be text; put it in quotes: "1.33"',
    ),
    (
        cluster(node(labels={"a": True})),
        'nodes[0].labels.a: true is not text; put it in quotes: "true"',
    ),
    (
        cluster(node(labels={"example.com/a b": "c"})),
        (
            'nodes[0].labels["example.com/a b"]: "example.com/a b" is not a label key; '
            "write it like example.com/rack or rack"
        ),
    ),
    (cluster(node(labels=None)), "nodes[0].labels: is empty; give a value or remove the key"),
    (
        cluster(node(taints="x")),
        'nodes[0].taints: "x" must be a list: one entry per line, each begins with -',
    ),
    (
        cluster(node(labels=["x"])),
        "nodes[0].labels: must be a map: keys with values, indented below it",
    ),
    (
        cluster(node(storage="/dev/sda")),
        'nodes[0].storage: "/dev/sda" must be a map: keys with values, indented below it',
    ),
    (
        cluster(node(storage={})),
        (
            "nodes[0].storage.installDisk: is missing; "
            "add it (The disk that the system is installed on)"
        ),
    ),
    (
        cluster(node(macAddress=[])),
        "nodes[0].macAddress: has too few entries; give at least 1",
    ),
    (
        cluster(node(preInstallCommands=[""])),
        'nodes[0].preInstallCommands[0]: "" is empty; give some text or remove it',
    ),
    (
        cluster(node(preInstallCommands=[["a"]])),
        "nodes[0].preInstallCommands[0]: must be text, one value only",
    ),
    (
        cluster(bootServer={"url": "https://a", "store": {"http": "https://a", "directory": "/b"}}),
        "bootServer.store: needs exactly one of: http, directory",
    ),
    (
        cluster(bootServer={"url": "https://a", "armFor": 5}),
        "bootServer.armFor: 5 is too small; the least is 60",
    ),
    (cluster(proxy={}), "proxy: names no proxy; give http, https or both, or remove it"),
    (
        cluster(sshAuthorizedKeys=["ssh-dss AAAA"]),
        (
            'sshAuthorizedKeys[0]: "ssh-dss AAAA" is not an OpenSSH public key; '
            "write it like: ssh-ed25519 AAAA... name"
        ),
    ),
    (cluster(nodes="x"), "nodes: must be a list with at least one node; each begins with -"),
    (cluster(nodes=[]), "nodes: has no nodes; give at least one, a control plane"),
    (
        cluster(node(), 5),
        "nodes[1]: 5 must be a map: keys with values, indented below it",
    ),
    (
        cluster(node(kernelArguments={"shouldExist": ["a b"]})),
        (
            'nodes[0].kernelArguments.shouldExist[0]: "a b" is not one kernel argument; '
            "give one per list entry"
        ),
    ),
    (
        cluster(node(kernelArguments={"shouldNotExist": ["a=$b"]})),
        (
            'nodes[0].kernelArguments.shouldNotExist[0]: "a=$b" has one of " \\ $ | `, '
            "with which Flatcar restarts for ever; do without"
        ),
    ),
    (
        cluster(node(systemd={"units": [{"name": "backup"}]})),
        (
            'nodes[0].systemd.units[0].name: "backup" is not a unit name; '
            "end it with .service, .mount, .timer, ..."
        ),
    ),
]


@pytest.mark.parametrize(("bad", "sentence"), SENTENCES, ids=[text for _, text in SENTENCES])
def test_each_kind_of_mistake_has_one_sentence(bad: dict[str, Any], sentence: str) -> None:
    assert problems_of(bad) == [sentence]


def storage(**keys: Any) -> dict[str, Any]:
    return cluster(node(storage={"installDisk": "/dev/sda", **keys}))


INSIDE_STORAGE: list[tuple[dict[str, Any], str]] = [
    (
        {"files": [{"path": "/a", "contents": {"inline": "x", "source": "https://a"}}]},
        "files[0].contents: needs exactly one of: inline, source",
    ),
    (
        {"files": [{"path": "/a", "contents": {"source": "https://a"}}]},
        "files[0].contents: needs source and sha256 together; inline text needs no digest",
    ),
    (
        {"filesystems": [{"device": "/dev/sdb", "format": "xfs", "withMountUnit": True}]},
        "filesystems[0]: has withMountUnit but nowhere to mount; add path",
    ),
    (
        {"luks": [{"name": "a", "device": "/dev/sdb", "clevis": {}}]},
        "luks[0].clevis: unlocks nothing; set tpm2: true or give tang servers",
    ),
    (
        {"luks": [{"name": "a", "device": "/dev/sdb", "clevis": {"tpm2": True, "threshold": 2}}]},
        "luks[0].clevis: needs 2 of 1 keys; threshold is 1 to 1",
    ),
    (
        {"disks": [{"device": "/dev/sdb", "partitions": [{"number": 1, "label": "a:b"}]}]},
        'disks[0].partitions[0].label: "a:b" is not a label; use at most 36 characters, no :',
    ),
]


@pytest.mark.parametrize(("bad", "sentence"), INSIDE_STORAGE)
def test_parts_of_storage_that_contradict_each_other_are_refused(
    bad: dict[str, Any], sentence: str
) -> None:
    assert problems_of(storage(**bad)) == [f"nodes[0].storage.{sentence}"]


def test_all_problems_are_told_at_once_and_cross_checks_run_in_spite_of_wrong_values() -> None:
    bad = cluster(
        node(1, arch="arm", network={"ethernets": {"e": {"addresses": ["192.0.2.1/24"]}}}),
        node(
            2,
            hostname="N1.example.com",
            generation="x",
            network={
                "ethernets": {"e": {"addresses": ["192.0.2.1/24"], "mtu": 5}},
                "vlans": {"v": {"id": 5}},
            },
        ),
        name="A",
        updates={"strategy": "etcd-lock"},
        assets={},
    )
    found = "\n".join(problems_of(bad))
    for expected in (
        "name: ",
        "assets.flatcar: is missing",
        "updates.strategy: ",
        "nodes[0].arch: ",
        "nodes[1].generation: ",
        "nodes[1].network.ethernets.e.mtu: ",
        "nodes[1].network.vlans.v.link: is missing",
        "nodes[1].hostname: ",
        "nodes[1].network.ethernets.e.addresses[0]: ",
    ):
        assert expected in found


def test_a_wrong_value_of_defaults_is_told_once_where_it_stands() -> None:
    nodes = [node(number, storage={}) for number in range(1, 4)]
    bad = cluster(*nodes, defaults={"arch": "arm", "storage": {"installDisk": "sda"}})
    assert [text.partition(":")[0] for text in problems_of(bad)] == [
        "defaults.arch",
        "defaults.storage.installDisk",
    ]


def test_a_wrong_value_of_a_pool_is_told_once_where_it_stands_even_if_nobody_uses_it() -> None:
    pools = {"edge": {"storage": {"files": [{"path": "a"}]}}, "unused": {"generation": 0}}
    bad = cluster(node(1, pool="edge"), node(2, pool="edge"), pools=pools)
    assert [text.partition(": ")[0] for text in problems_of(bad)] == [
        "pools.edge.storage.files[0].path",
        "pools.edge.storage.files[0].contents",
        "pools.unused.generation",
    ]


def test_keys_of_one_node_have_no_place_in_defaults() -> None:
    assert problems_of(cluster(defaults={"hostname": "a.example.com"})) == [
        "defaults.hostname: belongs to one node; move it to an entry of nodes"
    ]


def test_a_pool_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    assert problems_of(cluster(node(pool="egde"), pools={"edge": {}})) == [
        'nodes[0].pool: "egde" is not one of pools; did you mean edge?'
    ]


def test_without_pools_a_pool_is_only_a_name() -> None:
    assert load_cluster(cluster(node(pool="edge"))).nodes[0].pool == "edge"


def test_what_is_no_map_at_all_is_refused() -> None:
    assert problems_of(["x"]) == ["cluster: must be a map: keys with values, indented below it"]


def every_map(
    model: type[BaseModel], data: dict[str, Any]
) -> list[tuple[dict[str, Any], set[str]]]:
    """Every map that the models describe, hung up in its place, with its keys."""
    maps = [(data, set(fields_of(model)))]
    for key, field in fields_of(model).items():
        for inner in models_in(field.annotation):
            below: dict[str, Any] = {}
            shape = str(field.annotation)
            data[key] = [below] if "tuple" in shape else {"x": below} if "dict" in shape else below
            maps += every_map(inner, below)
    return maps


ODD: list[Any] = [None, True, -1, 1.5, "", "\0", [], [[]], {"x": {}}, {5: 5}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_no_value_anywhere_breaks_the_check_itself(odd: Any) -> None:
    """Wrong values of any type in any map are problems in sentences, never a crash."""
    whole: dict[str, Any] = {}
    one: dict[str, Any] = {}
    maps = every_map(ClusterSettings, whole) + every_map(Node, one)
    for data, keys in maps:
        before = dict(data)
        data.update(dict.fromkeys(keys, odd))
        with pytest.raises(StackFileError) as caught:
            load_cluster({**whole, "nodes": [one]})
        # What has no sentence of its own would end with a pointer to the reference page.
        assert "docs/reference" not in str(caught.value)
        data.clear()
        data.update(before)
    assert len(maps) > 35


def test_a_public_key_with_a_comment_is_accepted() -> None:
    assert load_cluster(cluster(sshAuthorizedKeys=[KEY])).ssh_authorized_keys == (KEY,)
