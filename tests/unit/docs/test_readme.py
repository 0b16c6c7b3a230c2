"""The README's stack file is one that works."""

from __future__ import annotations

import re

import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.models.crosschecks import unknown_versions
from kindling.models.loading import load_cluster, warnings
from tests.unit.docs.pages import ROOT, text_of


def test_the_example_is_a_cluster_without_a_problem() -> None:
    """Versions that the catalog knows, and nothing to warn of but plain http."""
    (block,) = re.findall(r"```yaml\n(config:.*?)```", text_of(ROOT / "README.md"), re.DOTALL)
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIHU4bGfM5mYw0sn1nSmsDbIh9Qe1IrxC0h4fBy0mRead"
    cluster = load_cluster(
        yaml.safe_load(block.replace("AAAA...", key))["config"]["kindling:cluster"]
    )
    assert unknown_versions(cluster, load_catalog().known_versions()) == ()
    assert [each for each in warnings(cluster) if "plain http" not in each] == []
    assert cluster.assets.kubernetes
