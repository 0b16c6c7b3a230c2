"""The cluster that the machines form: what kubeadm is told, and how its API is reached."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from kindling.models.base import StackModel
from kindling.models.kubernetes_types import (
    Arguments,
    BucketName,
    Calendar,
    CertificateName,
    Certificates,
    CipherSuite,
    Domain,
    EvictionSignal,
    FeatureGate,
    GoDuration,
    Host,
    HttpsUrl,
    Ipv4Network,
    Line,
    LogFiles,
    ObjectPrefix,
    PluginName,
    Quantity,
    Reservable,
    ResourceName,
    Threshold,
)
from kindling.models.types import (
    AbsolutePath,
    Flag,
    InterfaceAddress,
    InterfaceName,
    Natural,
    Number,
    Positive,
    Url,
)

_AUDIT_LEVELS = ("None", "Metadata", "Request", "RequestResponse")


class Endpoint(StackModel):
    """Where the API is reached. Roles choose who carries it.

    With load-balancer nodes, they do; else with ``virtualAddress`` the control planes do; else
    ``host`` is somebody else's (an external load balancer, or DNS), or the only control plane.
    """

    host: Host | None = Field(
        None,
        description="Name or address of the API; the virtual address, or the only load balancer's "
        "or control plane's own, when absent.",
    )
    port: Number = Field(6443, ge=1, le=65_535, description="Port of the API at the endpoint.")
    virtual_address: InterfaceAddress | None = Field(
        None, description="Address that keepalived moves between machines, with prefix length."
    )
    interface: InterfaceName | None = Field(
        None,
        description="Card that carries the virtual address; the one that has an address in the "
        "same network when absent.",
    )
    router_id: Number = Field(
        51, ge=1, le=255, description="VRRP router id, unique in the machines' network."
    )


class Networking(StackModel):
    """The cluster's own networks. Defaults are kubeadm's and Flannel's."""

    pod_subnet: Ipv4Network = Field(
        "10.244.0.0/16", description="Addresses of pods; each node takes a /24 of it."
    )
    service_subnet: Ipv4Network = Field(
        "10.96.0.0/12", description="Addresses of services; the tenth is the cluster's DNS."
    )
    dns_domain: Domain = Field("cluster.local", description="Domain of services.")


class KubeProxy(StackModel):
    """What makes services reachable on every node."""

    mode: Literal["iptables", "nftables", "ipvs", "none"] | None = Field(
        None,
        description="nftables where the version has it as stable (1.33), else iptables, when "
        "absent; none for networks that replace it.",
    )


class AuditPolicy(StackModel):
    """What the API server writes down of who did what."""

    policy: dict[str, Any] | None = Field(
        None,
        description="Fields of an audit.k8s.io/v1 Policy (rules, omitStages, ...); metadata of "
        "every request when absent.",
    )
    max_age: Natural = Field(30, description="Days that a log is kept.")
    max_backup: Natural = Field(10, description="Number of old logs that are kept.")
    max_size: Number = Field(100, ge=1, description="Megabytes at which a log is rotated.")

    @model_validator(mode="after")
    def _has_rules(self) -> Self:
        if self.policy is None:
            return self
        rules = self.policy.get("rules")
        if not isinstance(rules, list) or not rules:
            raise ValueError("has a policy without rules; give rules, or remove policy")
        for rule in rules:
            level = rule.get("level") if isinstance(rule, dict) else None
            if level not in _AUDIT_LEVELS:
                what = "a rule without level" if level is None else f'a rule with level "{level}"'
                raise ValueError(f"has {what}; each has one of: {', '.join(_AUDIT_LEVELS)}")
        return self


class Oidc(StackModel):
    """Who people are, by an OpenID Connect issuer."""

    issuer_url: HttpsUrl = Field(description="The issuer, with https.")
    client_id: Line = Field(description="The client that tokens must be for.")
    username_claim: Line = Field("sub", description="Claim with the user's name.")
    username_prefix: Line | None = Field(None, description="Put before every user's name.")
    groups_claim: Line | None = Field(None, description="Claim with the user's groups.")
    groups_prefix: Line | None = Field(None, description="Put before every group's name.")
    ca: Certificates | None = Field(
        None, description="PEM certificate of the issuer's authority; public ones when absent."
    )


class EventRateLimit(StackModel):
    """How many events a source may write."""

    type: Literal["Server", "Namespace", "User", "SourceAndObject"] = Field(
        description="Whose events are counted together."
    )
    qps: Number = Field(ge=1, description="Events per second.")
    burst: Number = Field(ge=1, description="Events at once.")
    cache_size: Positive | None = Field(None, description="Sources that are remembered.")


class Admission(StackModel):
    """Admission plug-ins beyond the API server's own defaults."""

    node_restriction: Flag = Field(True, description="A kubelet changes only its own node.")
    event_rate_limit: tuple[EventRateLimit, ...] = Field(
        (), description="Limits of events; none when empty."
    )
    extra_plugins: tuple[PluginName, ...] = Field((), description="Further plug-ins to enable.")

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        named = {"NodeRestriction": "nodeRestriction", "EventRateLimit": "eventRateLimit"}
        for name, key in named.items():
            if name in self.extra_plugins:
                raise ValueError(f"has {name} in extraPlugins; use {key} instead")
        return self


