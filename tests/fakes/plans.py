"""Plans of nodes for tests: small, and with what a test says on top."""

from __future__ import annotations

from typing import Any

from kindling.models.cluster import Proxy, Updates
from kindling.models.node import Node
from kindling.models.plan import NodePlan, SysextReference

SSH_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFak operator"
)
MAC = "52:54:00:00:00:01"


def make_node(**fields: Any) -> Node:
    """A node in the stack file's own words."""
    return Node.model_validate(
        {
            "hostname": "node-1.example.com",
            "macAddress": MAC,
            "role": "worker",
            "storage": {"installDisk": "/dev/sda"},
            **fields,
        }
    )


def make_sysext(name: str, version: str, sha256: str | None = "a" * 64) -> SysextReference:
    """An extension for x86-64."""
    path = f"assets/extensions/{name}-{version}-x86-64.raw"
    return SysextReference(name=name, version=version, path=path, sha256=sha256)


def make_plan(
    *,
    base_url: str = "http://192.0.2.2:8080",
    sysexts: tuple[SysextReference, ...] = (
        make_sysext("containerd", "2.0.5"),
        make_sysext("kubernetes", "1.33.6"),
    ),
    proxy: Proxy | None = None,
    updates: Updates | None = None,
    **fields: Any,
) -> NodePlan:
    """A node's plan; ``fields`` are the node's."""
    return NodePlan(
        stack="test",
        cluster="example",
        base_url=base_url,
        flatcar_version="4230.2.3",
        flatcar_channel="stable",
        ssh_authorized_keys=(SSH_KEY,),
        proxy=proxy,
        updates=updates or Updates(),
        sysexts=sysexts,
        node=make_node(**fields),
    )
