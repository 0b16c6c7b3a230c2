"""The rendered tree: complete, the same every time, closed to others where it holds secrets."""

import json
from typing import Any

import pytest

from kindling.errors import RenderError
from kindling.models.credentials import Credentials
from kindling.models.documents import NodeDocument
from kindling.rendering.boot_files import BootFilesPlan
from kindling.rendering.tree import render_tree
from tests.fakes.plans import make_plan

BOOT = BootFilesPlan(stack="test", cluster="example", base_url="http://192.0.2.2:8080")
PLANS = [
    make_plan(hostname=f"node-{number}.example.com", macAddress=f"52:54:00:00:00:0{number}")
    for number in (1, 2, 3)
]


def read(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_tree_is_what_a_store_would_hold(tmp_path):
    written = render_tree(PLANS, BOOT, Credentials(stack="secret"), tmp_path)
    assert written == sorted(read(tmp_path))
    assert "nodes/52-54-00-00-00-02.ign" in written
    assert "boot.ipxe" in written
    document = NodeDocument.model_validate_json(read(tmp_path)["nodes/52-54-00-00-00-02.json"])
    assert document.hostname == "node-2.example.com"
    assert document.boot.base_url == "http://192.0.2.2:8080"


def test_the_same_input_gives_the_same_bytes(tmp_path):
    render_tree(PLANS, BOOT, Credentials(stack="secret"), tmp_path / "a")
    render_tree(reversed(PLANS), BOOT, Credentials(stack="secret"), tmp_path / "b")
    assert read(tmp_path / "a") == read(tmp_path / "b")


def test_a_second_run_replaces_what_is_there(tmp_path):
    render_tree(PLANS, BOOT, Credentials(stack="secret"), tmp_path)
    render_tree(PLANS, BOOT, Credentials(stack="other"), tmp_path)
    render_tree(PLANS, BOOT, Credentials(stack="other"), tmp_path / "fresh")
    fresh = read(tmp_path / "fresh")
    assert {path: body for path, body in read(tmp_path).items() if path in fresh} == fresh


def test_nodes_files_are_readable_for_their_owner_only(tmp_path):
    render_tree(PLANS, BOOT, Credentials(stack="secret"), tmp_path)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "nodes").iterdir()}
    assert modes == {0o600}


def test_all_nodes_that_cannot_be_rendered_are_named_and_nothing_is_written(tmp_path):
    bad: Any = {
        "storage": {
            "installDisk": "/dev/sda",
            "links": [{"path": "/etc/kindling/x", "target": "/"}],
        }
    }
    plans = [make_plan(hostname=name, **bad) for name in ("a.example.com", "b.example.com")]
    with pytest.raises(RenderError, match=r"a\.example\.com(.|\n)*b\.example\.com"):
        render_tree(plans, BOOT, Credentials(stack="secret"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_secret_is_in_a_nodes_document(tmp_path):
    render_tree(PLANS, BOOT, Credentials(stack="the-secret-of-the-stack"), tmp_path)
    for path, body in read(tmp_path).items():
        assert b"the-secret-of-the-stack" not in body
        if path.endswith(".json"):
            json.loads(body)
