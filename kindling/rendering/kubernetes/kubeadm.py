"""kubeadm's documents: how the first control plane begins, and how every other machine joins.

Sources: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/ and .v1beta3/.
"""

from __future__ import annotations

from typing import Any

from kindling.models.compatibility import kubeadm_api, minor_of
from kindling.models.node import Node
from kindling.models.node_labels import own_labels
from kindling.models.plan import KubernetesPlan, NodePlan
from kindling.models.role import Role
from kindling.rendering.kubernetes import components
from kindling.rendering.kubernetes.documents import Document, to_yaml, without_empty
from kindling.rendering.kubernetes.kubelet import cluster_document, node_patch
from kindling.rendering.parts import SystemFile
from kindling.rendering.secrets import NodeSecrets

_FOLDER = "/etc/kindling/kubeadm"
INIT = f"{_FOLDER}/init.yaml"
JOIN = f"{_FOLDER}/join.yaml"
_PATCHES = f"{_FOLDER}/patches"
_KUBELET_PATCH = f"{_PATCHES}/kubeletconfiguration0+merge.yaml"
_SOCKET = "unix:///run/containerd/containerd.sock"
# Which machines of role etcd there are may change without a re-installation, so it is not in the
# document: /opt/kindling/cluster puts the addresses of the live document here.
ETCD_ENDPOINTS = "https://etcd-endpoints.invalid:2379"
API_PORT = 6443  # of each control plane's own API server
_ETCD_PKI = "/etc/kubernetes/pki"


def kubeadm_files(plan: NodePlan, secrets: NodeSecrets) -> tuple[SystemFile, ...]:
    """The documents of a control plane or a worker."""
    cluster = plan.kubernetes
    assert cluster is not None, "only machines of a cluster have kubeadm's documents"
    files = [
        SystemFile(JOIN, to_yaml(_join(plan, cluster, secrets)), "kubeadm join", 0o600, True),
        SystemFile(_KUBELET_PATCH, to_yaml(node_patch(plan.node)), "kubelet"),
    ]
    if plan.node.role is Role.CONTROL_PLANE:
        documents = (
            _init(plan, cluster, secrets),
            _cluster(plan, cluster),
            cluster_document(cluster.settings),
            _kube_proxy(cluster),
        )
        files.append(SystemFile(INIT, to_yaml(*documents), "kubeadm init", 0o600, True))
    return tuple(files)


def endpoint(cluster: KubernetesPlan) -> str:
    """``host:port`` of the API, as kubeadm and kubeconfigs write it."""
    host = f"[{cluster.endpoint_host}]" if ":" in cluster.endpoint_host else cluster.endpoint_host
    return f"{host}:{cluster.settings.endpoint.port}"


def _init(plan: NodePlan, cluster: KubernetesPlan, secrets: NodeSecrets) -> Document:
    token = {
        "token": secrets.credentials.bootstrap_token,
        "ttl": f"{cluster.token_life}s",
        "usages": ["signing", "authentication"],
        "groups": ["system:bootstrappers:kubeadm:default-node-token"],
    }
    skipped = ["addon/kube-proxy"] if _proxy_mode(cluster) == "none" else []
    return without_empty(
        {
            **_head(cluster, "InitConfiguration"),
            "bootstrapTokens": [token],
            "localAPIEndpoint": _local_endpoint(plan.node),
            "nodeRegistration": _registration(plan.node, cluster),
            "patches": {"directory": _PATCHES},
            "skipPhases": skipped,
        }
    )


def _join(plan: NodePlan, cluster: KubernetesPlan, secrets: NodeSecrets) -> Document:
    credentials = secrets.credentials
    plane = plan.node.role is Role.CONTROL_PLANE
    discovery = {
        "token": credentials.bootstrap_token,
        "apiServerEndpoint": endpoint(cluster),
        "caCertHashes": [credentials.authority_digest],
    }
    return without_empty(
        {
            **_head(cluster, "JoinConfiguration"),
            "discovery": {"bootstrapToken": discovery},
            "controlPlane": {"localAPIEndpoint": _local_endpoint(plan.node)} if plane else None,
            "nodeRegistration": _registration(plan.node, cluster),
            "patches": {"directory": _PATCHES},
        }
    )


