"""containerd as Kubernetes wants it."""

from __future__ import annotations

from collections.abc import Iterable

from kindling.models.plan import SysextReference


def configuration_template(containerd: str) -> str:
    """The template for a containerd version: configuration version 2 for 1.x, 3 from 2.0 on."""
    return f"flatcar/containerd-{2 if containerd.startswith('1.') else 3}.toml"


def version_of(name: str, sysexts: Iterable[SysextReference]) -> str | None:
    """The version of an extension among a node's."""
    return next((each.version for each in sysexts if each.name == name), None)
