"""A Flatcar node: its system's Ignition, and the installer's around it.

Source of the Flatcar facts: docs/flatcar.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from kindling.errors import RenderError
from kindling.models.compatibility import pause_image
from kindling.models.documents import BootValues
from kindling.models.plan import NodePlan, SysextReference
from kindling.rendering import flatcar_installer, flatcar_users, flatcar_wishes
from kindling.rendering.butane import ButaneDocument, Entry, to_ignition
from kindling.rendering.containerd import configuration_template, version_of
from kindling.rendering.kernel_arguments import (
    console_arguments,
    first_boot_arguments,
    network_arguments,
    static_address,
)
from kindling.rendering.kubernetes.live import live_texts
from kindling.rendering.kubernetes.node import part_of
from kindling.rendering.networkd import network_files
from kindling.rendering.parts import SystemPart
from kindling.rendering.rendered import RenderedNode, ignition_digests, sha256
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text

STATUS_TOKEN = "/etc/kindling/status.token"
_UPDATE_UNITS = (
    "locksmithd.service",
    "systemd-sysupdate-reboot.timer",
    "systemd-sysupdate.timer",
    "update-engine.service",
)
# What Kubernetes' networking needs; a node's kernelParameters may say otherwise.
_PARAMETERS = {
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.ipv4.ip_forward": "1",
}
_ALWAYS_DIRECT = ("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local")
_NO_DIGEST_YET = "0" * 64


def render(plan: NodePlan, secrets: NodeSecrets) -> RenderedNode:
    """Render a Flatcar node. Raises `RenderError` and `CommandError`."""
    part = part_of(plan, secrets)
    document = _document(plan, secrets, part)
    node_ignition = flatcar_wishes.add_clevis(to_ignition(document), plan.node)
    digest = sha256(node_ignition)
    boot = _boot_values(plan)
    installer = flatcar_installer.assemble(plan, secrets, node_ignition, digest)
    live = live_texts(plan)
    files = ignition_digests(json.loads(node_ignition)) | installer.digests(boot)
    files |= {f"live/{name}": sha256(text) for name, text in live.items()}
    secret_files = frozenset(
        {STATUS_TOKEN, flatcar_installer.STATUS_TOKEN}
        | {file.path for file in part.files if file.secret}
    )
    unlocked = {extension_path(each) for each in plan.sysexts if each.sha256 is None}
    unlocked |= {each.path for each in part.downloads if each.sha256 is None}
    return RenderedNode(
        files=dict(sorted(files.items())),
        secret_files=secret_files,
        provisional=frozenset(unlocked | (set() if secrets.known else secret_files)),
        node_ignition=node_ignition,
        ignition=installer.ignition,
        digest=digest,
        ignition_digest=sha256(installer.ignition),
        boot=boot,
        live=live,
    )


def extension_path(sysext: SysextReference) -> str:
    """Where an extension's image is on the node."""
    return f"/opt/extensions/{sysext.name}/{sysext.path.rsplit('/', 1)[-1]}"


def _boot_values(plan: NodePlan) -> BootValues:
    directory = f"assets/flatcar/{plan.node.arch}/{plan.flatcar_version}"
    network = network_arguments(plan.node, plan.base_url)
    return BootValues(
        base_url=plan.base_url,
        kernel=f"{directory}/flatcar_production_pxe.vmlinuz",
        initrds=(f"{directory}/flatcar_production_pxe_image.cpio.gz",),
        arguments=(
            "flatcar.first_boot=1",
            *console_arguments(plan.node),
            *network,
        ),
        address=static_address(network),
    )


def _document(plan: NodePlan, secrets: NodeSecrets, part: SystemPart) -> ButaneDocument:
    """The node's Butane document; what the stack says in its own words replaces ours."""
    node = plan.node
    document = ButaneDocument(owner=node.hostname, template="flatcar/document.bu")
    wanted = flatcar_wishes.storage_entries(node)
    theirs = {_path(each) for each in wanted}
    ours = (*_files(plan, secrets), *_links(plan), *_storage_of(plan, part))
    for section, entry in (*(each for each in ours if _path(each) not in theirs), *wanted):
        document.storage.setdefault(section, []).append(entry)
    document.units = flatcar_wishes.merge_units([*_units(plan), *_units_of(part)], node)
    document.passwd = flatcar_users.passwd_entries(plan)
    arguments = node.kernel_arguments
    document.kernel_arguments = {
        key: list(values)
        for key, values in (
            ("should_exist", arguments.should_exist),
            ("should_not_exist", arguments.should_not_exist),
        )
        if values
    }
    return document


_Placed = tuple[str, Entry]  # the section of storage, and what is in it


def _path(placed: _Placed) -> object:
    """Where files, directories and links are; filesystems have a path too, which is no conflict."""
    section, entry = placed
    return entry.data["path"] if section in {"files", "directories", "links"} else None


def _file(path: str, content: str, origin: str, mode: int = 0o644) -> _Placed:
    data = {"path": path, "mode": mode, "overwrite": True, "contents": {"inline": content}}
    return "files", Entry(data, origin)


