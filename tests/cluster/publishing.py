"""The stack of the cluster test: published by the real Pulumi command line to the real boot server.

Extensions are small samples (the harness lays the real programs over the machines); the image of
HAProxy is a real one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.selection import select_assets
from kindling.models.loading import load_cluster
from tools.images import archive

HAPROXY = "3.2.22"
PORT = 8080


def cluster_of(nodes: list[dict[str, Any]], gateway: str, **keys: Any) -> dict[str, Any]:
    """The stack's cluster, with versions whose programs are built from source here."""
    return {
        "name": "lab",
        "bootServer": {"url": f"http://{gateway}:{PORT}", "publicPage": True},
        "assets": {
            "flatcar": {"version": "4230.2.3"},
            "kubernetes": "1.33.4",
            "containerd": "2.2.5",
            "etcd": "3.6.7",
            "keepalived": "2.3.4",
            "haproxy": HAPROXY,
        },
        # A template for containerd stands for the pod network: images of add-ons are not here.
        "cni": "none",
        "defaults": {
            "storage": {"installDisk": "/dev/sda"},
            # The machines share the disk of the computer, which may be nearly full.
            "kubelet": {"evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%"}},
        },
        "nodes": nodes,
        **keys,
    }


def publish_artifacts(cluster: dict[str, Any], folder: Path) -> Path:
    """Make a mirror of what the cluster's machines fetch, and the lock file that pins it."""
    mirror = folder / "mirror"
    cluster["assets"]["mirrors"] = [str(mirror)]
    assets = select_assets(load_cluster(cluster), load_catalog())
    write_sample_mirror(mirror, assets)
    image = archive("haproxy", f"docker.io/library/haproxy:{HAPROXY}")
    pins = {}
    for file in (file for asset in assets for file in asset.files):
        local = mirror / file.path.removeprefix("assets/")
        if "haproxy" in file.path:
            local.write_bytes(image.read_bytes())
        body = local.read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        pins[file.path] = {"url": file.url, "size": len(body), "sha256": digest}
    lock = folder / "assets.lock.yaml"
    lock.write_text(yaml.safe_dump({"version": 1, "artifacts": pins}))
    return lock
