"""A link in the README, the changelog or a page leads to a file, and to a heading that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.docs.pages import PAGES, ROOT, anchors_of, links_of, named


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Others' sites are theirs."""
    dead = [link for link in links_of(page) if _is_ours(link) and not _leads(page, link)]
    assert dead == []


def test_links_are_found() -> None:
    """So that the test above cannot pass for want of links."""
    found = [link for page in PAGES for link in links_of(page) if _is_ours(link)]
    assert len(found) > 50
    assert any("#" in link for link in found)
    assert not _leads(ROOT / "README.md", "docs/cluster.md#no-such-heading")
    assert not _leads(ROOT / "README.md", "docs/no-such-page.md")


def _is_ours(link: str) -> bool:
    return "://" not in link and not link.startswith("mailto:")


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors_of(target))
