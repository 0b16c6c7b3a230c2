"""Changing a few values in a YAML text and nothing else: comments, order and quotes stay.

A library that reads and writes YAML again re-indents and re-wraps what nobody changed. So the text
is only read to find the places, and these are replaced in it. What comes out is read again and
compared with what was meant: a text that is too clever for this (aliases, merge keys) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kindling.errors import RollError, StackFileError
from kindling.models.yamlfile import parse_yaml

Keys = Sequence[str]  # keys from the document's root to the cluster: config, kindling:cluster
_ASSETS = "assets"


def with_generations(text: str, keys: Keys, wanted: Mapping[str, int], source: str) -> str:
    """The text with these generations, by host, written at the nodes' own entries.

    Raises `RollError` where that cannot be done by replacing a number or adding a line.
    """
    meant = parse_yaml(text, source)
    for node in _at(meant, keys)["nodes"]:
        if node.get("hostname") in wanted:
            node["generation"] = wanted[node["hostname"]]
    entries = _value(_found(text, keys), "nodes").value
    for entry in reversed(entries):  # from the end, so that earlier places stay where they are
        host = _value(entry, "hostname").value
        if host in wanted:
            text = _with_generation(text, entry, wanted[host])
    names = ", ".join(f"generation of {host} to {number}" for host, number in wanted.items())
    return checked(text, meant, source, f"set {names}")


def section(text: str, keys: Keys) -> str:
    """What stands after `assets:`, comments included, as far left as it goes."""
    begin, end, column = _span(text, keys)
    return _shifted(text[begin:end], -column)


def with_section(text: str, keys: Keys, replacement: str, source: str) -> str:
    """The text with another `assets:` section, as `section` gave it."""
    begin, end, column = _span(text, keys)
    changed = text[:begin] + _shifted(replacement, column) + text[end:]
    meant = parse_yaml(text, source)
    _at(meant, keys)[_ASSETS] = parse_yaml(f"assets:{replacement}\n", source)[_ASSETS]
    return checked(changed, meant, source, "put the earlier assets: section back")


def _with_generation(text: str, entry: yaml.MappingNode, number: int) -> str:
    own = {key.value: (key, value) for key, value in entry.value}
    if "generation" in own:
        value = own["generation"][1]
        return text[: value.start_mark.index] + str(number) + text[value.end_mark.index :]
    key, value = own["hostname"]
    end = value.end_mark.index
    if entry.flow_style:
        return f"{text[:end]}, generation: {number}{text[end:]}"
    line = re.compile(r"[^\r\n]*(\r?\n)?").match(text, end)
    assert line is not None  # it matches the empty text as well
    newline = line[1] or "\n"
    head = text[: line.end()] + ("" if line[1] else newline)
    return f"{head}{' ' * key.start_mark.column}generation: {number}{newline}{text[line.end() :]}"


def _span(text: str, keys: Keys) -> tuple[int, int, int]:
    """Where the assets' value begins (after the colon) and ends, and the key's column."""
    cluster = _found(text, keys)
    key, value = next((k, v) for k, v in cluster.value if k.value == _ASSETS)
    end = _last(value).end_mark.index
    if not value.flow_style:  # a comment behind the last value belongs to it
        line_end = re.compile(r"[^\r\n]*").match(text, end)
        assert line_end is not None
        end = line_end.end() if text[end - 1 : end] not in ("\n", "") else end - 1
    return key.end_mark.index + 1, end, key.start_mark.column


def _last(node: yaml.Node) -> yaml.Node:
    """What ends a value: of a block its last part, since its own mark is behind what follows."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return node
    last = node.value[-1]
    return _last(last[1] if isinstance(node, yaml.MappingNode) else last)


def _shifted(text: str, columns: int) -> str:
    """Every line but the first moved right, or left where there is room."""
    first, *rest = text.split("\n")
    if columns >= 0:
        moved = [f"{' ' * columns}{line}" if line.strip() else line for line in rest]
    else:
        moved = [re.sub(f"^ {{0,{-columns}}}", "", line) for line in rest]
    return "\n".join([first, *moved])


def _found(text: str, keys: Keys) -> yaml.Node:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert node is not None  # it was read as a cluster before
    for key in keys:
        node = _value(node, key)
    return node


def _value(node: yaml.Node, key: str) -> yaml.Node:
    found: list[yaml.Node] = [value for name, value in node.value if name.value == key]
    if not found:
        raise RollError(f"the stack file has no own {key}: there, which is needed to change it")
    return found[0]


def _at(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


def checked(text: str, meant: Any, source: str, what: str) -> str:
    """``text``, if it says what was meant. Raises `RollError` otherwise: ``what`` is for people."""
    try:
        same = parse_yaml(text, source) == meant
    except StackFileError as error:
        raise RollError(f"{source}: cannot be changed safely ({error}); {what} by hand") from error
    if not same:
        raise RollError(f"{source}: cannot be changed safely (aliases?); {what} by hand")
    return text
