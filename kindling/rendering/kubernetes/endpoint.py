"""The endpoint of the API: HAProxy on load balancers, and keepalived on who carries the address.

Who is behind it is a live fact: both configurations are in the live document.
Sources: HAProxy's configuration manual (3.2) on `option httpchk` and `monitor fail`;
keepalived.conf(5) on `vrrp_script`, `weight` and `unicast_peer`.
"""

from __future__ import annotations

from kindling.errors import RenderError
from kindling.models.plan import KubernetesPlan, Member, NodePlan
from kindling.models.role import Role
from kindling.rendering.kubernetes.kubeadm import API_PORT
from kindling.rendering.kubernetes.scripts import program, timed, unit
from kindling.rendering.parts import SystemDownload, SystemFile, SystemPart
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text

_FIRST_PRIORITY = 200
# Who does not reach the API falls behind everybody who does, and still ahead of nobody at all.
_PENALTY = 100
_HEALTH_PORT = 9445  # HAProxy's own word on whether anybody is behind it, on loopback


def endpoint_part(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    """What a machine needs to carry or to balance the endpoint; nothing for all others."""
    cluster = plan.kubernetes
    if cluster is None:
        return SystemPart()
    made = SystemPart()
    if plan.node.role is Role.LOAD_BALANCER:
        made += _balancer(plan, cluster)
    if cluster.carries_endpoint:
        made += _keepalived(plan, secrets)
    return made


def endpoint_live(plan: NodePlan) -> dict[str, str]:
    """Texts of the live document."""
    cluster = plan.kubernetes
    if cluster is None:
        return {}
    texts = {}
    if plan.node.role is Role.LOAD_BALANCER:
        texts["haproxy.cfg"] = _haproxy_configuration(plan, cluster)
    if cluster.carries_endpoint:
        texts["keepalived.conf"] = _keepalived_configuration(plan, cluster)
    return texts


def _balancer(plan: NodePlan, cluster: KubernetesPlan) -> SystemPart:
    image = cluster.haproxy
    if image is None:
        raise RenderError(
            f"{plan.node.hostname}: assets.haproxy: is missing; load balancers need its version"
        )
    archive = f"/opt/kindling/images/{image.path.rsplit('/', 1)[-1]}"
    settings = {"KINDLING_HAPROXY_IMAGE": image.name, "KINDLING_HAPROXY_ARCHIVE": archive}
    source = "kubernetes/haproxy.env"
    text = render_text(source, plan.node.hostname, settings=settings)
    return SystemPart(
        files=(
            SystemFile("/etc/kindling/haproxy.env", text, source),
            program(plan, "haproxy"),
            program(plan, "balancer", health_port=_HEALTH_PORT),
            program(plan, "live.d/haproxy.cfg"),
        ),
        units=(
            unit(plan, "kindling-haproxy.service", enabled=True),
            *timed(plan, "kindling-balancer"),
        ),
        downloads=(SystemDownload(archive, image.path, image.sha256, "assets: haproxy"),),
    )


def _keepalived(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    source = "kubernetes/keepalived-authentication.conf"
    password = secrets.credentials.vrrp_password
    text = render_text(source, plan.node.hostname, password=password)
    path = "/etc/keepalived/authentication.conf"
    return SystemPart(
        files=(
            SystemFile(path, text, source, 0o600, secret=True),
            program(plan, "keepalived"),
            program(plan, "check-endpoint"),
            program(plan, "live.d/keepalived.conf"),
        ),
        units=(unit(plan, "keepalived.service", enabled=True),),
    )


def _haproxy_configuration(plan: NodePlan, cluster: KubernetesPlan) -> str:
    return render_text(
        "kubernetes/haproxy.cfg",
        plan.node.hostname,
        port=cluster.settings.endpoint.port,
        health_port=_HEALTH_PORT,
        api_port=API_PORT,
        control_planes=cluster.live.control_planes,
    )


def _keepalived_configuration(plan: NodePlan, cluster: KubernetesPlan) -> str:
    endpoint, members = cluster.settings.endpoint, cluster.live.endpoint_nodes
    own = plan.node.reached_at
    return render_text(
        "kubernetes/keepalived.conf",
        plan.node.hostname,
        hostname=plan.node.hostname,
        endpoint=endpoint,
        card=_card(plan, cluster),
        priority=_FIRST_PRIORITY - _place(plan, members),
        penalty=_PENALTY,
        address=own,
        peers=[each.address for each in members if each.address != own],
    )


def _card(plan: NodePlan, cluster: KubernetesPlan) -> str:
    """How the machine finds the card: by an address that it has, or by Linux' name of it.

    The stack's name of a card that is matched by MAC address need not be Linux'.
    """
    endpoint, interfaces = cluster.settings.endpoint, plan.node.network.interfaces
    assert endpoint.virtual_address is not None
    virtual = endpoint.virtual_address.partition("/")[0]
    name = endpoint.interface or plan.node.interface_beside(virtual)
    static = interfaces[name].addresses if name in interfaces else ()
    if static:
        return static[0].partition("/")[0]
    return name or plan.node.reached_at or ""


def _place(plan: NodePlan, members: tuple[Member, ...]) -> int:
    """The machine's place in the stack file, which decides who carries the address first."""
    hosts = [each.hostname for each in members]
    return hosts.index(plan.node.hostname)
