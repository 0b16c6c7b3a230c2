"""Files and maps become clusters: merging, secrets, YAML, stack files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling.errors import StackFileError
from kindling.models.cluster import Cluster
from kindling.models.loading import load_cluster, load_file
from kindling.models.node import Node
from kindling.models.yamlfile import parse_yaml
from tests.fakes.clusters import cluster, fleet, node


def refusal(data: Any) -> list[str]:
    with pytest.raises(StackFileError) as caught:
        load_cluster(data)
    return [str(problem) for problem in caught.value.problems]


def test_defaults_then_pool_then_node_maps_merge_lists_and_scalars_replace() -> None:
    loaded = load_cluster(
        cluster(
            node(1, pool="edge", labels={"c": "node"}, preInstallCommands=["node"]),
            defaults={
                "arch": "arm64",
                "labels": {"a": "defaults", "b": "defaults", "c": "defaults"},
                "preInstallCommands": ["a", "b"],
                "postInstallCommands": ["defaults"],
            },
            pools={"edge": {"arch": "x86-64", "labels": {"b": "pool", "c": "pool"}}},
        )
    ).nodes[0]
    assert loaded.arch == "x86-64"
    assert loaded.labels == {"a": "defaults", "b": "pool", "c": "node"}
    assert loaded.pre_install_commands == ("node",)
    assert loaded.post_install_commands == ("defaults",)


def test_null_takes_an_inherited_value_away() -> None:
    data = cluster(node(labels={"a": None}), defaults={"labels": {"a": "1", "b": "2"}})
    assert load_cluster(data).nodes[0].labels == {"b": "2"}


def test_loading_leaves_the_callers_data_alone() -> None:
    data = cluster(node(labels={"a": "1"}), defaults={"labels": {"b": "2"}})
    before = json.dumps(data)
    load_cluster(data)
    assert json.dumps(data) == before


def test_a_loaded_node_survives_the_way_through_json() -> None:
    """Plans keep nodes in Pulumi's state: what comes back must be the same node."""
    first = load_cluster(cluster(node(storage={
        "installDisk": "/dev/sda",
        "files": [{"path": "/a", "mode": "0644", "contents": {"inline": "x"}}],
    }))).nodes[0]  # fmt: skip
    assert Node.model_validate_json(first.model_dump_json(by_alias=True)) == first


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_cluster(cluster()).name = "other"  # type: ignore[misc]


def test_architectures_are_sorted_and_only_those_in_use() -> None:
    both = load_cluster(cluster(node(1, arch="arm64"), node(2)))
    assert [str(each) for each in both.architectures] == ["x86-64", "arm64"]
    assert [str(each) for each in load_cluster(cluster()).architectures] == ["x86-64"]


def test_the_store_is_at_the_boot_servers_address_unless_said_otherwise() -> None:
    def location(**store: Any) -> dict[str, str]:
        server = {"url": "https://boot.example.com/", **store}
        return load_cluster(cluster(bootServer=server)).boot_server.store_location

    assert location() == {"http": "https://boot.example.com"}
    assert location(store={"http": "https://b/"}) == {"http": "https://b"}
    assert location(store={"directory": "/srv"}) == {"directory": "/srv"}


def test_yaml_off_is_the_strategy_off() -> None:
    assert load_cluster(cluster(updates={"strategy": False})).updates.strategy == "off"


SECRETS: list[tuple[dict[str, Any], str]] = [
    (cluster(storeToken="s3cret"), "storeToken"),
    (cluster(bootServer={"url": "https://a", "token": "s3cret"}), "bootServer.token"),
    (
        cluster(node(passwd={"users": [{"name": "a", "passwordHash": "s3cret"}]})),
        "nodes[0].passwd.users[0].passwordHash",
    ),
    (cluster(defaults={"private_key": "s3cret"}), "defaults.private_key"),
    (
        cluster(node(storage={"installDisk": "/dev/sda", "luks": [
            {"name": "a", "device": "/dev/sdb", "clevis": {"tpm2": True}, "keyFile": "s3cret"}]})),
        "nodes[0].storage.luks[0].keyFile",
    ),
    (cluster(storeToken={"secure": "s3cret"}), "storeToken"),
    (cluster(proxy={"http": {"secure": "s3cret"}}), "proxy.http.secure"),
    (
        cluster(node(preInstallCommands=["-----BEGIN PRIVATE KEY-----\ns3cret"])),
        "nodes[0].preInstallCommands[0]",
    ),
    (cluster(proxy={"http": "http://user:s3cret@proxy:3128"}), "proxy.http"),
    (
        cluster(etcd={"snapshots": {"s3": {"endpoint": "https://s3", "bucket": "etcd",
                                           "secretKey": "s3cret"}}}),
        "etcd.snapshots.s3.secretKey",
    ),
    (
        cluster(kubernetes={"apiServer": {"extraArgs": {"oidc-client-secret": "s3cret"}}}),
        "kubernetes.apiServer.extraArgs.oidc-client-secret",
    ),
    (cluster(node(kubelet={"extraArgs": {"some-token": "s3cret"}})),
     "nodes[0].kubelet.extraArgs.some-token"),
    (
        cluster(addons={"flux": {"patches": [{"kind": "Secret", "stringData": {"a": "s3cret"}}]}}),
        "addons.flux.patches[0]",
    ),
    (cluster(kubernetes={"apiServer": {"oidc": {"clientSecret": "s3cret"}}}),
     "kubernetes.apiServer.oidc.clientSecret"),
    (cluster(node(kubelet={"settings": {"x": {"secure": "s3cret"}}})),
     "nodes[0].kubelet.settings.x.secure"),
    (cluster(credentials={"privateKey": "s3cret"}), "credentials.privateKey"),
    (cluster(kubernetes={"apiServer": {"encryption": {"secret": "s3cret"}}}),
     "kubernetes.apiServer.encryption.secret"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "path"), SECRETS, ids=[path for _, path in SECRETS])
