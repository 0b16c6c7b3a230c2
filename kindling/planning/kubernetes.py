"""From a cluster to what each machine must know of it, trimmed by role.

A plan is kept in the state once per machine, so a worker's has nothing that only a control plane
uses; and what changes with other machines is in ``live``, which re-installs nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kindling.models.addons import Addons
from kindling.models.architecture import Architecture
from kindling.models.cluster import Cluster
from kindling.models.kubernetes import Kubernetes
from kindling.models.node import Node
from kindling.models.node_labels import labels_of
from kindling.models.plan import ImagePlan, KubernetesPlan, LivePlan, ManifestPlan, Member
from kindling.models.role import Role


@dataclass(frozen=True)
class ClusterFacts:
    """What the machines know of each other; made once for all of them."""

    planes: tuple[Member, ...]
    etcd: tuple[Member, ...]
    carriers: tuple[Member, ...]
    labels: Mapping[str, dict[str, str]]
    taints: Mapping[str, tuple[str, ...]]
    manifests: tuple[ManifestPlan, ...] = ()
    images: Mapping[Architecture, ImagePlan] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        cluster: Cluster,
        manifests: tuple[ManifestPlan, ...] = (),
        images: Mapping[Architecture, ImagePlan] | None = None,
    ) -> ClusterFacts:
        """The facts of a cluster; ``images`` are HAProxy's by architecture."""
        joining = cluster.nodes_of(Role.CONTROL_PLANE, Role.WORKER)
        return cls(
            planes=_members(cluster.nodes_of(Role.CONTROL_PLANE)),
            etcd=_members(cluster.etcd_nodes),
            carriers=_members(cluster.endpoint_nodes),
            labels={node.hostname: labels_of(node) for node in joining},
            taints={node.hostname: _taints(node) for node in joining if node.taints is not None},
            manifests=manifests,
            images=images or {},
        )


def kubernetes_plan(cluster: Cluster, node: Node, facts: ClusterFacts) -> KubernetesPlan | None:
    """One machine's view of the cluster; None when the stack has no Kubernetes."""
    version = cluster.assets.kubernetes
    if version is None:
        return None
    balancer = node.role is Role.LOAD_BALANCER
    return KubernetesPlan(
        version=version.removeprefix("v"),
        settings=cluster.kubernetes if node.role is Role.CONTROL_PLANE else _common(cluster),
        etcd=cluster.etcd,
        cni=cluster.cni,
        endpoint_host=cluster.endpoint_host,
        token_life=cluster.credentials.token_life,
        haproxy=facts.images.get(node.arch) if balancer else None,
        dedicated_etcd=bool(cluster.nodes_of(Role.ETCD)),
        carries_endpoint=carries_endpoint(cluster, node),
        live=_live(cluster, node, facts),
    )


def carries_endpoint(cluster: Cluster, node: Node) -> bool:
    """Whether a node shares the virtual address, and so runs keepalived."""
    return (
        cluster.assets.kubernetes is not None
        and cluster.kubernetes.endpoint.virtual_address is not None
        and node in cluster.endpoint_nodes
    )


def _common(cluster: Cluster) -> Kubernetes:
    """What every machine needs of the settings."""
    settings = cluster.kubernetes
    return Kubernetes(
        incarnation=settings.incarnation,
        endpoint=settings.endpoint,
        networking=settings.networking,
        feature_gates=settings.feature_gates,
    )


def _live(cluster: Cluster, node: Node, facts: ClusterFacts) -> LivePlan:
    carriers = facts.carriers if carries_endpoint(cluster, node) else ()
    match node.role:
        case Role.CONTROL_PLANE:
            return LivePlan(
                control_planes=facts.planes,
                etcd_members=facts.etcd,
                endpoint_nodes=carriers,
                labels=dict(facts.labels),
                taints=dict(facts.taints),
                manifests=facts.manifests,
                addons=Addons(coredns=cluster.addons.coredns),
            )
        case Role.LOAD_BALANCER:
            return LivePlan(control_planes=facts.planes, endpoint_nodes=carriers)
        case Role.ETCD:
            return LivePlan(etcd_members=facts.etcd)
        case Role.WORKER:
            return LivePlan()


def _members(nodes: tuple[Node, ...]) -> tuple[Member, ...]:
    """Nodes by address; crosschecks refuse a cluster in which one of these has none."""
    return tuple(
        Member(hostname=node.hostname, address=node.reached_at or node.hostname) for node in nodes
    )


def _taints(node: Node) -> tuple[str, ...]:
    return tuple(f"{each.key}={each.value}:{each.effect}" for each in node.taints or ())
