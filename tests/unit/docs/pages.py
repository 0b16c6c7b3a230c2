"""The project's pages as tests read them: prose, code, headings, tables."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^```.*?^```\n", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n+)+")
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@cache
def text_of(page: Path) -> str:
    """The page as it is."""
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    """The page's name in the repository."""
    return page.relative_to(ROOT).as_posix()


def code_of(page: Path) -> list[str]:
    """Everything that is set as code: blocks, and words in the text."""
    blocks = [*_FENCE.findall(text_of(page)), *_INDENTED.findall(text_of(page))]
    return [*blocks, *_CODE.findall(_FENCE.sub("", text_of(page)))]


def links_of(page: Path) -> list[str]:
    """Targets of the page's links; what is code links nowhere, but may be a link's text."""
    prose = _INDENTED.sub("", _FENCE.sub("", text_of(page)))
    return _LINK.findall(_CODE.sub("code", prose))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """What a link may name behind # on a page, as GitHub makes it from headings."""
    made: list[str] = []
    for heading in _HEADING.findall(_FENCE.sub("", text_of(page))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        made.append(anchor if anchor not in made else f"{anchor}-{made.count(anchor)}")
    return frozenset(made)


def section_of(page: Path, heading: str) -> str:
    """The text from a heading to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text_of(page), re.S | re.M)
    assert found, f"{named(page)} has no heading {heading}"
    return found[1]


def table_in(text: str) -> list[list[str]]:
    """The cells of the first table in a text, row by row, without its head."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
