"""What a stack must say so that its machines can form a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from kindling.errors import StackFileError
from kindling.models.loading import load_cluster, warnings
from kindling.models.node import Node
from tests.fakes.clusters import cluster, fleet, node


def problems_of(data: Any) -> list[str]:
    with pytest.raises(StackFileError) as caught:
        load_cluster(data)
    return [str(problem) for problem in caught.value.problems]


def versions(**changes: str | None) -> dict[str, Any]:
    """The fake cluster's assets with other versions; None takes one away."""
    assets = cluster()["assets"] | changes
    return {name: version for name, version in assets.items() if version is not None}


def settings(*nodes: Any, **keys: Any) -> dict[str, Any]:
    """A cluster with these keys of `kubernetes`."""
    endpoint = {"endpoint": {"host": "api.example.com"}}
    return cluster(*nodes, kubernetes=endpoint | keys)


def at(number: int, static: str, **keys: Any) -> dict[str, Any]:
    """A node with one static address."""
    return node(number, network={"ethernets": {"eth0": {"addresses": [static]}}}, **keys)


BALANCED = {"haproxy": "3.2.22", "keepalived": "2.3.4"}
PLANE, BALANCER = at(1, "10.1.0.1/24"), at(2, "10.1.0.2/24", role="load-balancer")


def endpoint(*nodes: Any, **keys: Any) -> dict[str, Any]:
    """A cluster with HAProxy and keepalived, and this endpoint."""
    return cluster(*nodes, kubernetes={"endpoint": keys}, assets=versions(**BALANCED))


