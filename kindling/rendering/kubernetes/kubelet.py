"""The kubelet's configuration.

What holds for the whole cluster is in the document that kubeadm keeps there; what is a node's own
is a patch, which kubeadm applies on that machine at `init` and at `join`.
Source: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

from __future__ import annotations

from kindling.models.kubernetes import Kubelet, Kubernetes
from kindling.models.node import Node
from kindling.rendering.kubernetes.documents import Document, without_empty

_KIND = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}


def cluster_document(settings: Kubernetes) -> Document:
    """What every kubelet has; kubeadm adds DNS, cgroups and certificates."""
    return _KIND | without_empty(
        {
            "clusterDomain": settings.networking.dns_domain,
            "featureGates": dict(sorted(settings.feature_gates.items())),
        }
    )


def node_patch(node: Node) -> Document:
    """What this node's kubelet has beside it."""
    kubelet = node.kubelet
    given = {
        "resolvConf": kubelet.resolv_conf,
        "maxPods": kubelet.max_pods,
        "evictionHard": dict(kubelet.eviction_hard),
        "evictionSoft": dict(kubelet.eviction_soft),
        "evictionSoftGracePeriod": dict(kubelet.eviction_soft_grace_period),
        "systemReserved": dict(kubelet.system_reserved),
        "kubeReserved": dict(kubelet.kube_reserved),
        "containerLogMaxSize": kubelet.container_log_max_size,
        "containerLogMaxFiles": kubelet.container_log_max_files,
    }
    return _KIND | without_empty(given) | _swap(kubelet) | dict(kubelet.settings)


def _swap(kubelet: Kubelet) -> Document:
    """Sources: fields failSwapOn and memorySwap.swapBehavior of the configuration."""
    match kubelet.swap:
        case "refuse":
            return {}
        case "ignore":
            return {"failSwapOn": False, "memorySwap": {"swapBehavior": "NoSwap"}}
        case "limited":
            return {"failSwapOn": False, "memorySwap": {"swapBehavior": "LimitedSwap"}}
