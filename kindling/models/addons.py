"""What the cluster runs from the beginning: its pod network, add-ons, and the user's manifests.

An add-on is upstream's released manifest, pinned by digest; the settings here become a patch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from kindling.models.base import StackModel
from kindling.models.kubernetes_types import (
    AddressPool,
    DnsServer,
    Domain,
    Host,
    PodMtu,
    PromDuration,
    Quantity,
)
from kindling.models.types import (
    AbsolutePath,
    ClusterName,
    Flag,
    InterfaceName,
    IpAddress,
    Location,
    Number,
    Positive,
    Sha256,
    Text,
    Version,
)

ObjectName = ClusterName  # Kubernetes' own objects need the same
Cni = Literal["flannel", "calico", "cilium", "none"]


class Addon(StackModel):
    """What every add-on has."""

    enabled: Flag = Field(True, description="false leaves it out, as if it were not written.")
    version: Version | None = Field(
        None, description="Its release; the newest in the catalog when absent."
    )
    url: Location | None = Field(
        None, description="Its manifest, when the catalog has none or another is wanted."
    )
    sha256: Sha256 | None = Field(
        None, description="The digest of what url names, when nobody publishes one."
    )
    patches: tuple[dict[str, Any], ...] = Field(
        (), description="Strategic merge patches of your own (apiVersion, kind, metadata.name)."
    )

    @model_validator(mode="after")
    def _digest_belongs_to_a_url(self) -> Self:
        if self.sha256 is not None and self.url is None:
            raise ValueError("has sha256 without url; the lock file pins what the catalog names")
        return self


class Flannel(Addon):
    """The pod network Flannel."""

    backend: Literal["vxlan", "host-gw", "wireguard"] = Field(
        "vxlan", description="How packets travel between nodes."
    )
    mtu: PodMtu | None = Field(None, description="Largest packet of pods.")


class CoreDns(StackModel):
    """Settings of the cluster's DNS, which kubeadm installs."""

    replicas: Positive | None = Field(None, description="Copies; 2 when absent.")
    forward: tuple[DnsServer, ...] = Field(
        (), description="DNS servers that are asked for other names; the node's when empty."
    )
    cache: Positive | None = Field(
        None, description="Seconds that answers are kept; 30 when absent."
    )
    hosts: dict[IpAddress, tuple[Host, ...]] = Field({}, description="Address to names.")
    stub_domains: dict[Domain, tuple[DnsServer, ...]] = Field(
        {}, description="Domain to its DNS servers."
    )


class MetricsServer(Addon):
    """What `kubectl top` and autoscaling ask."""

    verify_kubelets: Flag = Field(
        False,
        description="Verify the certificates that kubelets serve with; kubeadm leaves them "
        "self-signed, so give them others first.",
    )


class IngressNginx(Addon):
    """The ingress controller."""

    service_type: Literal["LoadBalancer", "NodePort"] = Field(
        "NodePort", description="How it is reached from outside."
    )
    replicas: Positive | None = Field(None, description="Copies; upstream's when absent.")
    default_class: Flag = Field(True, description="Serve Ingresses that name no class.")


class MetalLbPool(StackModel):
    """Addresses that services of type LoadBalancer get."""

    name: ObjectName = Field("default", description="Name of the pool.")
    addresses: tuple[AddressPool, ...] = Field(min_length=1, description="Ranges.")
    auto_assign: Flag = Field(True, description="Give them to services that name no pool.")


class MetalLb(Addon):
    """Load balancer services on bare metal."""

    pools: tuple[MetalLbPool, ...] = Field((), description="Address pools.")
    l2: Flag = Field(True, description="Announce the pools in the local network (ARP, NDP).")
    interfaces: tuple[InterfaceName, ...] = Field(
        (), description="Cards that announce; all when empty."
    )


class StorageClassAddon(Addon):
    """Longhorn: replicated storage on the nodes' disks."""

    replicas: Number = Field(3, ge=1, description="Copies of a volume.")
    data_path: AbsolutePath = Field("/var/lib/longhorn", description="Directory on every node.")
    default_class: Flag = Field(False, description="Use it for claims that name no class.")