def test_a_secret_in_the_cluster_is_refused_and_never_shown(bad: Any, path: str) -> None:
    told = "\n".join(refusal(bad))
    assert f"{path}: " in told
    assert "never" in told or "none may be" in told
    assert "s3cret" not in told


def test_the_refusal_of_a_token_names_the_configuration_key_to_use() -> None:
    assert refusal(cluster(storeToken="s3cret")) == [
        (
            "storeToken: is a secret, and the cluster never holds one; "
            "set it with: pulumi config set --secret kindling:storeToken"
        )
    ]


def test_labels_may_have_any_name() -> None:
    assert load_cluster(cluster(node(labels={"token": "x"}))).nodes[0].labels == {"token": "x"}


def test_words_of_kubernetes_are_no_secrets() -> None:
    """Sections with telling names, paths of files, and what stands in others' documents."""
    volume = {"name": "tls", "secret": {"secretName": "tls"}}
    data = cluster(
        node(labels={"secret": "x"}, kubelet={"settings": {"serverTLSBootstrap": True}}),
        credentials={"rotation": 2},
        kubernetes={
            "apiServer": {
                "encryption": {"resources": ["secrets"]},
                "extraArgs": {
                    "token-auth-file": "/etc/tokens.csv",
                    "authentication-token-webhook-version": "v1",
                },
            },
        },
        addons={
            "coredns": {"hosts": {"192.0.2.9": ["token", "password.example.com"]}},
            "metricsServer": {
                "patches": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "metadata": {"name": "metrics-server"},
                        "spec": {"template": {"spec": {"volumes": [volume]}}},
                    }
                ]
            },
        },
    )
    assert load_cluster(data).addons.metrics_server is not None


def test_duplicate_keys_are_told_with_line_and_column_all_of_them() -> None:
    with pytest.raises(StackFileError) as caught:
        parse_yaml("a: 1\nb:\n  - c: 1\n    c: 2\na: 2\n", "x.yaml")
    assert sorted(str(problem) for problem in caught.value.problems) == [
        'line 4, column 5: "c" is given twice (first on line 3); keep one of them',
        'line 5, column 1: "a" is given twice (first on line 1); keep one of them',
    ]


def test_a_merged_anchor_is_no_duplicate() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, x: 3}\n"
    assert parse_yaml(text, "x")["c"] == {"x": 3, "y": 1}


@pytest.mark.parametrize("text", ["a: [1\nb: 2\n", "a: 'x\n", "\t- a", "a: *x"])
def test_syntax_errors_are_problems_with_a_line(text: str) -> None:
    with pytest.raises(StackFileError, match=r"line \d+, column \d+: is not YAML: "):
        parse_yaml(text, "x.yaml")


def test_text_that_no_yaml_may_hold_is_a_problem() -> None:
    with pytest.raises(StackFileError, match=r"file: is not YAML: .*; write plain UTF-8 text"):
        parse_yaml("a: \0", "x.yaml")


def test_yaml_is_read_as_pulumi_reads_it() -> None:
    """Source of the rules: gopkg.in/yaml.v3, resolve.go."""
    text = "[off, yes, true, 52:54:00:12:34:56, 10:11:12:13:14:15, 2024-01-02, 0644, 0o644, 1.5]"
    assert parse_yaml(text, "x") == [
        "off", "yes", True, "52:54:00:12:34:56", "10:11:12:13:14:15", "2024-01-02", 420, 420, 1.5,
    ]  # fmt: skip
    assert parse_yaml("a: ~\nb: null\nc:\n", "x") == {"a": None, "b": None, "c": None}
    assert parse_yaml("[-7, 0x1F, 4230.2.3, 1e3, 1_000]", "x") == [-7, 31, "4230.2.3", 1000.0, 1000]


