"""The rules by which a node's record changes: pure functions of facts, document, event and time.

Each returns the new record, or a `Refusal` that says in one sentence why nothing changes.
Nothing here reads a clock, a file or a database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from kindling.bootserver.states import (
    ATTEMPTS,
    Record,
    armed_until,
    known_digests,
    may_install,
    needs_install,
)
from kindling.bootserver.tickets import TICKET_LIFE
from kindling.models.documents import NodeDocument

# What is forgotten of attempts to install when a generation is new, or settled.
_NO_ATTEMPT: dict[str, Any] = {
    "phase": "idle",
    "installing_at": None,
    "fetched_by": "",
    "fetched_at": None,
    "failures": 0,
    "failed_at": None,
    "failure": "",
    "failure_log": "",
}

# What is forgotten of the cluster when a system begins anew: at its boot, or with its disk.
_AT_BOOT: dict[str, Any] = {
    "stage": "",
    "stage_at": None,
    "stage_message": "",
    "stage_log": "",
    "reboot_at": None,
    "reboot_by": "",
}
_OF_A_SYSTEM: dict[str, Any] = {
    **_AT_BOOT,
    "stage_generation": 0,
    "stage_incarnation": 0,
    "joined_at": None,
}

ReportState = Literal[
    "installing", "installed", "booted", "failed", "initialising", "joining", "joined", "ready"
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was asked is not done. ``status`` is the HTTP status; ``record`` is stored if given."""

    status: int
    reason: str
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A machine's status, authenticated: its token speaks for the generation ``vouched``."""

    state: ReportState
    generation: int
    digest: str = ""
    message: str = ""
    log: str = ""
    vouched: int = 0
    of_cluster: bool = False  # `failed` to get into the cluster, not to be installed
    incarnation: int = 0  # of the cluster, where the machine says it


def published(record: Record | None, document: NodeDocument, since: float) -> Record:
    """The record as it speaks of the document's generation; ``since``: when it was published.

    Another generation than before is armed anew and starts with a clean count of failures. What is
    installed stays as it is, and a held node stays held.
    """
    known = record or Record(stack=document.stack, host=document.hostname)
    if known.generation == document.generation:
        return known
    return replace(
        known,
        generation=document.generation,
        armed_at=since,
        armed_by="",
        disarmed_by="",
        **_NO_ATTEMPT,
    )


def report(record: Record, document: NodeDocument, told: Report, now: float) -> Record | Refusal:
    """A machine's authenticated status. It may be repeated: the answer may have been lost."""
    match told.state:
        case "installing":
            return _installing(record, document, told, now)
        case "failed":
            return _failed(record, document, told, now)
        case "installed":
            return _installed(record, document, told, now)
        case "booted":
            return _booted(record, document, told, now)
    raise ValueError(f"{told.state} is a stage of the cluster; `stages.staged` judges it")


def _installing(
    record: Record, document: NodeDocument, told: Report, now: float
) -> Record | Refusal:
    if told.generation != document.generation:
        return Refusal(409, _not_published(document, told))
    if record.held:
        return Refusal(409, f"{document.hostname} is held; stop installing")
    if not (may_install(record, document, now) or _has_just_fetched(record, document, now)):
        return Refusal(409, f"{document.hostname} is not armed; stop installing")
    return replace(
        record,
        phase="installing",
        installing_at=now,
        written_generation=told.generation,
        **_OF_A_SYSTEM,
    )


def _has_just_fetched(record: Record, document: NodeDocument, now: float) -> bool:
    """Whether it was let in while the arming lasted, which ended before it could say so."""
    return (
        armed_until(record, document) is not None
        and needs_install(record, document)
        and record.fetched_at is not None
        and now - record.fetched_at < TICKET_LIFE
    )


def _failed(record: Record, document: NodeDocument, told: Report, now: float) -> Record | Refusal:
    if told.generation != document.generation:
        return Refusal(409, _not_published(document, told))
    if not needs_install(record, document):
        return Refusal(409, f"generation {told.generation} is recorded as installed")
    if record.phase == "idle" and record.failures:
        return record  # the answer to this report was lost; it is not another failure
    return one_more_failure(record, told.message, now, log=told.log)


def one_more_failure(record: Record, message: str, now: float, *, log: str = "") -> Record:
    """An attempt to install ended badly; the third one holds the node."""
    failures = record.failures + 1
    after = replace(
        record,
        phase="idle",
        failures=failures,
        failed_at=now,
        failure=message,
        failure_log=log,
    )
    if failures < ATTEMPTS or record.held:
        return after
    return replace(after, held=f"{failures} installations in a row failed", held_at=now)


def _installed(
    record: Record, document: NodeDocument, told: Report, now: float
) -> Record | Refusal:
    if not told.digest:
        return Refusal(422, "digest: `installed` needs the digest that the disk's marker has")
    if told.vouched < record.settled_generation:
        return Refusal(409, _superseded(record, told))
    installed = _published_digest(document, told)
    if _is_recorded(record, told, installed):
        return record
    return replace(
        _settled(record, told.vouched),
        installed_generation=told.generation,
        installed_digest=installed,
        installed_at=now,
        **_OF_A_SYSTEM,
    )


def _booted(record: Record, document: NodeDocument, told: Report, now: float) -> Record | Refusal:
    if not told.digest:
        return Refusal(422, "digest: `booted` needs the digest that the disk's marker has")
    known = running(record, document, told, now)
    if isinstance(known, Refusal):
        return known
    return replace(known, booted_at=now, booted_digest=told.digest, **_AT_BOOT)


def running(record: Record, document: NodeDocument, told: Report, now: float) -> Record | Refusal:
    """The record once the installed system itself spoke: that it runs is the proof.

    Its `installed` may have been lost, or the server's records were.
    """
    if told.vouched < record.settled_generation:
        return Refusal(409, _superseded(record, told))
    if record.installed_generation != told.generation:
        record = replace(
            record,
            installed_generation=told.generation,
            installed_digest="",
            installed_at=now,
            **_OF_A_SYSTEM,
        )
    if told.digest and not record.installed_digest:
        record = replace(record, installed_digest=_published_digest(document, told))
    return _settled(record, told.vouched)


def _published_digest(document: NodeDocument, told: Report) -> str:
    """What was published for the reported generation: the reported digest, if it was ever that.

    Asked once, when the installation is recorded: what is published later, or forgotten by the
    stack, does not turn a machine that was installed as it should be into one that drifted.
    """
    known = known_digests(document, told.generation)
    return told.digest if told.digest in known or not known else known[-1]


def _settled(record: Record, vouched: int) -> Record:
    """Nothing is left to install up to ``vouched``; a newer generation's arming is untouched."""
    settled = max(record.settled_generation, vouched)
    if settled < record.generation:
        return replace(record, settled_generation=settled)
    return replace(
        record,
        settled_generation=settled,
        **_NO_ATTEMPT,
    )


def _is_recorded(record: Record, told: Report, installed: str) -> bool:
    return (
        record.settled_generation == told.vouched
        and record.installed_generation == told.generation
        and record.installed_digest == installed
        and record.phase == "idle"
    )


def _not_published(document: NodeDocument, told: Report) -> str:
    return (
        f"generation {told.generation} is not the published one of {document.hostname}"
        f" ({document.generation})"
    )


def _superseded(record: Record, told: Report) -> str:
    return (
        f"generation {record.settled_generation} is recorded as installed;"
        f" a report of generation {told.generation} cannot lower it"
    )
