"""The JSON Schema, the reference page and the examples say the same as the models."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from kindling.models.cluster import Cluster, ClusterSettings
from kindling.models.fields import fields_of, models_in
from kindling.models.loading import CONFIG_KEYS, load_file, warnings
from kindling.models.node import Node
from kindling.models.reference import reference_page
from kindling.models.role import Role
from kindling.models.schema import stack_schema
from kindling.models.yamlfile import read_yaml
from tests.fakes.clusters import cluster, node

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "docs" / "reference" / "stack.schema.json"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
STACK_FILES = [*EXAMPLES, *sorted(ROOT.glob("Pulumi.*.yaml"))]
NAMES = [path.name for path in STACK_FILES]
# Of two keys that exclude each other, full.yaml can have one.
ELSEWHERE = {("Store", "directory"): "all-arm64.yaml"}


def all_models(*roots: type[BaseModel]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {}
    waiting = list(roots)
    while waiting:
        if (model := waiting.pop(0)) not in found:
            found[model] = None
            for field in fields_of(model).values():
                waiting += models_in(field.annotation)
    return list(found)


MODELS = all_models(ClusterSettings, Node)


def keys_of(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("properties", "$defs", "patternProperties"):
                for part in value.values():
                    yield from keys_of(part)
            else:
                yield key
                yield from keys_of(value) if key not in ("default", "const", "enum") else ()
    elif isinstance(schema, list):
        for part in schema:
            yield from keys_of(part)


def test_the_committed_schema_is_current() -> None:
    """Make it anew with: python -m kindling schema > docs/reference/stack.schema.json."""
    assert json.loads(SCHEMA.read_text()) == stack_schema()


def test_the_committed_reference_page_is_current() -> None:
    """Make it anew with: python -m kindling schema --markdown > docs/reference/stack.md."""
    assert (ROOT / "docs" / "reference" / "stack.md").read_text() == reference_page()


def test_the_schema_is_one_and_uses_only_words_that_json_schema_has() -> None:
    jsonschema.Draft202012Validator.check_schema(stack_schema())
    words = set(jsonschema.Draft202012Validator.VALIDATORS) | {
        "$schema", "title", "description", "default", "then", "else",
    }  # fmt: skip
    assert set(keys_of(stack_schema())) <= words


def test_every_key_has_a_description_in_the_models_and_in_the_schema() -> None:
    for model in MODELS:
        for key, field in fields_of(model).items():
            assert field.description, f"{model.__name__}.{key}"
    for name, definition in stack_schema()["$defs"].items():
        if name != "StackFile":
            for key, part in definition.get("properties", {}).items():
                assert part.get("description"), f"{name}.{key}"


def test_every_key_appears_in_its_section_of_the_reference_page() -> None:
    page = reference_page()
    for model in MODELS:
        title = {"ClusterSettings": "Cluster"}.get(model.__name__, model.__name__)
        section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
        for key in fields_of(model):
            assert f"| `{key}` |" in section, f"{title}.{key}"
    for key in CONFIG_KEYS:
        assert f"| `kindling:{key}` |" in page


def test_links_of_the_reference_page_lead_somewhere() -> None:
    page = reference_page()
    titles = {line[3:].lower() for line in page.splitlines() if line.startswith("## ")}
    targets = {part.split(")")[0] for part in page.split("](#")[1:]}
    assert targets <= titles
    assert len(targets) > 25


@pytest.mark.parametrize("path", STACK_FILES, ids=NAMES)
def test_every_stack_file_names_the_schema_and_conforms_to_it(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == SCHEMA
    jsonschema.Draft202012Validator(stack_schema()).validate(read_yaml(path))


@pytest.mark.parametrize("path", STACK_FILES, ids=NAMES)
def test_every_stack_file_is_valid_and_warns_only_of_plain_http_and_a_bonded_boot(
    path: Path,
) -> None:
    meant = ("plain http", "systemd-network-generator")
    found = warnings(load_file(path))
    assert [text for text in found if not any(each in text for each in meant)] == []


@pytest.mark.parametrize(
    "spoiled",
    [
        {"config": {}},
        {"config": {"kindling:cluster": cluster(), "kindling:clusterFile": "a"}},
        {"config": {"kindling:clusterFile": "a", "kindling:lockfile": "b"}},
        {"config": {"kindling:clusterFile": "a", "kindling:storeToken": "plain"}},
        cluster(node(arch="amd64")),
        cluster(node(hostnam="x")),
        cluster(node(generation="1")),
        cluster(nodes=[{"hostname": "a.example.com"}]),
        cluster(defaults={"hostname": "a.example.com"}),
    ],
)
def test_the_schema_refuses_what_an_editor_should_mark(spoiled: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(stack_schema()).is_valid(spoiled)


def test_the_schema_accepts_a_cluster_file_and_a_node_that_leaves_its_disk_to_its_pool() -> None:
    given = {"hostname": "a.example.com", "macAddress": ["525400000001"], "pool": "p"}
    pools = {"p": {"role": "control-plane", "storage": {"installDisk": "/dev/sda"}}}
    jsonschema.validate(cluster(given, pools=pools), stack_schema())


def owner(model: type[BaseModel], name: str) -> str:
    """The model that declares a field: what all interfaces have need not be given to each kind."""
    declared = ((each.__name__, inspect.get_annotations(each)) for each in model.__mro__)
    return next(title for title, names in declared if name in names)


def used(model: type[BaseModel], value: BaseModel) -> Iterator[tuple[str, str]]:
    """Model and key of everything that a loaded value was given, however deep."""
    for name in value.model_fields_set:
        if name in model.model_fields:
            yield owner(model, name), model.model_fields[name].alias or name
        yield from used_inside(getattr(value, name))


def used_inside(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        yield from used(type(value), value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from used_inside(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from used_inside(each)


def test_full_yaml_uses_every_key_of_every_model() -> None:
    loaded = load_file(ROOT / "examples" / "full.yaml")
    wanted = {
        (owner(model, name), field.alias or name)
        for model in MODELS
        for name, field in model.model_fields.items()
    }
    missing = wanted - set(used(Cluster, loaded))
    assert missing == set(ELSEWHERE)
    written = read_yaml(ROOT / "examples" / "full.yaml")["config"]["kindling:cluster"]
    assert {"defaults", "pools", "nodes"} <= set(written)
    assert {node.role for node in loaded.nodes} == set(Role)


@pytest.mark.parametrize(("key", "file"), ELSEWHERE.items())
def test_keys_that_full_yaml_cannot_have_are_in_another_example(
    key: tuple[str, str], file: str
) -> None:
    assert key in set(used(Cluster, load_file(ROOT / "examples" / file)))


def example(name: str) -> list[tuple[str, str]]:
    return sorted(
        (str(node.arch), str(node.role)) for node in load_file(ROOT / "examples" / name).nodes
    )


def test_the_examples_are_what_their_names_say() -> None:
    basic = read_yaml(ROOT / "examples" / "basic.yaml")["config"]["kindling:cluster"]
    assert "arch" not in json.dumps(basic)
    assert example("basic.yaml") == [("x86-64", "control-plane"), *[("x86-64", "worker")] * 2]
    assert {arch for arch, _ in example("all-arm64.yaml")} == {"arm64"}
    assert example("mixed-arch.yaml") == [
        ("arm64", "control-plane"), ("arm64", "load-balancer"), ("arm64", "worker"),
        ("x86-64", "control-plane"), ("x86-64", "control-plane"), ("x86-64", "load-balancer"),
    ]  # fmt: skip


def test_the_configuration_keys_are_those_that_the_project_declares() -> None:
    assert tuple(read_yaml(ROOT / "Pulumi.yaml")["config"]) == CONFIG_KEYS
    config = stack_schema()["$defs"]["StackFile"]["properties"]["config"]["properties"]
    assert set(config) == {f"kindling:{key}" for key in CONFIG_KEYS}
