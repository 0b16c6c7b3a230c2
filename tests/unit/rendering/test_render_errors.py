"""An error of rendering names the node, the template or the part of the stack, and the line."""

import jinja2
import pytest

from kindling import templating
from kindling.errors import CommandError, RenderError
from kindling.models.credentials import Credentials
from kindling.rendering import butane
from kindling.rendering.butane import ButaneDocument, to_ignition
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text
from tests.fakes.plans import make_plan


@pytest.fixture
def templates(tmp_path, monkeypatch):
    """Templates of the test's own."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(tmp_path), undefined=jinja2.StrictUndefined
    )
    monkeypatch.setattr(templating, "environment", lambda: made)
    monkeypatch.setattr(templating, "TEMPLATES", tmp_path)
    return tmp_path


def test_an_unset_variable_names_node_template_and_line(templates):
    (templates / "a.conf").write_text("one\ntwo {{ nothing }}\n")
    with pytest.raises(RenderError, match=r"node-1: templates/a\.conf, line 2: 'nothing' is undef"):
        render_text("a.conf", "node-1")


def test_an_error_in_an_included_template_names_that_one(templates):
    (templates / "outer").write_text('\n{% include "inner" %}')
    (templates / "inner").write_text("\n\n{{ nothing }}")
    with pytest.raises(RenderError, match=r"templates/inner, line 3"):
        render_text("outer", "node-1")


def test_a_broken_template_names_its_line(templates):
    (templates / "a.conf").write_text("one\n{% if %}\n")
    with pytest.raises(RenderError, match=r"templates/a\.conf, line 2"):
        render_text("a.conf", "node-1")


def test_what_butane_refuses_is_traced_to_the_part_of_the_stack():
    twice = [
        {"path": "/opt/a", "contents": {"inline": "1"}},
        {"path": "/opt/a", "contents": {"inline": "2"}},
    ]
    with pytest.raises(RenderError) as caught:
        plan = make_plan(storage={"installDisk": "/dev/sda", "files": twice})
        render_node(
            plan,
            NodeSecrets.placeholder(plan),
        )
    message = str(caught.value)
    assert message.startswith("node-1.example.com: Butane refuses templates/flatcar/document.bu:")
    assert "storage.files[1]" in message
    assert "/opt/a" in message


def test_a_warning_of_butane_is_an_error():
    document = ButaneDocument(owner="node-1", template="flatcar/document.bu")
    document.add("files", "a.conf", {"path": "/a", "contents": {"inline": "x"}, "unknown": True})
    with pytest.raises(RenderError, match=r"line 6 from a\.conf\): .*unknown"):
        to_ignition(document)


def test_contents_are_not_shown_in_an_error():
    document = ButaneDocument(owner="node-1", template="flatcar/document.bu")
    document.add("files", "token", {"path": "a", "contents": {"inline": "very-secret"}})
    with pytest.raises(RenderError) as caught:
        to_ignition(document)
    assert "very-secret" not in str(caught.value)


def test_butane_is_found_where_the_environment_names_it(monkeypatch):
    monkeypatch.setenv("KINDLING_BUTANE", "/somewhere/butane")
    assert butane.butane_program.__wrapped__() == "/somewhere/butane"


def test_a_missing_butane_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("KINDLING_BUTANE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(butane, "_LOCAL", tmp_path / "butane")
    with pytest.raises(CommandError, match="make setup"):
        butane.butane_program.__wrapped__()


def test_an_empty_secret_is_refused():
    with pytest.raises(RenderError, match="node-1: the stack's secret is empty"):
        NodeSecrets.derive(Credentials(stack=""), "node-1", 1)
