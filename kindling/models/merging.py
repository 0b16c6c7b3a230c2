"""Defaults, pools and nodes: maps merge, lists and scalars replace, null takes away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``, neither changed; a null removes what is inherited."""
    merged = dict(base)
    for key, value in over.items():
        inherited = merged.get(key)
        if value is None and key in merged:
            del merged[key]
        elif isinstance(value, Mapping) and isinstance(inherited, Mapping):
            merged[key] = merge(inherited, value)
        else:
            merged[key] = value
    return merged
