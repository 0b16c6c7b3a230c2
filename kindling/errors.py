"""The errors that a user can meet, as one small tree.

    KindlingError
    |-- StackFileError        the stack file: every problem found, together
    |-- CatalogError          a version or file that the catalog does not know
    |-- LockError             assets.lock.yaml: missing, unreadable or incomplete
    |-- ArtifactError         getting an artifact
    |   |-- DownloadExhausted     every source failed; names each with its reason
    |   |-- DigestMismatch        the bytes are not the pinned ones
    |   `-- NoSpace               not enough room, found before the download
    |-- StoreError            putting, reading or deleting published files
    |   |-- StoreUnreachable      no answer in time
    |   |-- StoreRefused          the token or the path was refused
    |   `-- StoreFull             no room left where the files live
    |-- RenderError           a template, Butane or a validator refused; names node, template, line
    |-- BootServerError       the boot server's own settings or records
    |   `-- RecordsLost           the records' file was deleted or replaced under a running server
    |-- RollError             a roll was refused, or stopped
    |   `-- RollStopped           at a step that was begun; says where, and what failed
    |-- SimulationError       a simulated machine met something a real one would choke on
    `-- CommandError          an external program is missing or failed

Every message names what was wrong, the value, and what to do about it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


class KindlingError(Exception):
    """Base of all errors that are shown to the user as one sentence, without a traceback."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file: ``path`` as the user would write it, its ``value``, the remedy."""

    path: str
    message: str
    value: object = None
    has_value: bool = False

    def __str__(self) -> str:
        if not self.has_value:
            return f"{self.path}: {self.message}"
        shown = json.dumps(self.value, default=str, ensure_ascii=False)
        return f"{self.path}: {shown if len(shown) <= 80 else shown[:77] + '...'} {self.message}"


class StackFileError(KindlingError):
    """The stack file has problems; all of them are in ``problems``."""

    def __init__(self, problems: tuple[Problem, ...], source: str = "cluster") -> None:
        self.problems = problems
        self.source = source
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{source}: {count}:\n{lines}")

    def __reduce__(self) -> tuple[type[StackFileError], tuple[tuple[Problem, ...], str]]:
        return type(self), (self.problems, self.source)


class CatalogError(KindlingError):
    """The catalog does not know a version, an architecture or a file."""


class LockError(KindlingError):
    """The lock file is missing, unreadable or lacks an entry."""


class ArtifactError(KindlingError):
    """An artifact could not be had."""


class DownloadExhausted(ArtifactError):
    """Every source of an artifact failed."""


class DigestMismatch(ArtifactError):
    """Bytes differ from the pinned digest."""


class NoSpace(ArtifactError):
    """There is not enough free space for what is about to be fetched."""


class StoreError(KindlingError):
    """A store could not do what was asked."""


class StoreUnreachable(StoreError):
    """The store did not answer in time."""


class StoreRefused(StoreError):
    """The store refused the token, the path or the content."""


class StoreFull(StoreError):
    """The store has no room left."""


class RenderError(KindlingError):
    """A template, Butane or a validator refused a document."""


class BootServerError(KindlingError):
    """The boot server's settings or records are unusable."""


class RecordsLost(BootServerError):
    """The database of the boot records was deleted or replaced while it was open."""


class RollError(KindlingError):
    """A roll was refused before anything was touched, or something that it needs is missing."""


class RollStopped(RollError):
    """A roll stopped in the middle: ``step`` is what was being done, to ``hosts``."""

    def __init__(self, step: str, hosts: tuple[str, ...], reason: str) -> None:
        self.step = step
        self.hosts = hosts
        self.reason = reason
        super().__init__(f"{step} ({', '.join(hosts)}): {reason}")


class SimulationError(KindlingError):
    """A simulated machine met what a real one could not handle."""


class CommandError(KindlingError):
    """An external program is missing, failed or took too long."""
