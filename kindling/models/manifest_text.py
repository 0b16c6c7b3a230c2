"""Reading manifests: many documents in one text, each an object of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Object = Mapping[str, Any]

# libyaml is several times faster; some builds of PyYAML come without it.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Safe, and without the type `=` of YAML 1.1, which is plain text to everybody else."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":value")]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}


def objects_of(text: str) -> tuple[Object, ...]:
    """Every object of a manifest; lists of kind List are opened.

    Raises ValueError with the rest of a sentence that begins with the manifest's name.
    """
    try:
        documents = list(yaml.load_all(text, _Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"is not YAML: {place}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from error
    found = [
        each for number, document in enumerate(documents, 1) for each in _open(document, number)
    ]
    if not found:
        raise ValueError("holds no object of Kubernetes; write at least one")
    return tuple(found)


def _open(document: Any, number: int) -> Iterator[Object]:
    if document is None:
        return
    if not isinstance(document, Mapping):
        raise ValueError(f"document {number} is no object; it needs apiVersion, kind and metadata")
    if document.get("kind") == "List":
        for item in document.get("items") or ():
            yield from _open(item, number)
        return
    for key in ("apiVersion", "kind"):
        if not isinstance(document.get(key), str):
            raise ValueError(f"document {number} has no {key}; every object needs one")
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        kind = document["kind"]
        raise ValueError(f"document {number} ({kind}) has no metadata.name; every object needs one")
    yield document


def secrets_in(objects: tuple[Object, ...]) -> tuple[str, ...]:
    """Names of Secrets that hold something: what the stack publishes, anybody can read."""
    return tuple(
        each["metadata"]["name"]
        for each in objects
        if each["kind"] == "Secret" and (each.get("data") or each.get("stringData"))
    )


def policies_in(objects: tuple[Object, ...]) -> tuple[str, ...]:
    """Names of NetworkPolicies."""
    return tuple(
        each["metadata"]["name"]
        for each in objects
        if each["kind"] == "NetworkPolicy" and each["apiVersion"].startswith("networking.k8s.io/")
    )
