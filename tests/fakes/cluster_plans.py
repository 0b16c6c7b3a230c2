"""Plans of whole clusters for tests, made from a stack's own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kindling.models.loading import load_cluster
from kindling.models.plan import NodePlan
from kindling.planning.cluster import plan_cluster

_ADDRESSES = {"control-plane": 11, "etcd": 21, "load-balancer": 31, "worker": 41}


def machine(role: str, number: int = 1, **fields: Any) -> dict[str, Any]:
    """A node of a role with a name, a MAC and an address of its own: cp1, etcd1, lb1, worker1."""
    short = {"control-plane": "cp", "load-balancer": "lb"}.get(role, role)
    last = _ADDRESSES[role] + number - 1
    interface = {"addresses": [f"192.0.2.{last}/24"], "gateway": "192.0.2.1"}
    return {
        "hostname": f"{short}{number}.example.com",
        "macAddress": f"52:54:00:00:00:{last:02x}",
        "role": role,
        "storage": {"installDisk": "/dev/sda"},
        "network": {"ethernets": {"eth0": interface}},
        **fields,
    }


def cluster_plans(*machines: dict[str, Any], **keys: Any) -> dict[str, NodePlan]:
    """Plans by short host name. ``keys`` are the stack's; ``assets`` add to sensible ones."""
    assets = {
        "flatcar": {"version": "4230.2.3"},
        "kubernetes": "1.33.6",
        "containerd": "2.1.4",
        "etcd": "3.6.7",
        "keepalived": "2.3.4",
        "haproxy": "3.2.22",
        **keys.pop("assets", {}),
    }
    raw = {
        "name": "test",
        "bootServer": {"url": "https://boot.example.com"},
        "assets": assets,
        "cni": "none",
        "nodes": list(machines),
        **keys,
    }
    plan = plan_cluster(load_cluster(raw), stack="test", lock_file=Path("no.lock"))
    return {each.node.short_name: each for each in plan.nodes}