class Prometheus(Addon):
    """Monitoring by the Prometheus operator."""

    replicas: Number = Field(1, ge=1, description="Copies of Prometheus.")
    retention: PromDuration = Field("15d", description="How long samples are kept.")
    storage: Quantity | None = Field(None, description="Size of its volume; none when absent.")


class Addons(StackModel):
    """Every add-on; absent ones are not installed."""

    coredns: CoreDns | None = Field(None, description="Settings of the cluster's DNS.")
    flannel: Flannel | None = Field(None, description="Settings of `cni: flannel`.")
    calico: Addon | None = Field(None, description="Settings of `cni: calico`.")
    cilium: Addon | None = Field(None, description="Settings of `cni: cilium`.")
    network_policies: Addon | None = Field(
        None, description="kube-network-policies: enforces policies where the network does not."
    )
    metrics_server: MetricsServer | None = Field(None, description="metrics-server.")
    ingress_nginx: IngressNginx | None = Field(None, description="ingress-nginx.")
    metallb: MetalLb | None = Field(None, description="MetalLB.")
    prometheus: Prometheus | None = Field(None, description="The Prometheus operator's stack.")
    loki: Addon | None = Field(None, description="Loki.")
    longhorn: StorageClassAddon | None = Field(None, description="Longhorn.")
    velero: Addon | None = Field(None, description="Velero.")
    flux: Addon | None = Field(None, description="Flux.")


class ChosenAddon(NamedTuple):
    """An add-on that the cluster gets."""

    name: str  # of artifact and plan: kube-network-policies
    key: str  # below addons in the stack file: networkPolicies
    settings: Addon


NETWORKS = ("flannel", "calico", "cilium")
# In the order of application: without a network nothing else becomes ready; what brings kinds of
# its own comes before what may use them.
_ORDER = {
    "flannel": "flannel",
    "calico": "calico",
    "cilium": "cilium",
    "network_policies": "kube-network-policies",
    "prometheus": "prometheus-operator",
    "metallb": "metallb",
    "longhorn": "longhorn",
    "velero": "velero",
    "flux": "flux",
    "metrics_server": "metrics-server",
    "ingress_nginx": "ingress-nginx",
    "loki": "loki",
}

# What upstream does not release as a manifest, and how a user makes one.
_MADE_BY = {
    # By itself the chart puts an authority's key into the manifest.
    "cilium": "helm template cilium cilium/cilium --namespace kube-system --include-crds "
    "--set hubble.tls.auto.method=cronJob",
    "loki": "helm template loki grafana/loki --namespace loki --values FILE",
    "velero": "velero install --dry-run -o yaml --no-secret --provider ... --bucket ...",
}


def unreleased(name: str) -> str:
    """The sentence about an add-on whose manifest its user has to make."""
    command = f"`{_MADE_BY[name]} > {name}.yaml`"
    return (
        f"is missing, and upstream releases no manifest; make one with {command} and name it here"
    )


def chosen_addons(cni: Cni, addons: Addons) -> Iterator[ChosenAddon]:
    """The add-ons that are wanted, in the order in which they are applied."""
    for field, name in _ORDER.items():
        settings: Addon | None = getattr(addons, field)
        if field in NETWORKS:
            default = Flannel() if field == "flannel" else Addon()
            settings = (settings or default) if field == cni else None
        if settings is not None and settings.enabled:
            key = Addons.model_fields[field].alias or field
            yield ChosenAddon(name, key, settings)


class Manifest(StackModel):
    """A manifest of the user's own: inline, or a file with its digest."""

    name: ObjectName = Field(description="Name, unique among manifests.")
    inline: Text | None = Field(None, description="The manifest's text (YAML).")
    url: Location | None = Field(None, description="Where it comes from.")
    sha256: Sha256 | None = Field(None, description="Its digest, when nobody publishes one.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.inline is None) == (self.url is None):
            raise ValueError("needs exactly one of: inline, url")
        if self.sha256 is not None and self.url is None:
            raise ValueError("has sha256 without url; what is inline needs none")
        return self
