"""Reading YAML as Pulumi does, with every mistake placed by line and column.

Pulumi reads stack files with Go's yaml.v3: only true and false are truth values, a MAC address
is never a number in base 60, and a date is text. PyYAML's rules of YAML 1.1 differ in all three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml

from kindling.errors import Problem, StackFileError

# libyaml is several times faster; some builds of PyYAML come without it.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Safe, with the resolvers below instead of PyYAML's."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    octal = re.fullmatch(r"0[0-7]+", digits)
    return sign * (int(digits, 8) if octal else int(digits, 0))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        [*_first.replace("\0", ""), *([""] if "\0" in _first else [])],
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _duplicates(node: yaml.Node, seen: set[int]) -> Iterator[Problem]:
    """Keys given twice in one map. Looked for before construction, which merges ``<<`` in."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    first: dict[str, int] = {}
    for entry in node.value:
        key, value = entry if isinstance(node, yaml.MappingNode) else (None, entry)
        if isinstance(key, yaml.ScalarNode):
            if key.value in first:
                message = f"is given twice (first on line {first[key.value]}); keep one of them"
                yield Problem(_place(key.start_mark), message, key.value, has_value=True)
            first.setdefault(key.value, key.start_mark.line + 1)
        yield from _duplicates(value, seen)


def parse_yaml(text: str, source: str) -> Any:
    """The document's value. Raises `StackFileError` for syntax errors and duplicate keys."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        problems = tuple(_duplicates(node, set())) if node else ()
        value = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"is not YAML: {error.problem or error.context}; mend the line or the one before"
        raise StackFileError((Problem(_place(mark), message),), source) from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        problem = Problem("file", f"is not YAML: {reason}; write plain UTF-8 text")
        raise StackFileError((problem,), source) from error
    if problems:
        raise StackFileError(problems, source)
    return value


def read_yaml(path: Path) -> Any:
    """The value of a file. Raises `StackFileError`, also when the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        problem = Problem(str(path), f"cannot be read ({reason}); name an existing YAML file")
        raise StackFileError((problem,), str(path)) from error
    return parse_yaml(text, str(path))
