"""Small valid clusters that the tests of the models spoil in one place each."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHU4bGfM5mYw0sn1nSmsDbIh9Qe1IrxC0h4fBy0mTest a@b"


def node(number: int = 1, **keys: Any) -> dict[str, Any]:
    """A control plane with its own name and MAC address."""
    return {
        "hostname": f"n{number}.example.com",
        "macAddress": f"52:54:00:00:00:{number:02x}",
        "role": "control-plane",
        "storage": {"installDisk": "/dev/sda"},
        **keys,
    }


def cluster(*nodes: Any, **keys: Any) -> dict[str, Any]:
    """A cluster of the given nodes, or of one."""
    return deepcopy(
        {
            "name": "test",
            "bootServer": {"url": "https://boot.example.com"},
            "assets": {
                "flatcar": {"version": "4230.2.3"},
                "kubernetes": "1.33.6",
                "containerd": "2.1.4",
                "etcd": "3.6.6",
            },
            "nodes": list(nodes) or [node()],
            **keys,
        }
    )
