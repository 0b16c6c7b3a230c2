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
from kindling.bootserver.tickets import TICKET_LIFE, Ticket
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

ReportState = Literal["installing", "installed", "booted", "failed"]


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


def arm(record: Record, document: NodeDocument, who: str, now: float) -> Record | Refusal:
    """An operator arms the node, which also ends a hold."""
    if not record.held and not needs_install(record, document):
        return Refusal(
            409,
            f"generation {document.generation} of {document.hostname} is installed;"
            " raise its generation in the stack file to install it again",
        )
    return replace(
        record,
        armed_at=now,
        armed_by=who,
        disarmed_by="",
        phase="idle" if record.held else record.phase,
        fetched_by="" if record.held else record.fetched_by,
        fetched_at=None if record.held else record.fetched_at,
        failures=0,
        failed_at=None,
        failure="",
        failure_log="",
        held="",
        held_at=None,
    )


def disarm(record: Record, document: NodeDocument, who: str) -> Record | Refusal:
    """An operator takes the arming back. An installation under way is not stopped by it."""
    if not needs_install(record, document):
        return Refusal(
            409,
            f"generation {document.generation} of {document.hostname} is installed;"
            " it is not armed",
        )
    return replace(record, armed_at=None, armed_by="", disarmed_by=who)


def ignition_asked(
    record: Record, document: NodeDocument, ticket: Ticket, *, address: str, now: float
) -> Record | Refusal:
    """Somebody at ``address`` shows a valid ticket.

    The same machine may ask again after a dropped transfer, until it said `installing`. A second
    one, with the first one's ticket or with one of its own, means that somebody else is told the
    node's secrets: the node is held, however late it asks. Machines are told apart by the address
    that got the script: everybody's script gives the same static address.

    An attempt begins here and not with the script, which anybody may ask for. A machine that
    begins again while it was being installed crashed or was switched off: a failed attempt too,
    otherwise one that always crashes would be written again and again.
    """
    who, owner = address, ticket.address
    if address != owner:
        who = f"{address} with the ticket that {owner} got"
    if not ticket.is_good_at(address):
        leaked = _leaked(record, document, who, now)
        return Refusal(403, "this ticket belongs to another address", leaked)
    armed = armed_until(record, document) is not None  # or was: tickets outlive it by minutes
    if record.held or not armed or not needs_install(record, document):
        return Refusal(403, f"{document.hostname} is not being installed")
    if record.installing_at is not None and ticket.issued <= record.installing_at:
        return Refusal(403, "this ticket ended when the machine reported `installing`")
    if record.fetched_by not in ("", owner):
        leaked = _leaked(record, document, f"{who} after {record.fetched_by}", now)
        return Refusal(403, "another machine has fetched this Ignition", leaked)
    return _attempt(record, owner, now)


def _attempt(record: Record, owner: str, now: float) -> Record | Refusal:
    """An attempt begins, goes on, or begins again after one that broke off."""
    if record.phase == "fetched":
        return record
    if record.phase == "installing":
        broken = "the machine started over while it was being installed"
        record = _one_more_failure(record, broken, now)
        if record.held:
            return Refusal(403, record.held, record)
    return replace(record, phase="fetched", fetched_by=owner, fetched_at=now)


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


def _installing(
    record: Record, document: NodeDocument, told: Report, now: float
) -> Record | Refusal:
    if told.generation != document.generation:
        return Refusal(409, _not_published(document, told))
    if record.held:
        return Refusal(409, f"{document.hostname} is held; stop installing")
    if not (may_install(record, document, now) or _has_just_fetched(record, document, now)):
        return Refusal(409, f"{document.hostname} is not armed; stop installing")
    return replace(record, phase="installing", installing_at=now)


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
    return _one_more_failure(record, told.message, now, log=told.log)


def _one_more_failure(record: Record, message: str, now: float, *, log: str = "") -> Record:
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
    )


def _booted(record: Record, document: NodeDocument, told: Report, now: float) -> Record | Refusal:
    if not told.digest:
        return Refusal(422, "digest: `booted` needs the digest that the disk's marker has")
    if told.vouched < record.settled_generation:
        return Refusal(409, _superseded(record, told))
    if record.installed_generation != told.generation:
        # Its `installed` was lost, or the server's records were: that it runs is the proof.
        record = replace(
            record,
            installed_generation=told.generation,
            installed_digest=_published_digest(document, told),
            installed_at=now,
        )
    return replace(_settled(record, told.vouched), booted_at=now, booted_digest=told.digest)


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


def _leaked(record: Record, document: NodeDocument, whom: str, now: float) -> Record | None:
    if record.held:
        return None
    rotate = "raise its generation, which gives it new tokens"
    if document.role == "control-plane":
        rotate += ", and rotate the cluster's authorities"
    reason = f"its Ignition was asked for by {whom}; somebody else may know its secrets: {rotate}"
    return replace(record, held=reason, held_at=now)


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
