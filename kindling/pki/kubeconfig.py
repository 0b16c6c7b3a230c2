"""The administrator's kubeconfig, as text."""

from __future__ import annotations

import base64

import yaml

from kindling.models.credentials import KeyPair


def kubeconfig(*, cluster: str, server: str, certificate: str, admin: KeyPair) -> str:
    """One cluster, one user, one context; ``certificate`` is the authority's (PEM).

    They are called after the cluster, not `kubernetes` as in kubeadm's, so that kubeconfigs of
    several clusters can be used together (KUBECONFIG=a:b).
    """
    user = f"admin@{cluster}"
    trust = {"certificate-authority-data": _base64(certificate), "server": server}
    credential = {
        "client-certificate-data": _base64(admin.certificate),
        "client-key-data": _base64(admin.key),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": trust}],
        "users": [{"name": user, "user": credential}],
        "contexts": [{"name": user, "context": {"cluster": cluster, "user": user}}],
        "current-context": user,
        "preferences": {},
    }
    return yaml.safe_dump(document, sort_keys=False)


def server_url(host: str, port: int) -> str:
    """The API's URL; addresses of IPv6 in brackets."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
