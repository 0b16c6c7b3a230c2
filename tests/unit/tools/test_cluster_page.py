"""docs/cluster-test.md lists what only the test machine forces, from the harness's own list."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.harness.workarounds import WORKAROUNDS, table

ROOT = Path(__file__).resolve().parents[3]


def test_the_table_in_the_docs_is_the_harness_own() -> None:
    """`print(table())` makes it anew."""
    assert WORKAROUNDS
    assert table() in (ROOT / "docs/cluster-test.md").read_text()
