from __future__ import annotations
from collections.abc import Container, Mapping
from kindling.errors import Problem
from kindling.models.cluster import Cluster


def unknown_versions(
    cluster: Cluster, known: Mapping[str, Container[str]]
) -> tuple[Problem, ...]:
    return ()