def _cluster(plan: NodePlan, cluster: KubernetesPlan) -> Document:
    settings, networking = cluster.settings, cluster.settings.networking
    api = components.api_server(settings)
    api["extraArgs"] = _arguments(cluster, api["extraArgs"])
    api["certSANs"] = _names(plan, cluster)
    return {
        **_head(cluster, "ClusterConfiguration"),
        "clusterName": plan.cluster,
        "kubernetesVersion": f"v{cluster.version}",
        "controlPlaneEndpoint": endpoint(cluster),
        "networking": {
            "podSubnet": networking.pod_subnet,
            "serviceSubnet": networking.service_subnet,
            "dnsDomain": networking.dns_domain,
        },
        "etcd": _etcd(cluster),
        "apiServer": without_empty(api),
        "controllerManager": _component(cluster, components.controller_manager(settings)),
        "scheduler": _component(cluster, components.scheduler(settings)),
    }


def _etcd(cluster: KubernetesPlan) -> Document:
    if cluster.etcd.mode == "static-pod":
        extra = _arguments(cluster, dict(cluster.etcd.extra_args))
        return {"local": without_empty({"dataDir": "/var/lib/etcd", "extraArgs": extra})}
    return {
        "external": {
            # Each API server talks to its own machine's member, as with kubeadm's stacked etcd.
            "endpoints": [ETCD_ENDPOINTS if cluster.dedicated_etcd else "https://127.0.0.1:2379"],
            "caFile": f"{_ETCD_PKI}/etcd/ca.crt",
            "certFile": f"{_ETCD_PKI}/apiserver-etcd-client.crt",
            "keyFile": f"{_ETCD_PKI}/apiserver-etcd-client.key",
        }
    }


def _kube_proxy(cluster: KubernetesPlan) -> Document:
    return without_empty(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            # Without kube-proxy the document is only read, never used.
            "mode": "" if _proxy_mode(cluster) == "none" else _proxy_mode(cluster),
            "featureGates": dict(sorted(cluster.settings.feature_gates.items())),
        }
    )


def _proxy_mode(cluster: KubernetesPlan) -> str:
    """How services work; nftables is stable from 1.33 on (KEP-3866)."""
    stable = minor_of(cluster.version) >= (1, 33)
    return cluster.settings.kube_proxy.mode or ("nftables" if stable else "iptables")


def _head(cluster: KubernetesPlan, kind: str) -> Document:
    return {"apiVersion": kubeadm_api(cluster.version), "kind": kind}


def _local_endpoint(node: Node) -> Document:
    return {"advertiseAddress": node.reached_at, "bindPort": API_PORT}


def _registration(node: Node, cluster: KubernetesPlan) -> Document:
    labels = ",".join(f"{key}={value}" for key, value in sorted(own_labels(node).items()))
    arguments = {"node-ip": node.reached_at or "", "node-labels": labels}
    given = {key: value for key, value in arguments.items() if value} | node.kubelet.extra_args
    made: Document = {
        "name": node.hostname,
        "criSocket": _SOCKET,
        "kubeletExtraArgs": _arguments(cluster, given),
    }
    # Without the key, kubeadm keeps ordinary pods off control planes; an empty list lets them in.
    if node.taints is not None:
        made["taints"] = [each.model_dump(exclude_defaults=True) for each in node.taints]
    return made


def _names(plan: NodePlan, cluster: KubernetesPlan) -> list[str]:
    """Further names of the API server's certificate; kubeadm adds the node's own."""
    settings = cluster.settings
    virtual = settings.endpoint.virtual_address
    names = [cluster.endpoint_host, *([virtual.partition("/")[0]] if virtual else [])]
    return list(dict.fromkeys([*names, "127.0.0.1", *settings.cert_sans]))


def _component(cluster: KubernetesPlan, arguments: dict[str, str]) -> Document:
    return {"extraArgs": _arguments(cluster, arguments)}


def _arguments(cluster: KubernetesPlan, arguments: dict[str, str]) -> Any:
    """A mapping up to v1beta3, a list of names and values from v1beta4 on."""
    if kubeadm_api(cluster.version).endswith("v1beta3"):
        return dict(arguments)
    return [{"name": name, "value": value} for name, value in arguments.items()]
