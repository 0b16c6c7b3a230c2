"""The API's endpoint: HAProxy on load balancers, keepalived on who shares the virtual address.

Who is behind it, and who shares it, is in the live document; all else in the Ignition.
"""

from __future__ import annotations

from ipaddress import ip_interface

from kindling.errors import RenderError
from kindling.models.plan import KubernetesPlan, NodePlan
from kindling.models.role import Role
from kindling.rendering.kubernetes.kubeadm import API_PORT
from kindling.rendering.kubernetes.scripts import cluster_of, program, unit
from kindling.rendering.parts import (
    SystemDownload,
    SystemFile,
    SystemLink,
    SystemPart,
    SystemUnit,
)
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text

_HEALTH_PORT = 9445  # HAProxy's word on itself, on the loopback address
_FIRST_PRIORITY = 250  # 255 is for who owns the address, says RFC 5798
_UNITS = "/etc/systemd/system"
# The extension's own files of these names would start keepalived without a configuration, and
# exchange our command for another. Source: flatcar/sysext-bakery, keepalived.sysext.
_UPHOLDER = f"{_UNITS}/multi-user.target.d/10-keepalived.conf"
_DROPIN = f"{_UNITS}/keepalived.service.d/10-keepalived.conf"


def endpoint_part(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    """What a machine that serves the endpoint gets. Raises `RenderError` without an image."""
    cluster = plan.kubernetes
    if cluster is None or not _serves(plan):
        return SystemPart()
    made = SystemPart(
        files=(_settings_file(plan), program(plan, "check-endpoint", port=_local_port(plan))),
        links=(SystemLink(_UPHOLDER, "/dev/null", "keepalived"),),
    )
    if plan.node.role is Role.LOAD_BALANCER:
        made += _balancer(plan)
    return made + (_carrier(plan, secrets) if cluster.carries_endpoint else _no_carrier())


def endpoint_live(plan: NodePlan) -> dict[str, str]:
    """Texts of the live document: the programs' configurations."""
    cluster = plan.kubernetes
    if cluster is None:
        return {}
    texts = {}
    if plan.node.role is Role.LOAD_BALANCER:
        texts["haproxy.cfg"] = _haproxy_cfg(plan, cluster)
    if cluster.carries_endpoint:
        texts["keepalived.conf"] = _keepalived_conf(plan, cluster)
    return texts


def _serves(plan: NodePlan) -> bool:
    return plan.node.role is Role.LOAD_BALANCER or cluster_of(plan).carries_endpoint


def _local_port(plan: NodePlan) -> int:
    """Where the API answers on this machine: through HAProxy, or the API server itself."""
    balancer = plan.node.role is Role.LOAD_BALANCER
    return cluster_of(plan).settings.endpoint.port if balancer else API_PORT


def _balancer(plan: NodePlan) -> SystemPart:
    image = cluster_of(plan).haproxy
    if image is None:
        raise RenderError(
            f"{plan.node.hostname}: assets.haproxy: is missing, and a load balancer runs it; "
            "give its version"
        )
    return SystemPart(
        files=(program(plan, "balancer"), program(plan, "live.d/haproxy.cfg")),
        units=(
            unit(plan, "kindling-haproxy.service", enabled=True),
            unit(plan, "kindling-balancer.service", enabled=True),
        ),
        downloads=(SystemDownload(_archive(plan), image.path, image.sha256, "assets: haproxy"),),
    )


def _carrier(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    template = "kubernetes/keepalived-authentication.conf"
    password = secrets.credentials.vrrp_password
    if password is None:
        raise RenderError(f"{plan.node.hostname}: shares the virtual address without its password")
    text = render_text(template, plan.node.hostname, password=password)
    path = "/etc/keepalived/authentication.conf"
    return SystemPart(
        files=(
            SystemFile(path, text, template, 0o600, secret=True),
            program(plan, "endpoint-interface"),
            program(plan, "live.d/keepalived.conf"),
        ),
        links=(SystemLink(_DROPIN, "/dev/null", "keepalived"),),
        units=(unit(plan, "keepalived.service", enabled=True),),
    )


def _no_carrier() -> SystemPart:
    """Load balancers without a virtual address have the extension all the same."""
    return SystemPart(units=(SystemUnit("keepalived.service", "kubernetes.endpoint", mask=True),))


def _settings_file(plan: NodePlan) -> SystemFile:
    cluster, template = cluster_of(plan), "kubernetes/endpoint.env"
    settings = {"KINDLING_ENDPOINT_PORT": str(cluster.settings.endpoint.port)}
    settings |= _card(plan) if cluster.carries_endpoint else {"KINDLING_VIRTUAL_ADDRESS": ""}
    if cluster.haproxy:
        settings |= {
            "KINDLING_HEALTH_PORT": str(_HEALTH_PORT),
            "KINDLING_HAPROXY_IMAGE": cluster.haproxy.name,
            "KINDLING_HAPROXY_ARCHIVE": _archive(plan),
        }
    text = render_text(template, plan.node.hostname, settings=settings)
    return SystemFile("/etc/kindling/endpoint.env", text, template)


def _card(plan: NodePlan) -> dict[str, str]:
    """The virtual address, and all that the stack tells of the card that it belongs on.

    The name of a card in the stack need not be Linux' own (docs/flatcar.md), so an address is
    better: what is empty, the machine finds out (`templates/kubernetes/endpoint-interface`).
    """
    endpoint = cluster_of(plan).settings.endpoint
    assert endpoint.virtual_address is not None
    virtual = ip_interface(endpoint.virtual_address)
    name = endpoint.interface or plan.node.interface_beside(str(virtual.ip))
    interfaces = plan.node.network.interfaces
    static = interfaces[name].addresses if name in interfaces else ()
    return {
        "KINDLING_VIRTUAL_ADDRESS": endpoint.virtual_address,
        "KINDLING_VIRTUAL_NETWORK": str(virtual.network),
        "KINDLING_CARD_ADDRESS": static[0].partition("/")[0] if static else "",
        "KINDLING_CARD_NAME": endpoint.interface or "",
    }


def _archive(plan: NodePlan) -> str:
    image = cluster_of(plan).haproxy
    assert image is not None
    return f"/opt/kindling/images/{image.path.rpartition('/')[2]}"


def _haproxy_cfg(plan: NodePlan, cluster: KubernetesPlan) -> str:
    return render_text(
        "kubernetes/haproxy.cfg",
        plan.node.hostname,
        port=cluster.settings.endpoint.port,
        health_port=_HEALTH_PORT,
        api_port=API_PORT,
        control_planes=cluster.live.control_planes,
    )


def _keepalived_conf(plan: NodePlan, cluster: KubernetesPlan) -> str:
    """Priorities fall in the order of the stack file, so no two machines have the same."""
    endpoint, members = cluster.settings.endpoint, cluster.live.endpoint_nodes
    place = [each.hostname for each in members].index(plan.node.hostname)
    return render_text(
        "kubernetes/keepalived.conf",
        plan.node.hostname,
        hostname=plan.node.hostname,
        endpoint=endpoint,
        priority=max(1, _FIRST_PRIORITY - place),
        address=members[place].address,
        peers=[each.address for each in members if each.hostname != plan.node.hostname],
    )
