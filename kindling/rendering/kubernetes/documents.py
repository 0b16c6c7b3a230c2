"""YAML for Kubernetes' own programs: documents are data, not text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

Document = dict[str, Any]


def to_yaml(*documents: Mapping[str, Any]) -> str:
    """One text of several documents; the same documents give the same text."""
    return "---\n".join(
        yaml.safe_dump(dict(each), sort_keys=False, default_flow_style=False, width=100)
        for each in documents
    )


def without_empty(document: Mapping[str, Any]) -> Document:
    """The document without keys whose value says nothing: None, and empty maps and lists."""
    return {key: value for key, value in document.items() if value not in (None, {}, [], ())}
