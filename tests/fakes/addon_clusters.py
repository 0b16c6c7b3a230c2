"""Clusters with add-ons, and their plans as if everything were locked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.selection import select_assets
from kindling.models.cluster import Cluster
from kindling.models.loading import load_cluster
from kindling.models.plan import ManifestPlan
from kindling.planning.addons import manifest_plans
from tests.fakes.cluster_plans import machine


def addon_cluster(**keys: Any) -> Cluster:
    """One control plane and one worker; ``keys`` are the stack's."""
    versions = {
        "flatcar": {"version": "4230.2.3"},
        "kubernetes": "1.33.6",
        "containerd": "2.1.4",
        "etcd": "3.6.7",
        **keys.pop("assets", {}),
    }
    return load_cluster(
        {
            "name": "test",
            "bootServer": {"url": "https://boot.example.com"},
            "assets": versions,
            "cni": "none",
            "nodes": [machine("control-plane"), machine("worker")],
            **keys,
        }
    )


def locked_plans(
    cluster: Cluster, files: Mapping[str, Path] | None = None
) -> dict[str, ManifestPlan]:
    """Plans by name; the digest is that of the add-on's file where one is given."""
    catalog = load_catalog()
    pinned = {}
    for asset in select_assets(cluster, catalog):
        body = files[asset.name].read_bytes() if files and asset.name in files else b""
        digest = hashlib.sha256(body).hexdigest()
        file = asset.main.model_copy(update={"sha256": digest, "size": len(body)})
        pinned[asset.main.path] = asset.model_copy(update={"files": (file,)})
    return {plan.name: plan for plan in manifest_plans(cluster, catalog, pinned)}
