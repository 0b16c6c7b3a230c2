"""What the tests with the real command line share: a mirror, a boot server, a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.lock import update_lock
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.selection import select_assets
from kindling.models.loading import load_cluster
from tests.fakes.pulumi import ROOT, Project
from tests.fakes.server import Server, running_server

HOST = "api.demo.example"


def demo_cluster() -> dict[str, Any]:
    """Three x86-64 and three arm64 machines: the cluster of the demonstration."""
    text = (ROOT / "Pulumi.demo.yaml").read_text()
    cluster: dict[str, Any] = yaml.safe_load(text)["config"]["kindling:cluster"]
    return cluster


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local mirror of sample artifacts and, beside it, the lock file that pins them."""
    folder = tmp_path_factory.mktemp("mirror")
    cluster = demo_cluster() | {"assets": demo_cluster()["assets"] | {"mirrors": [str(folder)]}}
    assets = select_assets(load_cluster(cluster), load_catalog())
    write_sample_mirror(folder, assets)
    update_lock(assets, folder / "assets.lock.yaml", trust_download=True, mirrors=(str(folder),))
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The real boot server over an empty directory."""
    with running_server(tmp_path / "served") as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, mirror: Path, server: Server) -> Project:
    """The six machines of the demonstration, published to ``server``."""
    cluster = demo_cluster()
    cluster["bootServer"] = {"url": server.url, "publicPage": True}
    cluster["assets"]["mirrors"] = [str(mirror)]
    return Project(
        tmp_path / "project",
        cluster,
        environment={
            "KINDLING_STORE_TOKEN": server.token or "",
            "KINDLING_CACHE": str(tmp_path / "cache"),
        },
        configuration={"kindling:lockFile": str(mirror / "assets.lock.yaml")},
    )


@pytest.fixture
def small(project: Project) -> Project:
    """A control plane and a worker, where more machines would show nothing more."""
    nodes = {each["hostname"].split(".")[0]: each for each in project.cluster["nodes"]}
    project.cluster["nodes"] = [nodes["cp1"], nodes["worker1"]]
    project.cluster["kubernetes"] = {"endpoint": {"host": HOST}}
    return project
