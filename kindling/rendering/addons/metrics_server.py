"""metrics-server: how it trusts kubelets.

Facts: kubernetes-sigs/metrics-server 0.8.0, manifests/base/deployment.yaml (Deployment
kube-system/metrics-server) and README, "Requirements": a kubelet's serving certificate must be
signed by the cluster's authority, or verification be turned off. kubeadm leaves them self-signed
(kubernetes/website, kubeadm-certs, "Enabling signed kubelet serving certificates").
"""

from __future__ import annotations

from kindling.models.addons import Addon, MetricsServer
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, appended

_ARGUMENTS = "/spec/template/spec/containers/0/args"


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """Without verification unless the stack says that kubelets have certificates to verify."""
    assert isinstance(settings, MetricsServer)
    if settings.verify_kubelets:
        return AddonParts()
    flag = "--kubelet-insecure-tls"
    return AddonParts(patches=(appended("Deployment", "metrics-server", _ARGUMENTS, flag),))