LEADER = "node-role.kubernetes.io/control-plane"
SENTENCES: list[tuple[dict[str, Any], str]] = [
    (
        cluster(assets=versions(kubernetes="1.28.9")),
        (
            'assets.kubernetes: "1.28.9" is older than what the stack can bring up; '
            "give 1.29 or later"
        ),
    ),
    (
        settings(kubeProxy={"mode": "nftables"}) | {"assets": versions(kubernetes="1.30.0")},
        'kubernetes.kubeProxy.mode: "nftables" needs Kubernetes 1.31 or later; write iptables',
    ),
    (
        cluster(node(1), node(2, role="etcd"), etcd={"mode": "static-pod"}),
        (
            'etcd.mode: "static-pod" runs etcd on control planes, and nodes[1] has the role etcd; '
            "write systemd, or give it another role"
        ),
    ),
    (
        cluster(node(kubelet={"swap": "limited"}), assets=versions(kubernetes="1.29.0")),
        (
            'nodes[0].kubelet.swap: "limited" needs Kubernetes 1.30 or later, where kubelets know '
            "NodeSwap; write refuse"
        ),
    ),
    (
        cluster(
            node(kernelArguments={"shouldExist": ["systemd.unified_cgroup_hierarchy=0"]}),
            assets=versions(kubernetes="1.35.5", containerd="2.2.5"),
        ),
        (
            "nodes[0].kernelArguments.shouldExist[0]: "
            '"systemd.unified_cgroup_hierarchy=0" boots into cgroup v1, where no kubelet from 1.35 '
            "on starts; remove it"
        ),
    ),
    (
        cluster(node(kubelet={"evictionSoft": {"memory.available": "10%"}})),
        (
            'nodes[0].kubelet.evictionSoft["memory.available"]: has no grace period; add '
            "evictionSoftGracePeriod with memory.available: 1m30s"
        ),
    ),
    (
        cluster(node(kubelet={"evictionSoftGracePeriod": {"pid.available": "30s"}})),
        (
            'nodes[0].kubelet.evictionSoftGracePeriod["pid.available"]: is no signal of '
            "evictionSoft; add it there or remove it here"
        ),
    ),
    (
        settings(apiServer={"admission": {"extraPlugins": ["EventRateLimit"]}}),
        (
            "kubernetes.apiServer.admission: has EventRateLimit in extraPlugins; "
            "use eventRateLimit instead"
        ),
    ),
    (
        settings(apiServer={"audit": {"policy": {"omitStages": ["RequestReceived"]}}}),
        (
            "kubernetes.apiServer.audit: has a policy without rules; give rules, or remove policy"
        ),
    ),
    (
        settings(apiServer={"audit": {"policy": {"rules": [{"level": "All"}]}}}),
        (
            'kubernetes.apiServer.audit: has a rule with level "All"; each has one of: None, '
            "Metadata, Request, RequestResponse"
        ),
    ),
    (
        settings(apiServer={"audit": {"policy": {"rules": [{"verbs": ["get"]}]}}}),
        (
            "kubernetes.apiServer.audit: has a rule without level; each has one of: None, "
            "Metadata, Request, RequestResponse"
        ),
    ),
    (
        settings(networking={"podSubnet": "10.244.0.0/16,fd00::/56"}),
        (
            'kubernetes.networking.podSubnet: "10.244.0.0/16,fd00::/56" is not one IPv4 network; '
            "write it like 10.244.0.0/16"
        ),
    ),
    (
        cluster(node(taints=[{"key": "slow", "effect": "NoSchedule"}] * 2)),
        (
            'nodes[0].taints[1]: "slow:NoSchedule" repeats taints[0] of the same node; '
            "give each once"
        ),
    ),
    (
        cluster(node(1), node(2, role="worker", labels={LEADER: ""})),
        (
            'nodes[1].labels["node-role.kubernetes.io/control-plane"]: "" is not this node\'s '
            "role, worker; remove it"
        ),
    ),
    (
        settings(
            apiServer={
                "tlsMinVersion": "VersionTLS13",
                "tlsCipherSuites": ["TLS_AES_128_GCM_SHA256"],
            }
        ),
        (
            "kubernetes.apiServer: has tlsCipherSuites with VersionTLS13, whose suites cannot be "
            "chosen; remove tlsCipherSuites"
        ),
    ),
    (
        settings(apiServer={"oidc": {"issuerUrl": "http://issuer.example.com", "clientId": "k"}}),
        (
            'kubernetes.apiServer.oidc.issuerUrl: "http://issuer.example.com" is not safe from '
            "listeners; give a URL with https"
        ),
    ),
    (
        cluster(credentials={"tokenLife": "4m"}),
        (
            'credentials.tokenLife: "4m" is shorter than control planes take to renew it; '
            "give 5m or more"
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "sentence"), SENTENCES, ids=[text[:60] for _, text in SENTENCES])
def test_what_no_cluster_can_be_made_of_is_refused(bad: dict[str, Any], sentence: str) -> None:
    assert problems_of(bad) == [sentence]


def test_machines_without_a_cluster_need_none_of_this() -> None:
    nodes = [node(1, address=None), node(2, address=None), node(3, role="load-balancer")]
    assert len(load_cluster(fleet(*nodes, etcd={"mode": "static-pod"})).nodes) == 3


def test_settings_of_a_cluster_that_is_none_are_warned_about() -> None:
    data = fleet()
    data["kubernetes"] = {"incarnation": 2}
    (found,) = [text for text in warnings(load_cluster(data)) if text.startswith("kubernetes:")]
    assert found.endswith("without assets.kubernetes, so the machines form no cluster")


@pytest.mark.parametrize("role", ["control-plane", "etcd", "load-balancer"])
def test_who_is_talked_to_has_a_known_address(role: str) -> None:
    data = cluster(node(1), node(2, address=None, role=role), assets=versions(**BALANCED))
    (found,) = problems_of(data)
    assert found.startswith("nodes[1].address: is missing: others must know where a")
    assert found.endswith("or give here the one that DHCP always gives it")


def test_a_worker_needs_no_known_address() -> None:
    assert load_cluster(cluster(node(1), node(2, address=None, role="worker")))


@pytest.mark.parametrize("role", ["control-plane", "worker"])
def test_machines_of_a_cluster_are_reached_by_ipv4(role: str) -> None:
    only6 = at(2, "2001:db8::5/64", role=role, address=None)
    assert problems_of(cluster(node(1), only6)) == [
        (
            "nodes[1].address: would be 2001:db8::5, and machines of a cluster reach each other by "
            "IPv4; add an IPv4 address"
        )
    ]


def test_an_ipv4_address_beside_the_ipv6_one_is_enough() -> None:
    network = {"ethernets": {"eth0": {"addresses": ["2001:db8::5/64", "10.0.0.5/24"]}}}
    assert load_cluster(cluster(node(network=network))).nodes[0].reached_at == "10.0.0.5"


def test_an_address_is_one_of_the_static_ones_where_nothing_asks_dhcp() -> None:
    assert problems_of(cluster(at(1, "10.0.0.5/24", address="10.0.0.6"))) == [
        ('nodes[0].address: "10.0.0.6" is none of the node\'s addresses; choose one of: 10.0.0.5')
    ]


def test_two_nodes_have_not_the_same_address_by_dhcp_either() -> None:
    data = cluster(at(1, "10.0.0.5/24"), node(2, address="10.0.0.5"))
    assert problems_of(data) == [
        (
            'nodes[1].address: "10.0.0.5" is also the address of nodes[0]; each may be given once'
        )
    ]  # fmt: skip


NEEDS = [
    ("containerd", [node(1)], {}, "control-plane nodes need it"),
    ("etcd", [node(1)], {}, "control-plane nodes need it"),
    ("haproxy", [PLANE, BALANCER], {}, "load-balancer nodes need it"),
    (
        "keepalived",
        [PLANE, BALANCER],
        {"virtualAddress": "10.1.0.9/24"},
        "load-balancer nodes need it",
    ),
    ("keepalived", [PLANE], {"virtualAddress": "10.1.0.9/24"}, "control-plane nodes need it"),
]


@pytest.mark.parametrize(("name", "nodes", "where", "why"), NEEDS)
def test_what_a_role_runs_has_a_version(
    name: str, nodes: list[Any], where: dict[str, Any], why: str
) -> None:
    data = cluster(
        *nodes, kubernetes={"endpoint": where}, assets=versions(**(BALANCED | {name: None}))
    )
    assert problems_of(data) == [f"assets.{name}: is missing; add a version, because {why}"]


def test_one_load_balancer_with_its_own_address_needs_no_keepalived() -> None:
    assets = versions(haproxy="3.2.22")
    data = cluster(PLANE, BALANCER, assets=assets, kubernetes={})
    assert load_cluster(data).endpoint_host == "10.1.0.2"


def test_etcd_of_kubeadms_own_needs_etcdctl_but_not_a_matching_version() -> None:
    data = cluster(assets=versions(etcd=None), etcd={"mode": "static-pod"})
    assert problems_of(data)[0].startswith("assets.etcd: is missing")
    assert load_cluster(cluster(assets=versions(etcd="3.4.0"), etcd={"mode": "static-pod"}))


def test_taints_that_are_absent_and_taints_that_are_none_differ_also_after_json() -> None:
    loaded = load_cluster(cluster(node(1), node(2, taints=[]))).nodes
    assert [each.taints for each in loaded] == [None, ()]
    short = [each.model_dump_json(by_alias=True, exclude_defaults=True) for each in loaded]
    assert [Node.model_validate_json(each).taints for each in short] == [None, ()]


def test_null_gives_a_node_kubeadms_taint_back() -> None:
    data = cluster(node(1, taints=None), defaults={"taints": []})
    assert load_cluster(data).nodes[0].taints is None


WARNINGS: list[tuple[dict[str, Any], str]] = [
    (
        settings(kubeProxy={"mode": "ipvs"})
        | {"assets": versions(kubernetes="1.35.5", containerd="2.2.5", etcd="3.6.6")},
        "kubernetes.kubeProxy.mode: ipvs is deprecated from 1.35 on; write nftables",
    ),
    (
        settings(kubeProxy={"mode": "none"}),
        (
            "kubernetes.kubeProxy.mode: none leaves services to the network, and flannel does not "
            "take them over; choose another cni, or bring what does by manifests"
        ),
    ),
    (
        cluster(
            *(at(number, f"10.1.0.{number}/24") for number in (1, 2, 3)),
            kubernetes={"endpoint": {"host": "10.1.0.2"}},
        ),
        (
            "kubernetes.endpoint.host: 10.1.0.2 is the address of n2.example.com alone, and the "
            "API goes with that machine; give virtualAddress, or a name that leads to all of them"
        ),
    ),
    (
        cluster(node(kubelet={"maxPods": 300})),
        (
            "nodes: n1.example.com: maxPods is more than the 254 addresses that each node has; "
            "set node-cidr-mask-size in kubernetes.controllerManager.extraArgs"
        ),
    ),
]


@pytest.mark.parametrize(("data", "sentence"), WARNINGS, ids=[text[:60] for _, text in WARNINGS])
def test_what_a_cluster_can_do_and_probably_should_not_is_warned_about(
    data: dict[str, Any], sentence: str
) -> None:
    assert warnings(load_cluster(data)) == (sentence,)


RESERVED: list[tuple[dict[str, Any], str]] = [
    (
        settings(apiServer={"extraArgs": {"service-cluster-ip-range": "10.0.0.0/16"}}),
        (
            'kubernetes.apiServer.extraArgs.service-cluster-ip-range: is set by the stack; '
            "use kubernetes.networking.serviceSubnet instead"
        ),
    ),
    (
        settings(apiServer={"extraArgs": {"etcd-servers": "https://a"}}),
        (
            "kubernetes.apiServer.extraArgs.etcd-servers: is set by the stack; "
            "it follows from the nodes' roles and addresses"
        ),
    ),
    (
        settings(apiServer={"extraArgs": {"anonymous-auth": "false"}}),
        (
            "kubernetes.apiServer.extraArgs.anonymous-auth: is set by the stack; it must stay on: "
            "probes and load balancers ask /readyz, and joins begin so"
        ),
    ),
    (
        settings(controllerManager={"extraArgs": {"cluster-cidr": "10.0.0.0/16"}}),
        (
            "kubernetes.controllerManager.extraArgs.cluster-cidr: is set by the stack; "
            "use kubernetes.networking.podSubnet instead"
        ),
    ),
    (
        settings(scheduler={"extraArgs": {"feature-gates": "A=true"}}),
        (
            "kubernetes.scheduler.extraArgs.feature-gates: is set by the stack; "
            "use kubernetes.featureGates instead"
        ),
    ),
    (
        cluster(etcd={"extraArgs": {"data-dir": "/data"}}),
        (
            "etcd.extraArgs.data-dir: is set by the stack; it is always /var/lib/etcd; mount a "
            "filesystem there with storage.filesystems"
        ),
    ),
    (
        cluster(node(kubelet={"extraArgs": {"node-labels": "a=b"}})),
        "nodes[0].kubelet.extraArgs.node-labels: is set by the stack; use labels instead",
    ),
    (
        cluster(defaults={"kubelet": {"settings": {"maxPods": 5}}}),
        "defaults.kubelet.settings.maxPods: is set by the stack; use kubelet.maxPods instead",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "sentence"), RESERVED, ids=[text[:60] for _, text in RESERVED])
def test_what_the_stack_sets_itself_is_refused_with_the_key_to_use(
    bad: dict[str, Any], sentence: str
) -> None:
    assert problems_of(bad) == [sentence]


def test_other_arguments_are_free() -> None:
    data = settings(apiServer={"extraArgs": {"event-ttl": "2h", "v": 4, "token-auth-file": "/a"}})
    loaded = load_cluster(data).kubernetes.api_server.extra_args
    assert loaded == {"event-ttl": "2h", "v": "4", "token-auth-file": "/a"}
