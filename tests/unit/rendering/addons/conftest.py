"""A real control plane for the whole session, and a clean machine of it for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.addon_machine import AddonMachine
from tests.fakes.control_plane import ControlPlane, control_plane
from tests.fakes.web import Web


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, API server and controllers, without machines; there is a namespace ``shop``."""
    with control_plane(tmp_path_factory.mktemp("cluster"), controllers=True) as made:
        made.kubectl("create", "namespace", "shop")  # of a namespace's end one waits for seconds
        yield made


@pytest.fixture
def web() -> Iterator[Web]:
    """The boot server: published files, and statuses that it is told."""
    with Web() as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, web: Web, cluster: ControlPlane) -> Iterator[AddonMachine]:
    """A control plane's scripts; what a test applied is removed after it."""
    made = AddonMachine.make(tmp_path / "cp1", web, cluster)
    yield made
    made.told()
    made.run()
