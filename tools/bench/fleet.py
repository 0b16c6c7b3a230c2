"""A fleet to measure with: as many machines as wanted, of both architectures, like real ones."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from kindling.artifacts.cache import Cache
from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.lock import update_lock
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.selection import select_assets
from kindling.artifacts.transfer import Manner
from kindling.models.loading import load_cluster
from tools.catalog import ROOT

_FIRST_MAC = 0x5254_0060_0000
_FIRST_ADDRESS = IPv4Address("10.60.1.0")
_CONTROL_PLANES, _LOAD_BALANCERS = 3, 2
_STACK_FILE = ROOT / "Pulumi.demo.yaml"


@dataclass(frozen=True)
class Fleet:
    """A cluster as it stands in a stack file, and the lock file that pins its artifacts."""

    cluster: dict[str, Any]
    lock_file: Path


def make_fleet(folder: Path, size: int, url: str) -> Fleet:
    """A fleet of ``size`` nodes; its small sample artifacts are written to ``folder``."""
    mirror, lock_file = folder / "mirror", folder / "assets.lock.yaml"
    cluster = make_cluster(size, url)
    cluster["assets"]["mirrors"] = [str(mirror)]
    assets = select_assets(load_cluster(cluster), load_catalog())
    write_sample_mirror(mirror, assets)
    update_lock(
        assets,
        lock_file,
        trust_download=True,
        mirrors=(str(mirror),),
        cache=Cache(folder / "lock-cache"),
        manner=Manner(),
    )
    return Fleet(cluster, lock_file)


def make_cluster(size: int, url: str, revision: int = 1) -> dict[str, Any]:
    """A cluster with the versions of the demonstration; another revision changes every node."""
    demo = yaml.safe_load(_STACK_FILE.read_text())["config"]["kindling:cluster"]
    return {
        "name": "bench",
        "bootServer": {"url": url},
        "sshAuthorizedKeys": demo["sshAuthorizedKeys"],
        "assets": demo["assets"],
        "kubernetes": {
            "endpoint": {"virtualAddress": "10.60.0.10/16"},
            "networking": {"podSubnet": "10.128.0.0/12"},  # a /24 for each of 4096 machines
        },
        "defaults": {
            "storage": {"installDisk": "/dev/sda"},
            "kernelParameters": {"kernel.pid_max": str(100_000 + revision)},
        },
        "nodes": [_node(number) for number in range(size)],
    }


def _node(number: int) -> dict[str, Any]:
    digits = f"{_FIRST_MAC + number:012x}"
    return {
        "hostname": f"node{number:04}.bench.example",
        "macAddress": ":".join(digits[i : i + 2] for i in range(0, 12, 2)),
        "arch": ("x86-64", "arm64")[number % 2],
        "role": _role(number),
        "labels": {"topology.kubernetes.io/zone": f"rack-{number // 20}"},
        "network": {
            "ethernets": {
                "eth0": {
                    "addresses": [f"{_FIRST_ADDRESS + number}/16"],
                    "gateway": "10.60.0.1",
                    "nameservers": {"addresses": ["10.60.0.2", "10.60.0.3"]},
                }
            }
        },
    }


def _role(number: int) -> str:
    if number < _CONTROL_PLANES:
        return "control-plane"
    return "load-balancer" if number < _CONTROL_PLANES + _LOAD_BALANCERS else "worker"
