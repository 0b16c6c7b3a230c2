"""The reference page of the stack file, made from the same schema that editors use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from kindling.models.schema import Schema, cluster_definitions, stack_schema

_INTRODUCTION = """\
# The stack file

One `Pulumi.<stack>.yaml` describes one environment. This page lists every key. It is made from the
models that check the file, by `python -m kindling schema --markdown`; so is
[stack.schema.json](stack.schema.json), which editors use when a file begins with

    # yaml-language-server: $schema=docs/reference/stack.schema.json

`python -m kindling check FILE` checks a file without Pulumi and tells all problems at once.
Examples are in [examples/](../../examples): `full.yaml` uses every key.

- A node is the merge of `defaults`, its pool in `pools`, and its own values: maps merge, lists and
  single values replace, `null` takes an inherited value away.
- Unknown keys are errors. Text that looks like a number or a truth value needs quotes.
- Secrets are never part of the cluster. They are configuration keys of their own, encrypted by
  Pulumi: `pulumi config set --secret kindling:storeToken`.
- MAC addresses may have colons, hyphens, dots or no separator, in any case.
- Partitions 1 to 9 of the install disk are the system's: 9 (ROOT) may grow, 10 and up may be added.
"""


def reference_page() -> str:
    """The whole page as Markdown, the same text for the same models."""
    definitions = cluster_definitions()
    config = stack_schema()["$defs"]["StackFile"]["properties"]["config"]
    order = list(_reachable("Cluster", definitions))
    sections = [_section("Configuration keys", config), *(_part(n, definitions) for n in order)]
    return "\n".join((_INTRODUCTION, *sections))


def _reachable(
    name: str, definitions: dict[str, Schema], seen: set[str] | None = None
) -> list[str]:
    """Names of definitions in the order in which a reader meets them, depth first."""
    seen = seen if seen is not None else set()
    if name in seen:
        return []
    seen.add(name)
    inner = (_reachable(each, definitions, seen) for each in _references(definitions[name]))
    return [name, *(each for names in inner for each in names)]


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield _name(part)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rsplit("/", 1)[-1]


def _part(name: str, definitions: dict[str, Schema]) -> str:
    definition = definitions[name]
    if name == "NodeDefaults":
        own = "all keys of [Node](#node) but `hostname`, `macAddress` and `pool`"
        return f"## {name}\n\n{definition['description']} It has {own}.\n"
    if "enum" in definition:
        values = ", ".join(f"`{each}`" for each in definition["enum"])
        return f"## {name}\n\n{definition['description']} One of: {values}.\n"
    return _section(name, definition)


def _section(title: str, definition: Schema) -> str:
    required = definition.get("required", ())
    rows = [
        f"| `{key}` | {_type(field)} | {_default(key, field, required)} | {_described(field)} |"
        for key, field in definition["properties"].items()
    ]
    text = re.sub(r"\s+", " ", definition["description"].replace("``", "`"))
    head = ("| Key | Type | Default | Meaning |", "|---|---|---|---|")
    return "\n".join((f"## {title}", "", text, "", *head, *rows, ""))


def _described(field: Schema) -> str:
    return str(field.get("description", "")).replace("|", "\\|")


def _default(key: str, field: Schema, required: Any) -> str:
    if key in required:
        return "**required**"
    default = field.get("default")
    shown = default is not None and default != "" and not isinstance(default, dict | list)
    return f"`{json.dumps(default)}`" if shown else ""


def _type(field: Schema) -> str:
    if "$ref" in field:
        return f"[{_name(field)}](#{_name(field).lower()})"
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"])
    if choices := field.get("enum") or ([field["const"]] if "const" in field else []):
        return ", ".join(f"`{each}`" for each in choices)
    return _plain_type(field)


def _plain_type(field: Schema) -> str:
    kind = field.get("type", "")
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if kind == "object":
        values = field.get("additionalProperties")
        return f"map of {_type(values)}" if isinstance(values, dict) else "map"
    words = {"string": "text", "boolean": "true or false"}
    kinds: list[str] = kind if isinstance(kind, list) else [kind]
    return " or ".join(words.get(each, each) for each in kinds)