def _files(plan: NodePlan, secrets: NodeSecrets) -> Iterator[_Placed]:
    node = plan.node

    def text(path: str, template: str, mode: int = 0o644, /, **values: object) -> _Placed:
        source = f"flatcar/{template}"
        return _file(path, render_text(source, node.hostname, **values), source, mode)

    yield _file("/etc/hostname", f"{node.hostname}\n", "hostname")
    for path, (content, template) in network_files(node).items():
        yield _file(path, content, template)
    yield text("/etc/modules-load.d/kindling.conf", "modules.conf")
    parameters = dict(sorted((_PARAMETERS | dict(node.kernel_parameters)).items()))
    yield text("/etc/sysctl.d/90-kindling.conf", "sysctl.conf", parameters=parameters)
    yield text("/etc/kindling/node.env", "install.env", settings=_node_settings(plan))
    yield _file(STATUS_TOKEN, secrets.status_token, "the stack's secret", 0o600)
    yield text("/opt/kindling/report", "report", 0o755)
    if plan.proxy:
        yield text("/etc/kindling/proxy.env", "proxy.env", variables=_proxy_variables(plan))
    if plan.updates.strategy != "off":
        yield text("/etc/flatcar/update.conf", "update.conf", updates=_updates(plan))
    if containerd := version_of("containerd", plan.sysexts):
        source = configuration_template(containerd)
        pause = pause_image(version_of("kubernetes", plan.sysexts))
        content = render_text(source, node.hostname, pause=pause)
        yield _file("/etc/containerd/config.toml", content, source)
    yield from map(_extension, [plan] * len(plan.sysexts), plan.sysexts)


def _extension(plan: NodePlan, sysext: SysextReference) -> _Placed:
    path = extension_path(sysext)
    return _download(plan, path, sysext.path, sysext.sha256, f"assets: {sysext.name}")


def _download(
    plan: NodePlan, path: str, store_path: str, sha256: str | None, origin: str
) -> _Placed:
    contents = {
        "source": f"{plan.base_url}/{store_path}",
        "verification": {"hash": f"sha256-{sha256 or _NO_DIGEST_YET}"},
    }
    data = {"path": path, "mode": 0o644, "overwrite": True, "contents": contents}
    return "files", Entry(data, origin)


def _links(plan: NodePlan) -> Iterator[_Placed]:
    targets = {each.name: extension_path(each) for each in plan.sysexts}
    # Flatcar's own would be merged over ours; a link to /dev/null is its way of switching off.
    own = {"containerd-flatcar": "/dev/null", "docker-flatcar": "/dev/null"}
    for name, target in {**own, **targets}.items():
        data = {"path": f"/etc/extensions/{name}.raw", "target": target, "overwrite": True}
        yield "links", Entry({**data, "hard": False}, f"assets: {name}")


def _storage_of(plan: NodePlan, part: SystemPart) -> Iterator[_Placed]:
    """The cluster's files, downloads and links."""
    for each in part.downloads:
        yield _download(plan, each.path, each.store_path, each.sha256, each.origin)
    for file in part.files:
        yield _file(file.path, file.content, file.origin, file.mode)
    for link in part.links:
        data = {"path": link.path, "target": link.target, "overwrite": True, "hard": False}
        yield "links", Entry(data, link.origin)


def _units_of(part: SystemPart) -> Iterator[Entry]:
    """The cluster's units."""
    for unit in part.units:
        data: dict[str, object] = {"name": unit.name}
        if unit.contents is not None:
            data["contents"] = unit.contents
        if unit.enabled is not None:
            data["enabled"] = unit.enabled
        if unit.mask:
            data["mask"] = True
        if unit.dropins:
            data["dropins"] = [{"name": name, "contents": text} for name, text in unit.dropins]
        yield Entry(data, unit.origin)


def _units(plan: NodePlan) -> list[Entry]:
    source = "flatcar/kindling-report.service"
    content = render_text(source, plan.node.hostname)
    units = [
        Entry({"name": "kindling-report.service", "enabled": True, "contents": content}, source)
    ]
    if version_of("containerd", plan.sysexts):
        source = "flatcar/containerd-kindling.conf"
        content = render_text(source, plan.node.hostname, proxy=plan.proxy is not None)
        dropin = {"name": "10-kindling.conf", "contents": content}
        # Not `enabled`: the extension starts it, and before the merge there is no unit to enable.
        units.append(Entry({"name": "containerd.service", "dropins": [dropin]}, source))
    if plan.updates.strategy == "off":
        units += [Entry({"name": name, "mask": True}, "updates") for name in _UPDATE_UNITS]
    return units


def _node_settings(plan: NodePlan) -> dict[str, str]:
    return {
        "KINDLING_HOST": plan.node.hostname,
        "KINDLING_STACK": plan.stack,
        "KINDLING_GENERATION": str(plan.node.generation),
        "KINDLING_STATUS_URL": flatcar_installer.status_url(plan),
        "KINDLING_FIRST_BOOT_ARGUMENTS": " ".join(first_boot_arguments(plan.node, plan.base_url)),
    }


def _proxy_variables(plan: NodePlan) -> dict[str, str]:
    """Lower-case names; the template writes both cases, because programs differ."""
    assert plan.proxy is not None
    host = urlsplit(plan.base_url).hostname or ""
    direct = dict.fromkeys((*plan.proxy.no_proxy, *_ALWAYS_DIRECT, host))
    given = {"http_proxy": plan.proxy.http, "https_proxy": plan.proxy.https}
    named = {name: url for name, url in given.items() if url}
    return {**named, "no_proxy": ",".join(direct)}


def _updates(plan: NodePlan) -> object:
    if plan.updates.strategy == "etcd-lock":
        raise RenderError(
            f"{plan.node.hostname}: updates.strategy etcd-lock needs etcd endpoints and client "
            "certificates in the stack, which it does not have; use off or reboot"
        )
    return plan.updates
