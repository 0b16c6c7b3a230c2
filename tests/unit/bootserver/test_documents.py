"""The documents in memory are what the disk has, whoever wrote them and however."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kindling.bootserver.documents import Documents
from kindling.models.architecture import Architecture
from kindling.models.documents import BootValues, NodeDocument, SiteDocument, path_of_node

FIRST, SECOND = "52:54:00:00:00:01", "52:54:00:00:00:02"


def node(mac: str = FIRST, **changes: Any) -> NodeDocument:
    values: dict[str, Any] = {
        "stack": "prod",
        "cluster": "prod",
        "hostname": f"node-{mac[-2:]}",
        "macs": (mac,),
        "arch": Architecture.ARM64,
        "role": "worker",
        "generation": 1,
        "digest": "0" * 64,
        "ignition_digest": "0" * 64,
        "boot": BootValues(base_url="http://boot", kernel="k", initrds=("i",), arguments=()),
    }
    return NodeDocument(**{**values, **changes})


def write(root: Path, document: NodeDocument) -> Path:
    """Publish as a store does: a new file under the old name."""
    file = root / path_of_node(document.macs[0])
    file.parent.mkdir(exist_ok=True)
    new = file.with_name(".new")
    new.write_bytes(document.to_json())
    new.rename(file)
    return file


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    return Documents(tmp_path)


def test_without_a_folder_there_are_no_nodes(documents):
    assert documents.node(FIRST) is None
    assert documents.ignition(FIRST) is None
    assert documents.published_at(FIRST) is None
    assert documents.all() == ()
    assert documents.sites() == ()


@pytest.mark.parametrize("spelling", [FIRST, "52-54-00-00-00-0A", "52:54:00:00:00:0a", SECOND])
def test_every_mac_of_a_node_finds_it_in_any_spelling(documents, tmp_path, spelling):
    written = node(macs=(FIRST, SECOND, "52:54:00:00:00:0a"))
    write(tmp_path, written)
    (tmp_path / "nodes" / "52-54-00-00-00-01.ign").write_bytes(b"{}")
    assert documents.node(spelling) == written
    assert documents.ignition(spelling) == b"{}"


def test_the_name_of_a_file_wins_over_an_alias_in_another(documents, tmp_path):
    write(tmp_path, node(FIRST, macs=(FIRST, SECOND)))
    write(tmp_path, node(SECOND))
    assert documents.node(SECOND).hostname == "node-02"
    assert documents.node(FIRST).hostname == "node-01"


def test_all_nodes_come_sorted_by_host_name(documents, tmp_path):
    write(tmp_path, node(FIRST, hostname="b"))
    write(tmp_path, node(SECOND, hostname="a"))
    assert [n.hostname for n in documents.all()] == ["a", "b"]


def test_changes_in_quick_succession_are_all_noticed(documents, tmp_path):
    for generation in range(1, 60):
        write(tmp_path, node(generation=generation))
        assert documents.node(FIRST).generation == generation
    (tmp_path / path_of_node(FIRST)).unlink()
    assert documents.node(FIRST) is None
    for number in range(16, 60):
        mac = f"52:54:00:00:00:{number}"
        write(tmp_path, node(mac))
        assert documents.node(mac) is not None
    assert len(documents.all()) == 44


def generation(documents: Documents) -> int:
    found = documents.node(FIRST)
    assert found is not None
    return found.generation


def test_a_change_in_place_is_noticed_within_a_second_though_the_folder_is_as_before(tmp_path):
    now = [10.0]
    documents = Documents(tmp_path, clock=lambda: now[0])
    file = write(tmp_path, node())
    os.utime(tmp_path / "nodes", ns=(1, 1))
    assert generation(documents) == 1
    file.write_bytes(node(generation=2).to_json())
    assert (tmp_path / "nodes").stat().st_mtime_ns == 1
    now[0] += 1.1
    assert generation(documents) == 2


def test_an_unchanged_folder_is_not_read_again(tmp_path, monkeypatch):
    documents = Documents(tmp_path, clock=lambda: 10.0)
    write(tmp_path, node())
    os.utime(tmp_path / "nodes", ns=(1, 1))
    before = documents.node(FIRST)
    monkeypatch.setattr(documents, "_read_all", lambda: 1 / 0)
    assert documents.node(FIRST) is before
    assert documents.all() == (before,)


def test_a_folder_that_just_changed_is_read_again_within_the_tick_of_its_clock(documents, tmp_path):
    write(tmp_path, node(FIRST))
    assert documents.node(SECOND) is None
    time_of_folder = (tmp_path / "nodes").stat().st_mtime_ns
    write(tmp_path, node(SECOND))
    os.utime(tmp_path / "nodes", ns=(time_of_folder, time_of_folder))
    assert documents.node(SECOND) is not None


def test_the_revision_rises_with_every_noticed_change_and_only_then(documents, tmp_path):
    first = documents.revision
    assert documents.revision == first
    write(tmp_path, node())
    second = documents.revision
    assert second > first
    assert documents.revision == second
    (tmp_path / path_of_node(FIRST)).unlink()
    assert documents.revision > second


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"{", "Invalid JSON"), (b"{}", "stack"), (node(SECOND).to_json(), "macs"), (b"", "JSON")],
)
def test_a_file_that_is_no_document_is_no_node_and_says_why(documents, tmp_path, body, field):
    write(tmp_path, node(SECOND))
    (tmp_path / path_of_node(FIRST)).write_bytes(body)
    assert documents.node(FIRST) is None
    assert [n.hostname for n in documents.all()] == ["node-02"]
    assert field in documents.problems()[path_of_node(FIRST)]


def test_hidden_and_other_files_are_no_nodes(documents, tmp_path):
    file = write(tmp_path, node())
    (file.parent / ".52-54-00-00-00-02.json").write_bytes(node(SECOND).to_json())
    (file.parent / "52-54-00-00-00-02.ign").write_bytes(b"{}")
    assert len(documents.all()) == 1
    assert documents.problems() == {}


def test_the_site_document_is_as_new_as_its_file(documents, tmp_path):
    for public in (True, False):
        site = SiteDocument(stack="prod", cluster="prod", base_url="http://b", public_page=public)
        (tmp_path / "sites").mkdir(exist_ok=True)
        (tmp_path / "sites/prod.json").write_bytes(site.to_json())
        assert documents.sites() == (site,)
    (tmp_path / "sites/prod.json").write_bytes(b"{}")
    assert documents.sites() == ()


def test_when_a_document_was_published_is_its_files_time(documents, tmp_path):
    os.utime(write(tmp_path, node()), (1_000_000, 1_000_000))
    assert documents.published_at(FIRST) == 1_000_000