def write(path: Path, data: Any) -> Path:
    path.write_text(yaml.safe_dump(data))
    return path


def told(path: Path) -> str:
    with pytest.raises(StackFileError) as caught:
        load_file(path)
    return str(caught.value)


def test_a_cluster_is_read_from_a_cluster_file_a_stack_file_and_one_beside_it(
    tmp_path: Path,
) -> None:
    bare = write(tmp_path / "cluster.yaml", cluster())
    inline = write(tmp_path / "Pulumi.a.yaml", {"config": {"kindling:cluster": cluster()}})
    beside = write(tmp_path / "Pulumi.b.yaml", {"config": {"mine:clusterFile": "cluster.yaml"}})
    loaded = [load_file(path) for path in (bare, inline, beside)]
    assert all(isinstance(each, Cluster) for each in loaded)
    assert loaded[0] == loaded[1] == loaded[2]


def test_a_stack_file_has_exactly_one_cluster(tmp_path: Path) -> None:
    both = {"kindling:cluster": cluster(), "kindling:clusterFile": "x.yaml"}
    assert "config: both are given; give kindling:cluster or kindling:clusterFile" in told(
        write(tmp_path / "a.yaml", {"config": both})
    )
    assert "config: neither is given; give kindling:cluster or kindling:clusterFile" in told(
        write(tmp_path / "a.yaml", {"config": {"kindling:lockFile": "x"}})
    )


def test_problems_of_the_configuration_and_of_the_cluster_are_told_together(tmp_path: Path) -> None:
    config = {
        "kindling:cluster": cluster(node(arch="arm")),
        "kindling:lockfile": "x",
        "kindling:storeToken": "s3cret",
        "pulumi:tags": {},
    }
    message = told(write(tmp_path / "a.yaml", {"config": config}))
    assert "config.kindling:lockfile: is not a key here; did you mean lockFile?" in message
    assert "config.kindling:storeToken: is not encrypted; set it with: pulumi config" in message
    assert 'nodes[0].arch: "arm" is not an architecture here' in message
    assert "3 problems" in message
    assert "s3cret" not in message


@pytest.mark.parametrize("key", ["storeToken", "s3AccessKey", "s3SecretKey"])
def test_a_secret_of_the_configuration_is_encrypted(tmp_path: Path, key: str) -> None:
    config = {"kindling:cluster": cluster(), f"kindling:{key}": "s3cret"}
    message = told(write(tmp_path / "a.yaml", {"config": config}))
    assert f"config.kindling:{key}: is not encrypted; set it with: pulumi config set" in message
    assert "s3cret" not in message
    config[f"kindling:{key}"] = {"secure": "AAABAM4q"}
    assert load_file(write(tmp_path / "b.yaml", {"config": config}))


def test_authorities_are_encrypted_as_a_whole_or_key_by_key(tmp_path: Path) -> None:
    pair = {"certificate": "-----BEGIN CERTIFICATE-----\n", "key": {"secure": "AAABAM4q"}}

    def file(authorities: Any) -> Path:
        config = {"kindling:cluster": cluster(), "kindling:authorities": authorities}
        return write(tmp_path / "Pulumi.a.yaml", {"config": config})

    assert load_file(file({"secure": "AAABAM4q"}))
    assert load_file(file({"kubernetes": pair}))
    plain = pair | {"key": "-----BEGIN PRIVATE KEY-----\ns3cret"}
    message = told(file({"kubernetes": plain}))
    assert "config.kindling:authorities.kubernetes.key: is not encrypted; set it with" in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("- a\n", "file: must be a map: a cluster, or a stack file with config:"),
        ("", "file: must be a map: a cluster, or a stack file with config:"),
        ("config: 5\n", "config: must be a map with kindling:cluster or kindling:clusterFile"),
        ("config: {'kindling:cluster': 5}", "config: kindling:cluster must be a map"),
        ("config: {'kindling:clusterFile': 5}", "config: kindling:clusterFile must be a path"),
        ("config: {'kindling:clusterFile': none.yaml}", "cannot be read (No such file"),
    ],
)
def test_files_that_hold_no_cluster_are_refused(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "Pulumi.a.yaml"
    path.write_text(content)
    assert sentence in told(path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"name: \xff")
    assert "cannot be read (it is not UTF-8)" in told(path)


def test_a_thousand_nodes_share_the_work_of_defaults_and_pools() -> None:
    """Also a thousand nodes with the same wrong default have one problem, not a thousand."""
    nodes = [
        node(number, hostname=f"n{number}.example.com", macAddress=f"02000000{number:04x}")
        for number in range(1000)
    ]
    loaded = load_cluster(fleet(*nodes, defaults={"labels": {"a": "b"}}))
    assert len(loaded.nodes) == 1000
    assert len(refusal(fleet(*nodes, defaults={"generation": 0}))) == 1
