"""Checks of add-ons and manifests, against each other and against the machines."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from kindling.models.addons import NETWORKS, Addon, Addons, chosen_addons, unreleased
from kindling.models.cluster import Cluster, ClusterSettings
from kindling.models.explain import nearest
from kindling.models.manifest_text import objects_of, policies_in, secrets_in
from kindling.models.metallb_checks import pool_findings
from kindling.models.node import Node
from kindling.models.node_checks import Finding, repeated
from kindling.models.paths import Location
from kindling.models.resolution import Problems
from kindling.models.role import Role

NO_POLICIES = (
    "has NetworkPolicy {names}, and Flannel enforces none; give addons.networkPolicies: {{}}, or "
    "another cni"
)
NO_SECRETS = (
    "has Secret {names} with a value, and what the stack publishes anybody can read; create "
    "secrets in the cluster by other means"
)


def check_addons(settings: ClusterSettings, nodes: Iterable[Node], problems: Problems) -> None:
    """Everything about `cni`, `addons` and `manifests`."""
    nodes = tuple(nodes)
    for finding in _findings(settings, nodes):
        problems.add(finding.location, finding.message, finding.value)


def unknown_addons(cluster: Cluster, known: Mapping[str, Container[str]]) -> Iterator[Finding]:
    """Add-ons whose manifest neither the catalog knows nor the stack file names."""
    if cluster.assets.kubernetes is None:
        return
    for name, key, settings in chosen_addons(cluster.cni, cluster.addons):
        versions = known.get(name, ())
        if settings.url is not None:
            continue
        if not versions:
            yield Finding(("addons", key, "url"), unreleased(name))
        elif settings.version is not None and settings.version not in versions:
            near = nearest(settings.version, versions) if isinstance(versions, Iterable) else None
            hint = f" (did you mean {near}?)" if near else ""
            message = f"is not in the catalog{hint}; choose a known one or give addons.{key}.url"
            yield Finding(("addons", key, "version"), message, settings.version)


def addon_warnings(cluster: Cluster) -> Iterator[str]:
    """What is allowed and probably not wanted."""
    addons = cluster.addons
    ingress, metallb, longhorn = addons.ingress_nginx, addons.metallb, addons.longhorn
    given = metallb is not None and metallb.enabled
    if ingress and ingress.enabled and ingress.service_type == "LoadBalancer" and not given:
        yield (
            "addons.ingressNginx.serviceType: nobody gives a LoadBalancer its address; add "
            "addons.metallb, or write NodePort"
        )
    if metallb and given and not metallb.pools:
        yield "addons.metallb.pools: there are none, so no service gets an address"
    if longhorn and longhorn.enabled:
        yield from _without_iscsi(cluster)


def _without_iscsi(cluster: Cluster) -> Iterator[str]:
    """Longhorn's volumes are iSCSI targets (longhorn.io, Installation Requirements)."""
    units = {"iscsid.service", "iscsid.socket"}
    lacking = [
        node.hostname
        for node in cluster.nodes_of(Role.WORKER)
        if not any(unit.name in units and unit.enabled for unit in node.systemd.units)
    ]
    if lacking:
        shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        yield (
            f"addons.longhorn: {shown} do not start iSCSI, which volumes need; give workers "
            "systemd.units: [{name: iscsid.service, enabled: true}]"
        )


def manifest_problem(
    text: str, *, policies_enforced: bool, secrets_allowed: bool = False
) -> str | None:
    """What is wrong with a manifest of the user's: the rest of a sentence, or None."""
    try:
        objects = objects_of(text)
    except ValueError as error:
        return f"{error}; mend it"
    if not secrets_allowed and (names := secrets_in(objects)):
        return NO_SECRETS.format(names=", ".join(names))
    if not policies_enforced and (names := policies_in(objects)):
        return NO_POLICIES.format(names=", ".join(names))
    return None


def policies_enforced(settings: ClusterSettings) -> bool:
    """Whether NetworkPolicies mean something in this cluster; `cni: none` is the user's matter."""
    policies = settings.addons.network_policies
    return settings.cni != "flannel" or (policies is not None and policies.enabled)


def _findings(settings: ClusterSettings, nodes: tuple[Node, ...]) -> Iterator[Finding]:
    addons = settings.addons
    if settings.assets.kubernetes is None:
        yield from _without_cluster(settings)
        return
    yield from _network_findings(settings)
    for name in Addons.model_fields:
        addon = getattr(addons, name)
        if isinstance(addon, Addon):
            yield from _patch_findings(addon, Addons.model_fields[name].alias or name)
    yield from _manifest_findings(settings)
    if addons.metallb is not None:
        yield from pool_findings(addons.metallb, settings, nodes)


def _without_cluster(settings: ClusterSettings) -> Iterator[Finding]:
    message = "needs a cluster, and assets.kubernetes is absent; give that or remove this"
    if settings.addons != Addons():
        yield Finding(("addons",), message)
    if settings.manifests:
        yield Finding(("manifests",), message)


def _network_findings(settings: ClusterSettings) -> Iterator[Finding]:
    for name in NETWORKS:
        addon: Addon | None = getattr(settings.addons, name)
        here: Location = ("addons", name)
        if addon is None:
            continue
        if name != settings.cni and addon.enabled:
            message = f"is given, but cni is {settings.cni}; remove it or write cni: {name}"
            yield Finding(here, message)
        elif name == settings.cni and not addon.enabled:
            message = "leaves the cluster without the network that cni names; write cni: none"
            yield Finding((*here, "enabled"), message, False)
    flannel = settings.addons.flannel
    if flannel is not None and flannel.backend == "host-gw" and flannel.mtu is not None:
        message = "means nothing to the backend host-gw, which adds no header; remove it"
        yield Finding(("addons", "flannel", "mtu"), message, flannel.mtu)


def _patch_findings(addon: Addon, key: str) -> Iterator[Finding]:
    for index, patch in enumerate(addon.patches):
        here: Location = ("addons", key, "patches", index)
        metadata = patch.get("metadata")
        named = isinstance(metadata, Mapping) and isinstance(metadata.get("name"), str)
        for part, there in (
            ("apiVersion", isinstance(patch.get("apiVersion"), str)),
            ("kind", isinstance(patch.get("kind"), str)),
            ("metadata.name", named),
        ):
            if not there:
                yield Finding(here, f"has no {part}; a patch names the object that it changes")


def _manifest_findings(settings: ClusterSettings) -> Iterator[Finding]:
    names = ((("manifests", i, "name"), each.name) for i, each in enumerate(settings.manifests))
    for finding in repeated(names):
        yield finding._replace(message=finding.message.replace(" of the same node", ""))
    enforced = policies_enforced(settings)
    for index, manifest in enumerate(settings.manifests):
        if manifest.inline is not None:
            problem = manifest_problem(manifest.inline, policies_enforced=enforced)
            if problem is not None:
                yield Finding(("manifests", index, "inline"), problem)
