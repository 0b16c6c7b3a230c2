"""Checks across nodes and sections: what no single value can show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping

from kindling.errors import Problem
from kindling.models.addon_checks import addon_warnings, check_addons, unknown_addons
from kindling.models.addresses import check_taken, check_unique
from kindling.models.architecture import Architecture
from kindling.models.cluster import Cluster, ClusterSettings
from kindling.models.kubelet_checks import check_kubelet
from kindling.models.kubernetes_checks import check_kubernetes, kubernetes_warnings
from kindling.models.network_checks import check_network
from kindling.models.node import Node
from kindling.models.node_checks import Finding, check_system, check_taints
from kindling.models.node_labels import check_labels
from kindling.models.node_network import network_warnings
from kindling.models.paths import Location, written
from kindling.models.resolution import Draft, Problems
from kindling.models.role import Role
from kindling.models.storage_checks import check_storage

NODE_CHECKS = (
    check_network,
    check_storage,
    check_system,
    check_labels,
    check_taints,
    check_kubelet,
)


def check_nodes(
    drafts: Iterable[Draft],
    problems: Problems,
    settings: ClusterSettings | None = None,
    doubtful: Container[str] = (),
) -> None:
    """Everything about single nodes, nodes among each other, and against the cluster's keys.

    ``doubtful`` are those of the cluster's top-level keys that had mistakes of their own.
    """
    drafts = list(drafts)
    for draft in drafts:
        for finding in _findings(draft.node):
            problems.add(draft.origin(finding.location), finding.message, finding.value)
    check_unique(drafts, problems)
    if settings is not None:
        check_taken(drafts, settings, problems)
        check_kubernetes(drafts, settings, problems, doubtful)
        check_addons(settings, (draft.node for draft in drafts if draft.node), problems)
    roles_known = all(draft.node and "role" not in draft.doubtful for draft in drafts)
    leaders = any(draft.node and draft.node.role == Role.CONTROL_PLANE for draft in drafts)
    if drafts and roles_known and not leaders:
        message = "have no control plane; give at least one of them role: control-plane"
        problems.add(("nodes",), message)


def check_settings(
    settings: ClusterSettings, architectures: Iterable[Architecture], problems: Problems
) -> None:
    """Everything about the cluster's own keys."""
    if settings.updates.strategy == "etcd-lock":
        message = (
            "needs a client certificate of etcd's for Flatcar's locksmith, which machines are not "
            "given; write off or reboot"
        )
        problems.add(("updates", "strategy"), message, "etcd-lock")
    _check_sources(settings, tuple(architectures), problems)
    names = [extension.name for extension in settings.assets.sysexts]
    for index, name in enumerate(names):
        if name in names[:index] or name in ("kubernetes", "containerd", "etcd", "keepalived"):
            message = "is a system extension already; remove it or give assets." + name
            problems.add(("assets", "sysexts", index, "name"), message, name)


def unknown_versions(cluster: Cluster, known: Mapping[str, Container[str]]) -> tuple[Problem, ...]:
    """Versions that neither the catalog knows nor the stack gives URLs for.

    ``known`` has the catalog's versions by artifact name (flatcar, kubernetes, ...).
    """
    problems = Problems()
    assets = cluster.assets
    for name, version in assets.versions.items():
        if name not in assets.urls and version not in known.get(name, ()):
            path = ("assets", "flatcar", "version") if name == "flatcar" else ("assets", name)
            message = _unknown(version, known.get(name, ()), f"assets.urls.{name}")
            problems.add(path, message, version)
    for index, extension in enumerate(assets.sysexts):
        if extension.url is None and extension.version not in known.get(extension.name, ()):
            here: Location = ("assets", "sysexts", index)
            listed = known.get(extension.name, ())
            message = _unknown(extension.version, listed, f"{written(here)}.url")
            problems.add((*here, "version"), message, extension.version)
    for finding in unknown_addons(cluster, known):
        problems.add(finding.location, finding.message, finding.value)
    return problems.all()


def warnings_of(cluster: Cluster) -> Iterator[str]:
    """What is allowed and probably not wanted."""
    roles = Counter(node.role for node in cluster.nodes)
    planes = roles[Role.CONTROL_PLANE]
    own = roles[Role.ETCD]  # then control planes run none, and any number of them is fine
    members, what = (own, "etcd nodes") if own else (planes, "control planes")
    if members % 2 == 0:
        yield _even(members, what)
    if cluster.boot_server.url.startswith("http://") and planes:
        yield (
            f"bootServer.url: {cluster.boot_server.url} is plain http and there are control "
            "planes: whoever is on the boot network can read what they are installed with"
        )
    if cluster.assets.kubernetes is None:
        yield from _missing_versions(cluster, roles)
    yield from kubernetes_warnings(cluster)
    yield from addon_warnings(cluster)
    yield from network_warnings(cluster.nodes, cluster.boot_server.url)


def _even(count: int, what: str) -> str:
    return (
        f"nodes: {count} {what} survive no more failures than {count - 1} would: etcd needs a "
        "majority; use an odd number"
    )


def _missing_versions(cluster: Cluster, roles: Mapping[Role, int]) -> Iterator[str]:
    needs = {
        "kubernetes": (Role.CONTROL_PLANE, Role.WORKER),
        "containerd": (Role.CONTROL_PLANE, Role.WORKER, Role.LOAD_BALANCER),
        "etcd": (Role.CONTROL_PLANE, Role.ETCD),
        "keepalived": (Role.LOAD_BALANCER,),
    }
    for name, users in needs.items():
        present = [str(role) for role in users if roles.get(role)]
        if present and name not in cluster.assets.versions:
            yield f"assets.{name}: no version is given, so {' and '.join(present)} nodes lack it"


def _unknown(version: str, known: Container[str], key: str) -> str:
    """With the nearest that are known: of the same line where there are any."""
    listed = sorted(known, key=_version_order) if isinstance(known, Iterable) else []
    line = _version_order(version)[:2]
    near = [each for each in listed if _version_order(each)[:2] == line]
    told = "known of that line" if near else "newest known"
    shown = f" ({told}: {', '.join((near or listed)[-3:])})" if listed else ""
    return f"is not in the catalog{shown}; choose a known one or give {key}"


def _version_order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _check_sources(
    settings: ClusterSettings, architectures: tuple[Architecture, ...], problems: Problems
) -> None:
    assets = settings.assets
    given: list[tuple[Location, Mapping[Architecture, str]]] = [
        (("assets", "urls", name), urls) for name, urls in assets.urls.items()
    ]
    given += [
        (("assets", "sysexts", index, "url"), extension.url)
        for index, extension in enumerate(assets.sysexts)
        if extension.url is not None
    ]
    for location, urls in given:
        for architecture in architectures:
            if architecture not in urls:
                message = f"lacks {architecture}, which nodes have; add {architecture}: URL"
                problems.add(location, message)


def _findings(node: Node | None) -> Iterator[Finding]:
    if node is not None:
        for check in NODE_CHECKS:
            yield from check(node)
