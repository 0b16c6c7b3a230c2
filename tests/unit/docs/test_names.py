"""What pages tell people to type or to look at exists: commands, units, files, messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kindling.cli import main
from kindling.models.loading import load_file
from kindling.pki.sample import sample_credentials
from kindling.planning.cluster import plan_cluster
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from tests.unit.docs.pages import PAGES, ROOT, code_of, named, section_of, table_in, text_of

TROUBLES = ROOT / "docs/troubleshooting.md"
# Pages that tell what is on a machine of a cluster.
MACHINES = [
    ROOT / "docs" / f"{name}.md"
    for name in (
        "troubleshooting",
        "cluster-test",
        "nodes",
        "cluster",
        "credentials",
        "mixed-clusters",
    )
]
_PLACE = r"(?<![\w.])/(?:opt/kindling|etc/kindling|run/kindling|var/lib/kindling)(?:/[\w.@-]+)*"
_UNIT = r"\bkindling-[a-z]+(?:-[a-z]+)*\.(?:service|timer)|(?<=-u )[a-z]+(?:-[a-z]+)*"


def _told(pattern: str) -> set[str]:
    """Words that any page sets as code, by a pattern with one group."""
    return {word for page in PAGES for code in code_of(page) for word in re.findall(pattern, code)}


@pytest.mark.parametrize("word", sorted(_told(r"\bpython -m kindling ([a-z]+)")))
def test_every_command_of_the_library_exists(word: str) -> None:
    """``python -m kindling WORD``."""
    with pytest.raises(SystemExit) as ended:
        main([word, "--help"])
    assert ended.value.code == 0


def test_every_make_target_exists() -> None:
    """``make WORD``."""
    rules = re.findall(r"^([a-z][a-z -]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert _told(r"\bmake ([a-z-]+)") <= {word for rule in rules for word in rule.split()}


@pytest.mark.parametrize("page", MACHINES, ids=named)
def test_every_place_on_a_machine_is_rendered_or_made_by_our_programs(page: Path) -> None:
    """Files of the Ignition by their whole path; what programs make, by its last name."""
    assert [place for place in re.findall(_PLACE, text_of(page)) if not _is_there(place)] == []


@pytest.mark.parametrize("page", MACHINES, ids=named)
def test_every_unit_is_rendered(page: Path) -> None:
    """Or comes with a system extension, or is the installer's."""
    ours = {name.removeprefix("systemd/") for name in _rendered() if name.startswith("systemd/")}
    others = {"kindling-install.service", "kubelet.service", "containerd.service"}
    units = {
        unit if "." in unit else f"{unit}.service" for unit in re.findall(_UNIT, text_of(page))
    }
    assert units <= ours | others


def test_what_the_page_says_is_said_somewhere() -> None:
    """The words that the troubleshooting page promises are in the programs that say them."""
    tables = ("What the page says", "A control plane waits for the claim")
    told = [row[0] for title in tables for row in table_in(section_of(TROUBLES, title))]
    missing = [piece for cell in told for piece in _pieces(cell) if piece not in _sources()]
    assert len(told) > 20
    assert missing == []


def test_what_is_not_there_would_be_noticed() -> None:
    """So that the tests above cannot pass for want of looking."""
    assert not _is_there("/opt/kindling/no-such-program")
    assert not _is_there("/run/kindling/no-such-file")
    assert "this is said nowhere at all" not in _sources()
    assert len(_rendered()) > 50


def _is_there(place: str) -> bool:
    if any(name == place or name.startswith(f"{place}/") for name in _rendered()):
        return True
    made_here = place.startswith(("/run/", "/var/")) or place == "/opt/kindling/install"
    return made_here and place.rpartition("/")[2] in _sources()


def _pieces(cell: str) -> Iterator[str]:
    for words in re.findall(r"`([^`]+)`", cell):
        yield from (piece for piece in words.split("...") if len(piece.strip()) > 3)


@cache
def _rendered() -> frozenset[str]:
    """Every path and unit that any machine of the examples gets."""
    names: set[str] = set()
    everything = sample_credentials()
    for file in sorted(ROOT.glob("examples/*.yaml")):
        cluster = plan_cluster(load_file(file), stack="test", lock_file=ROOT / "nothing.lock")
        for plan in cluster.nodes:
            node = plan.node
            secrets = NodeSecrets.derive(everything.of(plan), node.hostname, node.generation)
            names |= render_node(plan, secrets).files.keys()
    return frozenset(names)


@cache
def _sources() -> str:
    """Programs of machines and of the boot server; adjacent strings and placeholders joined."""
    folders = ("templates", "kindling")
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    texts = [path.read_text(errors="replace") for path in files if path.suffix != ".pyc"]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(texts))
