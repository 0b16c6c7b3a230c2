"""Checks across nodes and sections: what no single value can show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from kindling.errors import Problem
from kindling.models.architecture import Architecture
from kindling.models.cluster import AddressRange, Cluster, ClusterSettings
from kindling.models.network_checks import check_network
from kindling.models.node import Node
from kindling.models.node_checks import Finding, check_system
from kindling.models.node_network import network_warnings
from kindling.models.paths import Location, written
from kindling.models.resolution import Draft, Problems
from kindling.models.role import Role
from kindling.models.storage_checks import check_storage

NODE_CHECKS = (check_network, check_storage, check_system)


def check_nodes(
    drafts: Iterable[Draft], problems: Problems, settings: ClusterSettings | None = None
) -> None:
    """Everything about single nodes, nodes among each other, and against the cluster's keys."""
    drafts = list(drafts)
    for draft in drafts:
        for finding in _findings(draft.node):
            problems.add(draft.origin(finding.location), finding.message, finding.value)
    _check_unique(drafts, problems)
    if settings is not None:
        _check_taken(drafts, settings, problems)
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
            "needs etcd endpoints and client certificates, which the stack does not have yet; "
            "write off or reboot"
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
            problems.add(path, _unknown(name, known, f"assets.urls.{name}"), version)
    for index, extension in enumerate(assets.sysexts):
        if extension.url is None and extension.version not in known.get(extension.name, ()):
            here: Location = ("assets", "sysexts", index)
            message = _unknown(extension.name, known, f"{written(here)}.url")
            problems.add((*here, "version"), message, extension.version)
    return problems.all()


def warnings_of(cluster: Cluster) -> Iterator[str]:
    """What is allowed and probably not wanted."""
    roles = Counter(node.role for node in cluster.nodes)
    planes = roles[Role.CONTROL_PLANE]
    if planes % 2 == 0:
        yield _even(planes, "control planes")
    if roles[Role.ETCD] and roles[Role.ETCD] % 2 == 0:
        yield _even(roles[Role.ETCD], "etcd nodes")
    if cluster.boot_server.url.startswith("http://") and planes:
        yield (
            f"bootServer.url: {cluster.boot_server.url} is plain http and there are control "
            "planes: whoever is on the boot network can read what they are installed with"
        )
    yield from _missing_versions(cluster, roles)
    yield from network_warnings(cluster.nodes, cluster.boot_server.url)


def _even(count: int, what: str) -> str:
    return (
        f"nodes: {count} {what} survive no more failures than {count - 1}: etcd needs a majority; "
        "use an odd number"
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


def _unknown(name: str, known: Mapping[str, Container[str]], key: str) -> str:
    versions = known.get(name, ())
    listed = sorted(versions, key=_version_order) if isinstance(versions, Iterable) else []
    shown = f" (newest known: {', '.join(listed[-3:])})" if listed else ""
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


def _check_unique(drafts: Iterable[Draft], problems: Problems) -> None:
    seen: dict[tuple[str, str], tuple[Location, Location]] = {}
    for draft in drafts:
        for kind, name, location in _identities(draft):
            owner, place = seen.setdefault((kind, name), (draft.location, location))
            same_entry = owner == draft.location and place == location
            # A card's own address appears twice in one node: where it boots and where it is used.
            if same_entry or (kind == "MAC address" and owner == draft.location):
                continue
            message = f"is also the {kind} of {written(owner)}; each may be given once"
            problems.add(draft.origin(location), message, name)


def _check_taken(drafts: Iterable[Draft], settings: ClusterSettings, problems: Problems) -> None:
    """Addresses that the boot server has, or that DHCP would give to somebody else."""
    server = urlsplit(settings.boot_server.url).hostname
    dhcp = settings.boot_server.dhcp
    given = dhcp.range if dhcp else None
    for draft in drafts:
        for kind, address, location in _identities(draft):
            if kind != "address":
                continue
            if address == server:
                message = "is the boot server's address; give the node another"
                problems.add(draft.origin(location), message, address)
            elif given and _within(address, given):
                message = (
                    f"lies in bootServer.dhcp.range ({given.start} to {given.end}), which DHCP "
                    "gives to others; take one outside it or shorten the range"
                )
                problems.add(draft.origin(location), message, address)


def _within(address: str, given: AddressRange) -> bool:
    found, start, end = map(ip_address, (address, given.start, given.end))
    return found.version == start.version and int(start) <= int(found) <= int(end)


def _identities(draft: Draft) -> Iterator[tuple[str, str, Location]]:
    node = draft.node
    if node is None:
        return
    if "hostname" not in draft.doubtful:
        yield "hostname", node.hostname, ("hostname",)
    if "macAddress" not in draft.doubtful:
        for index, mac in enumerate(node.mac_address):
            yield "MAC address", mac, ("macAddress", index)
    yield from _interface_identities(node)


def _interface_identities(node: Node) -> Iterator[tuple[str, str, Location]]:
    for name, card in node.network.ethernets.items():
        if card.mac_address is not None:
            here: Location = ("network", "ethernets", name, "macAddress")
            yield "MAC address", card.mac_address, here
    kinds: dict[str, Mapping[str, Any]] = {
        "ethernets": node.network.ethernets,
        "bonds": node.network.bonds,
        "vlans": node.network.vlans,
    }
    for kind, interfaces in kinds.items():
        for name, interface in interfaces.items():
            for index, address in enumerate(interface.addresses):
                plain = address.partition("/")[0]
                if not plain.startswith("fe80:"):  # link-local: unique per link only
                    yield "address", plain, ("network", kind, name, "addresses", index)
