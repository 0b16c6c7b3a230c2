"""What an add-on's module makes: patches of upstream's manifest, and objects that follow it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

EVERY_WORKLOAD = "*"  # among waits: each Deployment, DaemonSet and StatefulSet of the manifest


@dataclass(frozen=True)
class AddonParts:
    """``patches`` are kustomize's: an object to merge, or ``{"target": ..., "patch": ...}``.

    ``after`` are objects of the add-on's own kinds, applied when ``waits`` are ready. ``namespace``
    is where every object of the manifest is moved to; it is created.
    """

    patches: tuple[Json, ...] = ()
    after: tuple[Json, ...] = ()
    namespace: str | None = None
    waits: tuple[str, ...] = (EVERY_WORKLOAD,)


def merged(api: str, kind: str, name: str, namespace: str | None = None, **fields: Any) -> Json:
    """An object as a strategic merge patch: what it names is replaced, lists by their keys."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata} | fields


def targeted(kind: str, name: str, patch: Mapping[str, Any] | list[Json]) -> Json:
    """A patch of whatever object has that kind and name, in any namespace; none is no error."""
    return {"target": {"kind": kind, "name": name}, "patch": patch}


def appended(kind: str, name: str, path: str, value: Any) -> Json:
    """A patch that adds to the end of a list (RFC 6902), which a merge would replace."""
    return targeted(kind, name, [{"op": "add", "path": f"{path}/-", "value": value}])


def to_text(value: Mapping[str, Any]) -> str:
    """One line of JSON, which is YAML and which the machine's jq reads."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
