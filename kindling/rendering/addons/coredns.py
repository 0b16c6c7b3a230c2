"""CoreDNS' settings: the Corefile that kubeadm installs, with the stack's values in it.

Facts: kubernetes/kubernetes 1.33, cmd/kubeadm/app/phases/addons/dns: the default Corefile (the
template repeats it), two copies, ConfigMap and Deployment kube-system/coredns. kubeadm keeps a
Corefile that was changed.
"""

from __future__ import annotations

import json

from kindling.models.addons import CoreDns
from kindling.templating import render

_REPLICAS = 2
_CACHE = 30  # seconds
_FORWARD = ("/etc/resolv.conf",)  # the node's


def coredns_text(settings: CoreDns | None, dns_domain: str) -> str:
    """The live text ``coredns.json``: ``{"changed": bool, "corefile": text, "replicas": n}``.

    Without settings, ``changed`` is false and the rest is kubeadm's default, to which a machine
    goes back that had applied settings.
    """
    given = settings or CoreDns()
    document = {
        "changed": given != CoreDns(),
        "corefile": _corefile(given, dns_domain),
        "replicas": given.replicas or _REPLICAS,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _corefile(settings: CoreDns, dns_domain: str) -> str:
    return render(
        "addons/Corefile",
        domain=dns_domain,
        hosts=settings.hosts,
        forward=settings.forward or _FORWARD,
        cache=settings.cache or _CACHE,
        stubs=settings.stub_domains,
    )