class Encryption(StackModel):
    """Encryption of secrets in etcd; the key is made by the stack."""

    enabled: Flag = Field(True, description="false leaves everything in etcd readable.")
    # aesgcm needs another key after 200,000 writes, which nobody here would give it in time:
    # https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#providers
    provider: Literal["secretbox", "aescbc"] = Field(
        "secretbox", description="How they are encrypted."
    )
    resources: tuple[ResourceName, ...] = Field(
        ("secrets",), min_length=1, description="What is encrypted."
    )


class ApiServer(StackModel):
    """Settings of kube-apiserver."""

    extra_args: Arguments = Field({}, description="Further arguments, by name without dashes.")
    audit: AuditPolicy | None = Field(None, description="Audit log; none when absent.")
    encryption: Encryption = Field(Encryption(), description="Encryption at rest.")
    oidc: Oidc | None = Field(None, description="OpenID Connect; none when absent.")
    admission: Admission = Field(Admission(), description="Admission plug-ins.")
    profiling: Flag = Field(False, description="Serve profiles, in the whole control plane.")
    tls_cipher_suites: tuple[CipherSuite, ...] = Field(
        (), description="Suites of TLS 1.2, of the whole control plane; Go's own when empty."
    )
    tls_min_version: Literal["VersionTLS12", "VersionTLS13"] = Field(
        "VersionTLS12", description="Oldest TLS version of the whole control plane."
    )

    @model_validator(mode="after")
    def _suites_are_of_tls12(self) -> Self:
        if self.tls_cipher_suites and self.tls_min_version == "VersionTLS13":
            raise ValueError(
                "has tlsCipherSuites with VersionTLS13, whose suites cannot be chosen; "
                "remove tlsCipherSuites"
            )
        return self


class ComponentSettings(StackModel):
    """Settings of kube-controller-manager or kube-scheduler."""

    extra_args: Arguments = Field({}, description="Further arguments, by name without dashes.")


class Kubernetes(StackModel):
    """The cluster; `assets.kubernetes` is its version, and without that there is none."""

    incarnation: Number = Field(
        1, ge=1, description="Raise it to let the same machines form a new cluster from nothing."
    )
    endpoint: Endpoint = Field(Endpoint(), description="Where the API is reached.")
    networking: Networking = Field(Networking(), description="The cluster's own networks.")
    cert_sans: tuple[CertificateName, ...] = Field(
        (), alias="certSANs", description="Further names and addresses of the API."
    )
    kube_proxy: KubeProxy = Field(KubeProxy(), description="What makes services reachable.")
    api_server: ApiServer = Field(
        ApiServer(), description="kube-apiserver: who may do what, and what is written down."
    )
    controller_manager: ComponentSettings = Field(
        ComponentSettings(), description="kube-controller-manager."
    )
    scheduler: ComponentSettings = Field(ComponentSettings(), description="kube-scheduler.")
    feature_gates: dict[FeatureGate, Flag] = Field(
        {}, description="Feature gates of every component."
    )


class S3Location(StackModel):
    """A place in an object store. Its keys are secret configuration: s3AccessKey, s3SecretKey."""

    endpoint: Url = Field(description="URL of the object store.")
    bucket: BucketName = Field(description="Bucket.")
    prefix: ObjectPrefix = Field("", description="Put before every object's name.")
    region: Line = Field("us-east-1", description="Region that requests are signed for.")


class Snapshots(StackModel):
    """Copies of etcd's data."""

    enabled: Flag = Field(True, description="Take snapshots.")
    schedule: Calendar = Field("*-*-* 00/6:00:00", description="When, as systemd's OnCalendar.")
    keep: Number = Field(12, ge=1, description="How many are kept on each machine.")
    directory: AbsolutePath = Field(
        "/var/lib/kindling/snapshots", description="Where they are kept."
    )
    s3: S3Location | None = Field(None, description="Where they are copied to; nowhere if absent.")


class Etcd(StackModel):
    """The cluster's database, on nodes of role etcd where there are any, else control planes."""

    mode: Literal["systemd", "static-pod"] = Field(
        "systemd",
        description="systemd: a service from the system extension; static-pod: kubeadm's own.",
    )
    extra_args: Arguments = Field({}, description="Further arguments, by name without dashes.")
    snapshots: Snapshots = Field(Snapshots(), description="Copies of its data.")


class Kubelet(StackModel):
    """Settings of a node's kubelet."""

    max_pods: Positive | None = Field(None, description="Pods per node; 110 when absent.")
    eviction_hard: dict[EvictionSignal, Threshold] = Field(
        {}, description="Signal to the threshold at which pods are ended at once."
    )
    eviction_soft: dict[EvictionSignal, Threshold] = Field(
        {}, description="Signal to the threshold at which pods are asked to end."
    )
    eviction_soft_grace_period: dict[EvictionSignal, GoDuration] = Field(
        {}, description="Signal to the time that evictionSoft waits, as 1m30s."
    )
    system_reserved: dict[Reservable, Quantity] = Field({}, description="Kept for the system.")
    kube_reserved: dict[Reservable, Quantity] = Field({}, description="Kept for Kubernetes' own.")
    container_log_max_size: Quantity | None = Field(None, description="Size at which logs rotate.")
    container_log_max_files: LogFiles | None = Field(None, description="Logs per container.")
    swap: Literal["refuse", "ignore", "limited"] = Field(
        "refuse", description="What swap means: no start, not for pods, limited for pods."
    )
    resolv_conf: AbsolutePath = Field(
        "/run/systemd/resolve/resolv.conf", description="Name resolution that pods begin with."
    )
    extra_args: Arguments = Field({}, description="Further arguments, by name without dashes.")
    settings: dict[str, Any] = Field(
        {}, description="Further fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."
    )
