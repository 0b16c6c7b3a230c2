"""One environment: a cluster with its boot server, artifacts and nodes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from kindling.models.addons import Addons, Cni, Manifest
from kindling.models.architecture import Architecture
from kindling.models.base import StackModel
from kindling.models.kubernetes import Etcd, Kubernetes
from kindling.models.node import Node
from kindling.models.role import Role
from kindling.models.types import (
    AbsolutePath,
    BaseUrl,
    Cidr,
    ClusterName,
    Duration,
    Flag,
    Gateway4,
    InterfaceName,
    Number,
    SshKey,
    Text,
    Url,
)
from kindling.models.versions import Assets

# YAML 1.1 reads a bare `off` as false; Pulumi reads it as text.
Strategy = Annotated[
    Literal["off", "reboot", "etcd-lock"],
    BeforeValidator(lambda value: "off" if value is False else value),
]


class Proxy(StackModel):
    """The way out of the machines' network."""

    http: Url | None = Field(None, description="Proxy for http.")
    https: Url | None = Field(None, description="Proxy for https.")
    no_proxy: tuple[Text, ...] = Field((), description="Hosts and networks that need no proxy.")

    @model_validator(mode="after")
    def _is_a_proxy(self) -> Self:
        if self.http is None and self.https is None:
            raise ValueError("names no proxy; give http, https or both, or remove it")
        return self


class Updates(StackModel):
    """Flatcar's own updates. ``off``: its update services are masked; the stack decides."""

    strategy: Strategy = Field("off", description="What follows an update; off: no updates.")
    group: Text = Field("stable", description="Update group (channel) that is followed.")


class Store(StackModel):
    """Where the published files go: exactly one of the two."""

    http: BaseUrl | None = Field(None, description="A boot server that takes uploads.")
    directory: Text | None = Field(None, description="A directory that a boot server serves.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.http is None) == (self.directory is None):
            raise ValueError("needs exactly one of: http, directory")
        return self


class AddressRange(StackModel):
    """Addresses that a DHCP server gives away, both ends included."""

    start: Gateway4 = Field(description="First address.")
    end: Gateway4 = Field(description="Last address.")


class Dhcp(StackModel):
    """Facts of the boot segment for the published dnsmasq configuration."""

    interface: InterfaceName | None = Field(None, description="Interface that dnsmasq listens on.")
    subnet: Cidr = Field(description="The boot segment, such as 192.0.2.0/24.")
    range: AddressRange | None = Field(None, description="Addresses to give away (full DHCP).")
    gateway: Gateway4 | None = Field(None, description="Router that machines are told.")
    nameservers: tuple[Gateway4, ...] = Field((), description="DNS servers that machines are told.")
    tftp_root: AbsolutePath = Field(
        "/srv/kindling/tftp", description="Directory with the iPXE programs on the dnsmasq host."
    )


class BootServer(StackModel):
    """The server that machines boot from."""

    url: BaseUrl = Field(description="Its address as machines reach it.")
    store: Store | None = Field(None, description="Where files are put; at url when absent.")
    auto_arm: Flag = Field(True, description="false: control planes wait for an operator's arm.")
    arm_for: Duration = Field(86_400, description="How long a new generation stays armed: 24h.")
    public_page: Flag = Field(False, description="Show the page without the operator's token.")
    dhcp: Dhcp | None = Field(None, description="Values for the published dnsmasq configuration.")

    @property
    def store_location(self) -> dict[str, str]:
        """``{"http": URL}`` or ``{"directory": PATH}``."""
        if self.store is not None and self.store.directory is not None:
            return {"directory": self.store.directory}
        return {"http": (self.store.http if self.store else None) or self.url}


def _long_enough(seconds: int) -> int:
    if seconds < 300:
        raise ValueError("is shorter than control planes take to renew it; give 5m or more")
    return seconds


TokenLife = Annotated[Duration, AfterValidator(_long_enough)]


class Credentials(StackModel):
    """The cluster's authorities and what they sign; made by the stack, or brought in as secrets."""

    rotation: Number = Field(
        1, ge=1, description="Raise it to make every authority and credential anew."
    )
    token_life: TokenLife = Field(
        86_400, description="How long a join credential is good without being renewed: 24h."
    )


class Roll(StackModel):
    """How `kindling roll` takes machines out to install them again."""

    max_unavailable: Number = Field(1, ge=1, description="Machines that may be out at once.")
    drain_timeout: Duration = Field(600, description="Time for a machine's pods to leave: 10m.")
    ready_timeout: Duration = Field(1800, description="Time until it must be back: 30m.")


class ClusterSettings(StackModel):
    """The cluster without its nodes."""

    name: ClusterName = Field(description="Name of the cluster.")
    ssh_authorized_keys: tuple[SshKey, ...] = Field(
        (), description="Public SSH keys of the user core on every node."
    )
    proxy: Proxy | None = Field(None, description="Proxy of the machines; none when absent.")
    boot_server: BootServer = Field(description="Where machines boot from, and how.")
    assets: Assets = Field(description="Versions and sources of everything that is installed.")
    updates: Updates = Field(Updates(), description="Flatcar's own updates; off when absent.")
    kubernetes: Kubernetes = Field(Kubernetes(), description="The cluster that the machines form.")
    etcd: Etcd = Field(Etcd(), description="The cluster's database.")
    cni: Cni = Field("flannel", description="The pod network; none: yours, by manifests.")
    addons: Addons = Field(Addons(), description="What the cluster runs from the beginning.")
    manifests: tuple[Manifest, ...] = Field((), description="Manifests of your own.")
    credentials: Credentials = Field(Credentials(), description="Authorities and credentials.")
    roll: Roll = Field(Roll(), description="How machines are installed again, one by one.")


class Cluster(ClusterSettings):
    """The whole cluster. Its nodes are complete: defaults and pools are merged in at load."""

    nodes: tuple[Node, ...] = Field(min_length=1, description="The machines.")

    def nodes_of(self, *roles: Role) -> tuple[Node, ...]:
        """The nodes of these roles, in the stack file's order."""
        return tuple(node for node in self.nodes if node.role in roles)

    @property
    def etcd_nodes(self) -> tuple[Node, ...]:
        """Where etcd runs: nodes of role etcd where there are any, else control planes."""
        return self.nodes_of(Role.ETCD) or self.nodes_of(Role.CONTROL_PLANE)

    @property
    def endpoint_nodes(self) -> tuple[Node, ...]:
        """Who carries the virtual address: load balancers where there are any, else planes."""
        return self.nodes_of(Role.LOAD_BALANCER) or self.nodes_of(Role.CONTROL_PLANE)

    @property
    def planes_carry_endpoint(self) -> bool:
        """Whether the control planes share the virtual address among themselves."""
        return (
            self.assets.kubernetes is not None
            and self.kubernetes.endpoint.virtual_address is not None
            and not self.nodes_of(Role.LOAD_BALANCER)
        )

    @property
    def endpoint_host(self) -> str:
        """Name or address of the API; crosschecks refuse a cluster in which nothing gives one."""
        endpoint = self.kubernetes.endpoint
        if endpoint.host:
            return endpoint.host
        if endpoint.virtual_address:
            return endpoint.virtual_address.partition("/")[0]
        first = self.endpoint_nodes[0]
        return first.reached_at or first.hostname

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """Architectures in use, x86-64 before arm64."""
        used = {node.arch for node in self.nodes}
        return tuple(architecture for architecture in Architecture if architecture in used)
