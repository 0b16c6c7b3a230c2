"""ingress-nginx: how it is reached, its copies, and Ingresses that name no class.

Facts: kubernetes/ingress-nginx, deploy/static/provider/baremetal/deploy.yaml: Service and
Deployment ingress-nginx/ingress-nginx-controller, IngressClass nginx.
"""

from __future__ import annotations

from kindling.models.addons import Addon, IngressNginx
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, Json, merged, targeted

_NAME = "ingress-nginx-controller"
_NAMESPACE = "ingress-nginx"
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """Type of the service, number of copies, the class's annotation."""
    assert isinstance(settings, IngressNginx)
    service = {"type": settings.service_type}
    patches = [merged("v1", "Service", _NAME, _NAMESPACE, spec=service), _class(settings)]
    if settings.replicas is not None:
        spec = {"replicas": settings.replicas}
        patches.append(merged("apps/v1", "Deployment", _NAME, _NAMESPACE, spec=spec))
    return AddonParts(patches=tuple(patches))


def _class(settings: IngressNginx) -> Json:
    annotations = {_DEFAULT: "true" if settings.default_class else "false"}
    metadata = {"name": "nginx", "annotations": annotations}
    patch = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": metadata}
    return targeted("IngressClass", "nginx", patch)  # some releases give it a namespace
