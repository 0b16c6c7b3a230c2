"""What the tests on whole machines share: the real Ignition, and a site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.harness.base import base_system
from tests.cluster.harness.site import Site
from tools.catalog import TOOLS
from tools.install import provide


@pytest.fixture(scope="session")
def prepared() -> None:
    """Ignition and the machines' system, made where they are missing: minutes, once."""
    provide(TOOLS["ignition"])
    base_system()


@pytest.fixture
def site(prepared: None, tmp_path: Path) -> Iterator[Site]:
    """An empty site; what its machines logged stays in `logs` of the test's folder."""
    with Site(tmp_path / "logs") as made:
        yield made
