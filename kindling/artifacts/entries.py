"""What the catalog says of one add-on and of one container image."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kindling.models.assets import ChecksumFormat
from kindling.models.role import Role


class Entry(BaseModel):
    """Base of everything in the catalog: frozen, camelCase in files, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class AddonEntry(Entry):
    """An add-on's released manifest; ``url`` has the field version.

    Without ``url`` upstream releases none.
    """

    url: str | None = None
    checksums: ChecksumFormat | None = None
    estimated_size: int  # bytes
    versions: tuple[str, ...] = ()

    @property
    def newest(self) -> str | None:
        """The version that is taken when the stack file names none."""
        return max(self.versions, key=numbers_of, default=None)


class ImageEntry(Entry):
    """A container image that machines run without Kubernetes."""

    repository: str  # docker.io/library/haproxy
    roles: frozenset[Role]
    estimated_size: int  # bytes, per architecture
    versions: tuple[str, ...]


def numbers_of(version: str) -> tuple[int, ...]:
    """A version for comparing: 4230.2.3 as (4230, 2, 3)."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def nearest_known(version: str, known: Iterable[str]) -> str:
    """The known versions closest to one that is not, for messages; at most three."""
    wanted = numbers_of(version)
    ordered = sorted(known, key=lambda each: _distance(wanted, numbers_of(each)))[:3]
    if not ordered:
        return "none is known"
    return "nearest known: " + ", ".join(sorted(ordered, key=numbers_of))


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    width = max(len(one), len(other))
    padded = zip(one + (0,) * width, other + (0,) * width, strict=False)
    return tuple(abs(left - right) for left, right in padded)
