"""Checks of a stack that is a cluster: what the machines need to form it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from kindling.models.cluster import Cluster, ClusterSettings
from kindling.models.compatibility import (
    OLDEST,
    minor_of,
    refused_containerd,
    refused_etcd,
    unusual_pairs,
)
from kindling.models.endpoint_checks import check_endpoint, check_reached
from kindling.models.paths import Location, written
from kindling.models.reserved import check_reserved
from kindling.models.resolution import Draft, Problems
from kindling.models.role import Role
from kindling.models.subnet_checks import check_subnets, node_mask

_KUBELETS = (Role.CONTROL_PLANE, Role.WORKER)
_CGROUP_1 = ("systemd.unified_cgroup_hierarchy=0", "systemd.unified_cgroup_hierarchy=false")


def check_kubernetes(
    drafts: Sequence[Draft],
    settings: ClusterSettings,
    problems: Problems,
    doubtful: Container[str] = (),
) -> None:
    """Everything that matters only where `assets.kubernetes` is given.

    ``doubtful`` are the cluster's top-level keys not to rely on.
    """
    version = settings.assets.kubernetes
    if version is None or "assets" in doubtful:
        return
    roles_known = all(draft.node and "role" not in draft.doubtful for draft in drafts)
    networks_known = not any(draft.doubtful & {"network", "address"} for draft in drafts)
    check_reached(drafts, problems)
    _check_version(version, problems)
    _check_kubelets(version, drafts, settings, problems)
    for finding in check_reserved(settings):
        problems.add(finding.location, finding.message, finding.value)
    _check_proxy_mode(version, settings, problems)
    if roles_known:
        _check_etcd(drafts, settings, problems)
        _check_needs(drafts, settings, problems)
        _check_pairs(version, settings, problems)
    if roles_known and networks_known and "kubernetes" not in doubtful:
        check_endpoint(drafts, settings, problems)
        check_subnets(drafts, settings, problems)


def kubernetes_warnings(cluster: Cluster) -> Iterator[str]:
    """What is allowed in a cluster and probably not wanted."""
    version, settings = cluster.assets.kubernetes, cluster.kubernetes
    if version is None:
        if settings.model_fields_set:
            yield "kubernetes: is given without assets.kubernetes, so the machines form no cluster"
        return
    etcd = cluster.assets.etcd if cluster.etcd.mode == "systemd" else None
    yield from unusual_pairs(version, cluster.assets.containerd, etcd)
    mode = settings.kube_proxy.mode
    if mode == "ipvs" and minor_of(version) >= (1, 35):
        # CHANGELOG-1.35 of Kubernetes, kubernetes/kubernetes#134539
        yield "kubernetes.kubeProxy.mode: ipvs is deprecated from 1.35 on; write nftables"
    if mode == "none" and cluster.cni == "flannel":
        yield (
            "kubernetes.kubeProxy.mode: none leaves services to the network, and flannel does not "
            "take them over; choose another cni, or bring what does by manifests"
        )
    if settings.incarnation > cluster.credentials.rotation:
        yield (
            f"kubernetes.incarnation: {settings.incarnation} is above credentials.rotation "
            f"({cluster.credentials.rotation}): machines take what is left of the old cluster for "
            "the new one; raise the rotation as well, or switch every machine off first"
        )
    yield from _host_of_one(cluster)
    yield from _too_many_pods(cluster)


def _check_version(version: str, problems: Problems) -> None:
    if minor_of(version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        message = f"is older than what the stack can bring up; give {oldest} or later"
        problems.add(("assets", "kubernetes"), message, version)


def _check_kubelets(
    version: str, drafts: Sequence[Draft], settings: ClusterSettings, problems: Problems
) -> None:
    """What a kubelet of that version refuses to start with."""
    gate = settings.kubernetes.feature_gates.get("NodeSwap", False)
    for draft in drafts:
        if draft.node is None or draft.node.role not in _KUBELETS:
            continue
        swap = draft.node.kubelet.swap
        if swap != "refuse" and minor_of(version) < (1, 30) and not (gate and swap == "limited"):
            # k8s.io/kubernetes v1.29.0, pkg/kubelet/apis/config/validation: memorySwap
            message = "needs Kubernetes 1.30 or later, where kubelets know NodeSwap; write refuse"
            problems.add(draft.origin(("kubelet", "swap")), message, swap)
        arguments = draft.node.kernel_arguments.should_exist
        tolerated = draft.node.kubelet.settings.get("failCgroupV1") is False
        for index, argument in enumerate(arguments):
            if argument in _CGROUP_1 and minor_of(version) >= (1, 35) and not tolerated:
                # CHANGELOG-1.35 of Kubernetes, kubernetes/kubernetes#134298
                here = draft.origin(("kernelArguments", "shouldExist", index))
                message = "boots into cgroup v1, where no kubelet from 1.35 on starts; remove it"
                problems.add(here, message, argument)


def _check_proxy_mode(version: str, settings: ClusterSettings, problems: Problems) -> None:
    # k8s.io/kubernetes v1.33, pkg/features/kube_features.go: NFTablesProxyMode is beta from 1.31 on
    gate = settings.kubernetes.feature_gates.get("NFTablesProxyMode", False)
    mode = settings.kubernetes.kube_proxy.mode
    if mode == "nftables" and minor_of(version) < (1, 31) and not gate:
        message = "needs Kubernetes 1.31 or later; write iptables"
        problems.add(("kubernetes", "kubeProxy", "mode"), message, mode)


def _check_etcd(drafts: Sequence[Draft], settings: ClusterSettings, problems: Problems) -> None:
    own = [draft for draft in drafts if draft.node and draft.node.role is Role.ETCD]
    if settings.etcd.mode == "static-pod" and own:
        message = (
            f"runs etcd on control planes, and {written(own[0].location)} has the role etcd; "
            "write systemd, or give it another role"
        )
        problems.add(("etcd", "mode"), message, settings.etcd.mode)


def _check_needs(drafts: Sequence[Draft], settings: ClusterSettings, problems: Problems) -> None:
    """A machine of a cluster is no good without what its role runs."""
    roles = {draft.node.role for draft in drafts if draft.node}
    assets, carries = settings.assets, settings.kubernetes.endpoint.virtual_address is not None
    balanced = Role.LOAD_BALANCER in roles
    carriers = Role.LOAD_BALANCER if balanced else Role.CONTROL_PLANE
    needs: dict[str, tuple[str | None, tuple[Role, ...]]] = {
        "containerd": (assets.containerd, (*_KUBELETS, Role.LOAD_BALANCER)),
        # With static pods it is etcdctl that is needed, for snapshots and members.
        "etcd": (assets.etcd, (Role.CONTROL_PLANE, Role.ETCD)),
        "haproxy": (assets.haproxy, (Role.LOAD_BALANCER,)),
        "keepalived": (assets.keepalived, (carriers,) if carries else ()),
    }
    for name, (version, users) in needs.items():
        present = [str(role) for role in users if role in roles]
        if present and version is None:
            message = f"is missing; add a version, because {' and '.join(present)} nodes need it"
            problems.add(("assets", name), message)


def _check_pairs(version: str, settings: ClusterSettings, problems: Problems) -> None:
    """Only what upstream says does not work; the rest are warnings."""
    assets = settings.assets
    if assets.containerd and (message := refused_containerd(version, assets.containerd)):
        problems.add(("assets", "containerd"), message, assets.containerd)
    if assets.etcd and settings.etcd.mode == "systemd":
        here: Location = ("assets", "etcd")
        if message := refused_etcd(version, assets.etcd):
            problems.add(here, message, assets.etcd)


def _host_of_one(cluster: Cluster) -> Iterator[str]:
    host, carriers = cluster.kubernetes.endpoint.host, cluster.endpoint_nodes
    owner = next((node for node in cluster.nodes if node.reached_at == host), None)
    if host and owner in carriers and len(carriers) > 1:
        yield (
            f"kubernetes.endpoint.host: {host} is the address of {owner.hostname} alone, and the "
            "API goes with that machine; give virtualAddress, or a name that leads to all of them"
        )


def _too_many_pods(cluster: Cluster) -> Iterator[str]:
    room = 2 ** (32 - node_mask(cluster.kubernetes)) - 2
    crowded = [node for node in cluster.nodes if (node.kubelet.max_pods or 0) > room]
    if crowded:
        yield (
            f"nodes: {crowded[0].hostname}: maxPods is more than the {room} addresses that each "
            "node has; set node-cidr-mask-size in kubernetes.controllerManager.extraArgs"
        )
