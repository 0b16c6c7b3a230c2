"""What rendering is given for one node: the node, and the facts of the cluster it depends on.

Plans are values: equal plans render to equal bytes. They are what the engine compares, so they
hold nothing secret and nothing that changes without a meaning for the machine.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kindling.models.addons import Addons, Cni
from kindling.models.cluster import Proxy, Updates
from kindling.models.kubernetes import Etcd, Kubernetes
from kindling.models.node import Node
from kindling.models.role import Role


class _Value(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    def to_json(self) -> str:
        """Compact JSON without defaults: short in the state, stable for equal plans."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)


class SysextReference(_Value):
    """A system extension as the node fetches it; ``sha256`` is None while it is not locked."""

    name: str
    version: str
    path: str  # assets/extensions/<name>-<version>-<arch>.raw
    sha256: str | None = None


class Member(_Value):
    """Another machine, as a configuration names it."""

    hostname: str
    address: str  # IPv4 or IPv6, where other machines reach it


class ImagePlan(_Value):
    """A container image that a machine runs by itself, from an archive that the stack publishes."""

    name: str  # docker.io/library/haproxy:3.2.4
    path: str  # assets/images/haproxy-3.2.4-<arch>.tar
    sha256: str | None = None


class ManifestPlan(_Value):
    """A manifest that control planes apply, in the order of the plan.

    ``path`` is a published file (an add-on's, or the user's by URL); ``inline`` the user's own
    text. ``patches`` are strategic merge patches. ``waits`` are ``kind/namespace/name`` of what
    must be ready before the next one: Deployment, DaemonSet, StatefulSet, CustomResourceDefinition.
    ``after`` is text that is applied when those are ready (objects of the add-on's own kinds).
    """

    name: str
    version: str = ""
    path: str | None = None
    sha256: str | None = None
    inline: str | None = None
    namespace: str | None = None
    patches: tuple[str, ...] = ()  # YAML documents
    after: tuple[str, ...] = ()  # YAML documents
    waits: tuple[str, ...] = ()


class KubernetesPlan(_Value):
    """The cluster as one of its machines needs to know it. Trimmed by role in `planning`.

    Facts about other machines (``live``) reach a running machine through its live document and
    are not in its Ignition; all others are.
    """

    version: str  # 1.33.6
    settings: Kubernetes  # workers: without what only control planes use
    etcd: Etcd
    cni: Cni = "flannel"
    endpoint_host: str
    token_life: int = 86_400  # seconds
    haproxy: ImagePlan | None = None  # load balancers
    dedicated_etcd: bool = False  # there are nodes of role etcd
    carries_endpoint: bool = False  # this machine shares the virtual address
    live: LivePlan


class LivePlan(_Value):
    """Facts about other machines, by name in the stack file's order; empty where a role needs none.

    Load balancers: ``control_planes``, ``endpoint_nodes``. Control planes: all of them. Etcd nodes:
    ``etcd_members``. Workers: nothing.
    """

    control_planes: tuple[Member, ...] = ()
    etcd_members: tuple[Member, ...] = ()
    endpoint_nodes: tuple[Member, ...] = ()
    labels: dict[str, dict[str, str]] = {}  # host name -> labels that it may not set itself
    taints: dict[str, tuple[str, ...]] = {}  # host name -> key=value:effect
    manifests: tuple[ManifestPlan, ...] = ()
    addons: Addons = Addons()  # CoreDNS' settings are a patch of what kubeadm installed


class NodePlan(_Value):
    """One node, complete. ``base_url`` is the boot server as machines reach it."""

    stack: str
    cluster: str
    base_url: str
    flatcar_version: str
    flatcar_channel: str
    ssh_authorized_keys: tuple[str, ...] = ()
    proxy: Proxy | None = None
    updates: Updates
    sysexts: tuple[SysextReference, ...] = ()
    auto_arm: bool = True
    arm_for: int = 86_400
    kubernetes: KubernetesPlan | None = None  # None: machines without a cluster
    node: Node

    @property
    def runs_etcd(self) -> bool:
        """Whether a member of etcd is on this machine."""
        if self.kubernetes is None:
            return False
        if self.kubernetes.dedicated_etcd:
            return self.node.role is Role.ETCD
        return self.node.role is Role.CONTROL_PLANE


KubernetesPlan.model_rebuild()
