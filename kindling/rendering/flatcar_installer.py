"""The installer's Ignition of a Flatcar node.

Everything that is the same for all nodes comes from one Butane run per cluster; what differs is
values, which are set on its JSON. So a node costs one Butane run, not two.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kindling.models.documents import BootValues
from kindling.models.plan import NodePlan
from kindling.rendering.butane import ButaneDocument, Entry, to_ignition
from kindling.rendering.kernel_arguments import network_arguments
from kindling.rendering.networkd import network_files
from kindling.rendering.rendered import digest_of, ignition_digests, sha256
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text

STATUS_TOKEN = "install/status.token"
_DIRECTORY = "/opt/kindling"
# The installer lives for minutes in memory: it neither updates itself nor restarts for it.
_MASKED = ("locksmithd.service", "update-engine.service")


@dataclass(frozen=True)
class Installer:
    """The installer's Ignition, and what it is made from: ``texts`` by file name."""

    ignition: bytes
    texts: Mapping[str, str]
    common: Mapping[str, Any]

    def digests(self, boot: BootValues) -> dict[str, str]:
        """SHA-256 by name of what only the installation uses.

        The settings without the digest that they carry: that is the node's own, and would show
        the settings as changed whenever anything is.
        """
        settings = [
            line
            for line in self.texts["install.env"].splitlines()
            if not line.startswith("KINDLING_DIGEST=")
        ]
        common = ignition_digests(self.common)
        return {
            "install/installer": digest_of(common),
            "install/settings": digest_of(settings),
            "install/kernel": digest_of([boot.kernel, boot.initrds]),
            "install/kernel-arguments": digest_of(boot.arguments),
            STATUS_TOKEN: sha256(self.texts["status.token"]),
            "install/pre-install": sha256(self.texts["pre-install"]),
            "install/post-install": sha256(self.texts["post-install"]),
        }


def assemble(plan: NodePlan, secrets: NodeSecrets, node_ignition: bytes, digest: str) -> Installer:
    """The installer of one node, around the node's own Ignition. Raises `RenderError`."""
    common = _common(plan.ssh_authorized_keys)
    texts = _texts(plan, secrets, digest)
    files = [
        *common["storage"]["files"],
        _file("/etc/hostname", f"{plan.node.hostname}\n", 0o644),
        _file(f"{_DIRECTORY}/install.env", texts["install.env"], 0o600),
        _file(f"{_DIRECTORY}/status.token", texts["status.token"], 0o600),
        _file(f"{_DIRECTORY}/pre-install", texts["pre-install"], 0o755),
        _file(f"{_DIRECTORY}/post-install", texts["post-install"], 0o755),
        _compressed(f"{_DIRECTORY}/node.ign", node_ignition, 0o600),
        # The initramfs forgets what `ip=` told it when the installer's system starts.
        *(_file(path, text, 0o644) for path, (text, _) in network_files(plan.node).items()),
    ]
    ignition = {**common, "storage": {**common["storage"], "files": files}}
    body = json.dumps(ignition, separators=(",", ":")).encode()
    return Installer(ignition=body, texts=texts, common=common)


def status_url(plan: NodePlan) -> str:
    """Where the node reports."""
    return f"{plan.base_url}/status/{plan.node.primary_mac.replace(':', '-')}"


@lru_cache(maxsize=16)
def _common(ssh_authorized_keys: tuple[str, ...]) -> dict[str, Any]:
    """The installer without a node. Nobody changes what this returns."""
    document = ButaneDocument(owner="installer", template="flatcar/document.bu")
    script = render_text("flatcar/install", document.owner)
    data = {"path": f"{_DIRECTORY}/install", "mode": 0o755, "contents": {"inline": script}}
    document.add("files", "flatcar/install", data)
    source = "flatcar/kindling-install.service"
    unit = {"name": "kindling-install.service", "enabled": True}
    document.units = [
        Entry({**unit, "contents": render_text(source, document.owner)}, source),
        *(Entry({"name": name, "mask": True}, "flatcar_installer") for name in _MASKED),
    ]
    if ssh_authorized_keys:
        core = {"name": "core", "ssh_authorized_keys": list(ssh_authorized_keys)}
        document.passwd = {"users": [Entry(core, "sshAuthorizedKeys")]}
    made: dict[str, Any] = json.loads(to_ignition(document))
    return made


def _texts(plan: NodePlan, secrets: NodeSecrets, digest: str) -> dict[str, str]:
    node = plan.node
    commands = {
        "pre-install": node.pre_install_commands,
        "post-install": node.post_install_commands,
    }
    scripts = {
        when: render_text("flatcar/commands", node.hostname, when=when, commands=lines)
        for when, lines in commands.items()
    }
    settings = _settings(plan, digest)
    return {
        "install.env": render_text("flatcar/install.env", node.hostname, settings=settings),
        "status.token": secrets.status_token,
        **scripts,
    }


def _settings(plan: NodePlan, digest: str) -> dict[str, str]:
    node = plan.node
    arguments = (
        *network_arguments(node, plan.base_url),
        # Ignition would add these by itself, at the price of one more restart.
        *node.kernel_arguments.should_exist,
    )
    return {
        "KINDLING_HOST": node.hostname,
        "KINDLING_STACK": plan.stack,
        "KINDLING_GENERATION": str(node.generation),
        "KINDLING_DIGEST": digest,
        "KINDLING_ARCH": str(node.arch),
        "KINDLING_DISK": node.storage.install_disk,
        "KINDLING_VERSION": plan.flatcar_version,
        "KINDLING_ASSETS_URL": f"{plan.base_url}/assets/flatcar/{node.arch}",
        "KINDLING_STATUS_URL": status_url(plan),
        "KINDLING_OVERWRITE": "true" if node.storage.overwrite else "false",
        "KINDLING_OEM_ARGUMENTS": " ".join(dict.fromkeys(arguments)),
    }


def _file(path: str, text: str, mode: int) -> dict[str, Any]:
    source = f"data:;base64,{base64.b64encode(text.encode()).decode()}"
    contents = {"compression": "", "source": source}
    return {"overwrite": True, "path": path, "contents": contents, "mode": mode}


def _compressed(path: str, body: bytes, mode: int) -> dict[str, Any]:
    packed = gzip.compress(body, compresslevel=6, mtime=0)  # no time: same input, same bytes
    source = f"data:;base64,{base64.b64encode(packed).decode()}"
    contents = {"compression": "gzip", "source": source}
    return {"overwrite": True, "path": path, "contents": contents, "mode": mode}
