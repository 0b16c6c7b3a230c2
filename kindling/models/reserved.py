"""Arguments and settings that the stack gives itself, and the key that says the same.

Sources: the commands that kubeadm writes (k8s.io/kubernetes, cmd/kubeadm/app/phases/controlplane/
manifests.go, .../etcd/local.go, .../kubelet/flags.go), and what `kindling.rendering.kubernetes`
adds. An argument that only changes a default of kubeadm's without breaking it is not listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kindling.models.cluster import ClusterSettings
from kindling.models.node import Node
from kindling.models.node_checks import Finding
from kindling.models.paths import Location

_CREDENTIALS = (
    "it comes from the cluster's own authorities (credentials, or the secret authorities)"
)
_ENDPOINTS = "it follows from the nodes' roles and addresses"


def _use(*keys: str) -> str:
    return f"use {' and '.join(keys)} instead"


def _all(names: str, remedy: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), remedy)


_EVERY_COMPONENT = {
    "feature-gates": _use("kubernetes.featureGates"),
    "profiling": _use("kubernetes.apiServer.profiling"),
    "tls-min-version": _use("kubernetes.apiServer.tlsMinVersion"),
    "tls-cipher-suites": _use("kubernetes.apiServer.tlsCipherSuites"),
    **_all(
        "kubeconfig authentication-kubeconfig authorization-kubeconfig client-ca-file "
        "requestheader-client-ca-file tls-cert-file tls-private-key-file",
        _CREDENTIALS,
    ),
}
API_SERVER = {
    **_EVERY_COMPONENT,
    **_all("advertise-address etcd-servers", _ENDPOINTS),
    "etcd-prefix": "it is always /registry, where machines look whether etcd has a cluster",
    "secure-port": "it is always 6443; kubernetes.endpoint.port is the load balancers' port",
    "service-cluster-ip-range": _use("kubernetes.networking.serviceSubnet"),
    "enable-bootstrap-token-auth": "it must stay on, because machines join by it",
    "anonymous-auth": "it must stay on: probes and load balancers ask /readyz, and joins begin so",
    **_all(
        "enable-admission-plugins admission-control-config-file",
        _use("kubernetes.apiServer.admission"),
    ),
    **_all(
        "audit-policy-file audit-log-path audit-log-maxage audit-log-maxbackup audit-log-maxsize",
        _use("kubernetes.apiServer.audit"),
    ),
    "encryption-provider-config": _use("kubernetes.apiServer.encryption"),
    **_all(
        "oidc-issuer-url oidc-client-id oidc-username-claim oidc-username-prefix "
        "oidc-groups-claim oidc-groups-prefix oidc-ca-file",
        _use("kubernetes.apiServer.oidc"),
    ),
    **_all(
        "etcd-cafile etcd-certfile etcd-keyfile service-account-key-file "
        "service-account-signing-key-file kubelet-client-certificate kubelet-client-key "
        "proxy-client-cert-file proxy-client-key-file",
        _CREDENTIALS,
    ),
}
CONTROLLER_MANAGER = {
    **_EVERY_COMPONENT,
    "cluster-cidr": _use("kubernetes.networking.podSubnet"),
    "service-cluster-ip-range": _use("kubernetes.networking.serviceSubnet"),
    "cluster-name": _use("name"),
    **_all(
        "root-ca-file service-account-private-key-file cluster-signing-cert-file "
        "cluster-signing-key-file",
        _CREDENTIALS,
    ),
}
SCHEDULER = _EVERY_COMPONENT
ETCD = {
    **_all(
        "name listen-client-urls advertise-client-urls listen-peer-urls "
        "initial-advertise-peer-urls initial-cluster initial-cluster-state initial-cluster-token "
        "discovery discovery-srv",
        _ENDPOINTS,
    ),
    **_all(
        "cert-file key-file trusted-ca-file client-cert-auth peer-cert-file peer-key-file "
        "peer-trusted-ca-file peer-client-cert-auth auto-tls peer-auto-tls",
        _CREDENTIALS,
    ),
    "wal-dir": "it is always in /var/lib/etcd, where the machine looks for it",
    "data-dir": "it is always /var/lib/etcd; mount a filesystem there with storage.filesystems",
    "config-file": "a file would replace every argument; give arguments in extraArgs",
    "force-new-cluster": "it would throw members away at each start; use a snapshot instead",
}
KUBELET_ARGUMENTS = {
    "hostname-override": _use("hostname"),
    "node-ip": _use("address"),
    "node-labels": _use("labels"),
    "register-with-taints": _use("taints"),
    "container-runtime-endpoint": "it is always containerd's socket; remove it",
    **_all("kubeconfig bootstrap-kubeconfig client-ca-file", _CREDENTIALS),
    "config": "a file would replace every setting; give fields in kubelet.settings",
    "feature-gates": _use("kubernetes.featureGates"),
    **_all("cluster-dns cluster-domain", _use("kubernetes.networking")),
    "max-pods": _use("kubelet.maxPods"),
    "fail-swap-on": _use("kubelet.swap"),
    "resolv-conf": _use("kubelet.resolvConf"),
    "eviction-hard": _use("kubelet.evictionHard"),
    "eviction-soft": _use("kubelet.evictionSoft"),
    "eviction-soft-grace-period": _use("kubelet.evictionSoftGracePeriod"),
    "system-reserved": _use("kubelet.systemReserved"),
    "kube-reserved": _use("kubelet.kubeReserved"),
    "container-log-max-size": _use("kubelet.containerLogMaxSize"),
    "container-log-max-files": _use("kubelet.containerLogMaxFiles"),
}
_SAME_NAME = (
    "maxPods evictionHard evictionSoft evictionSoftGracePeriod systemReserved kubeReserved "
    "containerLogMaxSize containerLogMaxFiles resolvConf"
)
KUBELET_SETTINGS = {
    **{name: _use(f"kubelet.{name}") for name in _SAME_NAME.split()},
    **_all("failSwapOn memorySwap", _use("kubelet.swap")),
    "featureGates": _use("kubernetes.featureGates"),
    **_all("clusterDNS clusterDomain", _use("kubernetes.networking")),
    **_all("apiVersion kind", "it is known; remove it"),
    **_all("staticPodPath healthzPort healthzBindAddress", "kubeadm relies on it; remove it"),
    "cgroupDriver": "it must be containerd's, systemd; remove it",
    "containerRuntimeEndpoint": "it is always containerd's socket; remove it",
}


def check_reserved(settings: ClusterSettings) -> Iterator[Finding]:
    """Arguments of the control plane's components and of etcd."""
    kubernetes = settings.kubernetes
    yield from _taken(
        kubernetes.api_server.extra_args, API_SERVER, ("kubernetes", "apiServer", "extraArgs")
    )
    yield from _taken(
        kubernetes.controller_manager.extra_args,
        CONTROLLER_MANAGER,
        ("kubernetes", "controllerManager", "extraArgs"),
    )
    yield from _taken(
        kubernetes.scheduler.extra_args, SCHEDULER, ("kubernetes", "scheduler", "extraArgs")
    )
    yield from _taken(settings.etcd.extra_args, ETCD, ("etcd", "extraArgs"))


def check_reserved_of_kubelet(node: Node) -> Iterator[Finding]:
    """Arguments and settings of a node's kubelet."""
    kubelet = node.kubelet
    yield from _taken(kubelet.extra_args, KUBELET_ARGUMENTS, ("kubelet", "extraArgs"))
    yield from _taken(kubelet.settings, KUBELET_SETTINGS, ("kubelet", "settings"))


def _taken(given: Iterable[str], reserved: Mapping[str, str], here: Location) -> Iterator[Finding]:
    for name in given:
        if name in reserved:
            yield Finding((*here, name), f"is set by the stack; {reserved[name]}")
