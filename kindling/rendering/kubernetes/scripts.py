"""The programs and units that run on the machines and bring the cluster up.

One function for each kind of machine gives its part; the programs are `templates/kubernetes/`.
"""

from __future__ import annotations

from kindling.errors import RenderError
from kindling.models.plan import KubernetesPlan, NodePlan
from kindling.models.role import Role
from kindling.rendering.kubernetes.kubeadm import endpoint
from kindling.rendering.parts import SystemFile, SystemLink, SystemPart, SystemUnit
from kindling.rendering.text import render_text

PROGRAMS = "/opt/kindling"
_UNITS = "/etc/systemd/system"
# An extension wants its kubelet running from the first second on, and starts it again at once when
# it is stopped; here kubeadm and kindling-cluster start it. A link to /dev/null takes the place of
# the extension's file of that name. Source: flatcar/sysext-bakery, kubernetes.sysext, which has the
# first name; copies of it have the second.
_KUBELET_UPHOLDERS = ("10-kubelet-service.conf", "10-kubelet.conf")


def common_part(plan: NodePlan) -> SystemPart:
    """What every machine of a cluster has: live document, heartbeat, restart on request."""
    source = "cluster.env"
    settings = _text(plan, source, settings=_settings(plan))
    return SystemPart(
        files=(
            library(plan, "common"),
            SystemFile(f"/etc/kindling/{source}", settings, f"kubernetes/{source}"),
            program(plan, "live"),
            program(plan, "reboot"),
        ),
        units=(
            # The first document is fetched at once, not when the timer says.
            *timed(plan, "kindling-live", at_boot=True),
            unit(plan, "kindling-reboot.service"),
        ),
    )


def worker_part(plan: NodePlan) -> SystemPart:
    """What makes a machine a member of the cluster, beyond the common part."""
    links = tuple(
        SystemLink(f"{_UNITS}/multi-user.target.d/{name}", "/dev/null", "kubelet")
        for name in _KUBELET_UPHOLDERS
    )
    source = "kubelet-kindling.conf"
    dropin = ("50-kindling.conf", _text(plan, source))
    return SystemPart(
        files=(library(plan, "kubeadm"), program(plan, "cluster"), program(plan, "cni")),
        links=links,
        units=(
            unit(plan, "kindling-cni.service", enabled=True),
            unit(plan, "kindling-cluster.service", enabled=True),
            # Not `enabled`: before the extension is merged there is no unit to enable.
            SystemUnit("kubelet.service", f"kubernetes/{source}", dropins=(dropin,)),
        ),
    )


def control_plane_part(plan: NodePlan) -> SystemPart:
    """The same, and what a control plane does for the cluster as a whole."""
    hooks = ("live.d/etcd-endpoints",) if cluster_of(plan).dedicated_etcd else ()
    own = SystemPart(
        files=(
            program(plan, "reconcile"),
            program(plan, "addons"),
            library(plan, "inventory"),
            *(program(plan, name) for name in hooks),
        ),
        units=timed(plan, "kindling-reconcile"),
    )
    return worker_part(plan) + own + certificates_part(plan)


def certificates_part(plan: NodePlan) -> SystemPart:
    """The renewal of certificates, where a machine has an authority's key (etcd nodes, too)."""
    return SystemPart(
        files=(program(plan, "certificates"),), units=timed(plan, "kindling-certificates")
    )


def cluster_of(plan: NodePlan) -> KubernetesPlan:
    """The plan's cluster. Raises `RenderError` for a machine without one."""
    if plan.kubernetes is None:
        raise RenderError(f"{plan.node.hostname}: has no cluster, so it has no part in one")
    return plan.kubernetes


def program(plan: NodePlan, name: str, **values: object) -> SystemFile:
    """An executable below /opt/kindling, from the template of that name."""
    text = _text(plan, name, **values)
    return SystemFile(f"{PROGRAMS}/{name}", text, f"kubernetes/{name}", 0o755)


def library(plan: NodePlan, name: str) -> SystemFile:
    """What programs source."""
    return SystemFile(f"{PROGRAMS}/{name}", _text(plan, name), f"kubernetes/{name}")


def unit(plan: NodePlan, name: str, *, enabled: bool | None = None, **values: object) -> SystemUnit:
    """A unit from the template of that name."""
    text = _text(plan, name, **values)
    return SystemUnit(name, f"kubernetes/{name}", contents=text, enabled=enabled)


def timed(
    plan: NodePlan, name: str, *, at_boot: bool = False, **values: object
) -> tuple[SystemUnit, SystemUnit]:
    """A service and the timer that starts it; ``values`` are the timer's."""
    service = unit(plan, f"{name}.service", enabled=True if at_boot else None)
    return service, unit(plan, f"{name}.timer", enabled=True, **values)


def etcd_place(plan: NodePlan) -> str:
    """Where this machine finds etcd: local, external, static-pod or none."""
    cluster = cluster_of(plan)
    if plan.runs_etcd:
        return "static-pod" if cluster.etcd.mode == "static-pod" else "local"
    return "external" if plan.node.role is Role.CONTROL_PLANE else "none"


def _settings(plan: NodePlan) -> dict[str, str]:
    cluster, node = cluster_of(plan), plan.node
    mac = node.primary_mac.replace(":", "-")
    return {
        "KINDLING_ROLE": str(node.role),
        "KINDLING_ARCH": str(node.arch),
        "KINDLING_ADDRESS": node.reached_at or "",
        "KINDLING_SHORT_NAME": node.short_name,
        "KINDLING_CLUSTER": plan.cluster,
        "KINDLING_BASE_URL": plan.base_url,
        "KINDLING_KUBERNETES_VERSION": cluster.version,
        "KINDLING_ENDPOINT": endpoint(cluster),
        "KINDLING_INCARNATION": str(cluster.settings.incarnation),
        "KINDLING_ETCD": etcd_place(plan),
        "KINDLING_TOKEN_LIFE": str(cluster.token_life),
        "KINDLING_CLAIM_URL": f"{plan.base_url}/claim/{mac}",
        "KINDLING_LIVE_URL": f"{plan.base_url}/live/{mac}",
    }


def _text(plan: NodePlan, name: str, **values: object) -> str:
    return render_text(f"kubernetes/{name}", plan.node.hostname, **values)
