"""The container images that a manifest names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kindling.models.manifest_text import Object

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
# Operators are told by arguments and variables which images to run: `--flag=quay.io/a/b:v1`,
# `docker.io/a/b:v1`. A tag that is only a number would be a port.
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
    r":(?!\d+(/|$))\w[\w.-]*(@sha256:[0-9a-f]{64})?"
)


# Kind and name of an object, name of a container (the same containers stand in a patch of it).
_Place = tuple[str, str, str]


def images_of(objects: Iterable[Object], patches: Iterable[Object] = ()) -> tuple[str, ...]:
    """Every image as it is written, sorted, each once; ``patches`` replace containers' images.

    Found are the images of containers, wherever they stand in an object, and what looks like an
    image among their arguments and variables. What an operator has built in is not in a manifest.
    """
    own: dict[_Place, str] = {}
    told: set[str] = set()
    for each in (*objects, *patches):
        name = (each.get("metadata") or {}).get("name", "")
        for container in _containers(each):
            image = container.get("image")
            if isinstance(image, str) and image:
                own[each.get("kind", ""), name, str(container.get("name"))] = image
            told |= set(_told(container))
    return tuple(sorted({*own.values(), *told}))


def _containers(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _CONTAINERS and isinstance(inner, list):
                yield from (each for each in inner if isinstance(each, Mapping))
            yield from _containers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _containers(inner)


def _told(container: Mapping[str, Any]) -> Iterator[str]:
    words = [*_texts(container.get("command")), *_texts(container.get("args"))]
    for variable in container.get("env") or ():
        words += _texts([variable.get("value")] if isinstance(variable, Mapping) else [])
    for word in words:
        value = word.partition("=")[2] if word.startswith("-") and "=" in word else word
        if _IMAGE.fullmatch(value):
            yield value


def _texts(values: Any) -> list[str]:
    return [each for each in values or () if isinstance(each, str)]
