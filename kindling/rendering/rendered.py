"""What rendering gives for one node, whatever its system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kindling.models.documents import BootValues, NodeDocument, Publication
from kindling.models.plan import NodePlan
from kindling.rendering.secrets import status_token_digests


@dataclass(frozen=True)
class RenderedNode:
    """One node, rendered: both Ignition documents and the digest of all that it will get.

    ``files`` maps what is on the machine to a SHA-256 (hex): paths; ``systemd/<unit>``,
    ``passwd/<user or group>``, ``storage/<device>``, ``kernel-arguments``; what may change while it
    runs as ``live/<name>``; and what only the installation uses as ``install/<name>``. ``live`` has
    the texts of the live document by name. ``secret_files`` are those whose content depends on
    the node's secrets, ``provisional`` those whose digest is not final because a value that they
    depend on is not known yet (then no digest of a whole document is final either).
    """

    files: Mapping[str, str]
    secret_files: frozenset[str]
    provisional: frozenset[str]
    node_ignition: bytes
    ignition: bytes
    digest: str  # SHA-256 (hex) of node_ignition
    ignition_digest: str  # SHA-256 (hex) of ignition
    boot: BootValues
    live: Mapping[str, str]

    def document(
        self, plan: NodePlan, stack_secret: str, history: Iterable[Publication] = ()
    ) -> NodeDocument:
        """The document that the boot server reads.

        ``history`` is every publication so far; this one is appended unless it is there already.
        Raises `RenderError` for an empty secret.
        """
        node = plan.node
        current = Publication(generation=node.generation, digest=self.digest)
        past = tuple(each for each in history if each != current)
        return NodeDocument(
            stack=plan.stack,
            cluster=plan.cluster,
            hostname=node.hostname,
            macs=node.mac_address,
            arch=node.arch,
            role=str(node.role),
            pool=node.pool,
            os=node.os,
            generation=node.generation,
            digest=self.digest,
            ignition_digest=self.ignition_digest,
            history=(*past, current)[-16:],
            status_tokens=status_token_digests(stack_secret, node.hostname, node.generation),
            auto_arm=plan.auto_arm,
            arm_for=plan.arm_for,
            live=dict(self.live),
            boot=self.boot,
        )


def sha256(body: bytes | str) -> str:
    """Hexadecimal SHA-256 of bytes, or of text as UTF-8."""
    return hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()


def digest_of(value: Any) -> str:
    """Hexadecimal SHA-256 of a JSON value, whatever the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")))


def ignition_digests(ignition: Mapping[str, Any]) -> dict[str, str]:
    """Digest by name of everything that an Ignition document makes on a machine.

    A digest covers the whole entry: content, mode, owner, target.
    """
    storage, passwd = ignition.get("storage", {}), ignition.get("passwd", {})
    named = [
        (str(entry["path"]), entry)
        for section in ("files", "directories", "links")
        for entry in storage.get(section, ())
    ]
    named += [
        (f"systemd/{unit['name']}", unit) for unit in ignition.get("systemd", {}).get("units", ())
    ]
    named += [
        (f"passwd/{entry['name']}", entry)
        for section in ("users", "groups")
        for entry in passwd.get(section, ())
    ]
    digests = {name: digest_of(entry) for name, entry in named}
    if arguments := ignition.get("kernelArguments"):
        digests["kernel-arguments"] = digest_of(arguments)
    return digests | _device_digests(storage)


def _device_digests(storage: Mapping[str, Any]) -> dict[str, str]:
    """One device may be in several sections: a disk, a filesystem on it, an array."""
    by_device: dict[str, list[Any]] = {}
    for section in ("disks", "raid", "luks", "filesystems"):
        for entry in storage.get(section, ()):
            device = entry.get("device") or entry["name"]
            by_device.setdefault(f"storage/{device}", []).append([section, entry])
    return {name: digest_of(entries) for name, entries in by_device.items()}
