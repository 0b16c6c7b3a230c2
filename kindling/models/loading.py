from __future__ import annotations
from collections.abc import Mapping
from pathlib import Path
from typing import Any
import yaml
from kindling.models.cluster import Cluster
from kindling.models.merging import merge


def load_cluster(data: Mapping[str, Any], *, source: str = "cluster") -> Cluster:
    raw = dict(data)
    defaults, pools = raw.pop("defaults", {}), raw.pop("pools", {})
    raw["nodes"] = [merge(merge(defaults, pools.get(n.get("pool"), {})), n) for n in raw["nodes"]]
    return Cluster.model_validate(raw)


def load_file(path: Path) -> Cluster:
    data = yaml.safe_load(path.read_text())
    if "config" in data:
        data = next(v for k, v in data["config"].items() if k.endswith(":cluster"))
    return load_cluster(data, source=str(path))


def warnings(cluster: Cluster) -> tuple[str, ...]:
    return ()
