"""The state of one node: the facts that are recorded, and what follows from them.

A record holds facts only; the state is computed from the record, the published document and the
time, so nothing has to run for an arming to expire or for a node to become outdated.

    pending ----> armed ----> installing ----> installed ----> booted ----> outdated
       ^            |  ^          |                            |                |
       |  disarm,   |  | again    v          raised generation |                |
       +-- expiry --+  +------- failed  <---- arms again <-----+----------------+
                                  |                            |
                                  |                            +--> initialising, joining -->
                                  |                                 joined --> ready, or failed
                                  +--- the third time, or a fetch by a second address: held

What follows ``booted`` is a stage of the cluster. It is told by the installed system, also while a
newer generation is armed, and ends with its next boot or installation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from kindling.models.documents import NodeDocument

ATTEMPTS = 3  # failed installations of one generation, then the node is held


# Where an attempt to install is: no attempt, script served, the disk is being written.
Phase = Literal["idle", "fetched", "installing"]

# Where the installed system is on its way into the cluster; empty: it did not say since its boot.
Stage = Literal["", "initialising", "joining", "joined", "ready", "failed"]


class State(StrEnum):
    """What a node is doing, from the newest published generation's point of view."""

    PENDING = "pending"  # to be installed, but not armed
    ARMED = "armed"
    INSTALLING = "installing"
    INSTALLED = "installed"
    BOOTED = "booted"
    INITIALISING = "initialising"  # the cluster, by the claim
    JOINING = "joining"
    JOINED = "joined"
    READY = "ready"
    OUTDATED = "outdated"  # runs, but a newer configuration of its generation is published
    FAILED = "failed"  # to be installed, or to get into the cluster
    HELD = "held"  # until an operator arms it


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that the server remembers of a node. Times are seconds since the epoch."""

    stack: str
    host: str
    generation: int = 0  # the published generation that the arming fields speak of
    armed_at: float | None = None
    armed_by: str = ""  # an operator; empty: by the stack's publication
    disarmed_by: str = ""
    phase: Phase = "idle"
    installing_at: float | None = None  # the last report of `installing`
    fetched_by: str = ""  # whose ticket last got the Ignition: the address that got its script
    fetched_at: float | None = None
    installed_generation: int = 0  # what the disk's marker says; 0: nothing known
    settled_generation: int = 0  # up to here a token vouched that nothing is left to install
    installed_digest: str = ""
    installed_at: float | None = None
    booted_at: float | None = None
    booted_digest: str = ""
    failures: int = 0  # of this generation
    failed_at: float | None = None
    failure: str = ""
    failure_log: str = ""
    held: str = ""  # the reason
    held_at: float | None = None
    written_generation: int = 0  # of the last accepted `installing`: these records saw it written
    stage: Stage = ""
    stage_at: float | None = None  # since when it is in that stage
    stage_message: str = ""
    stage_log: str = ""
    stage_generation: int = 0  # that told a stage since its installation; outlives boots
    stage_incarnation: int = 0  # of the cluster that the stages are about
    joined_at: float | None = None  # the first `joined` or `ready` since the installation
    reboot_at: float | None = None  # when an operator asked for a restart that was not seen yet
    reboot_by: str = ""
    revision: int = 0  # rises with every stored change of any record


def needs_install(record: Record, document: NodeDocument) -> bool:
    """Whether a generation is published that is newer than the installed one."""
    return document.generation > record.settled_generation


def armed_until(record: Record, document: NodeDocument) -> float | None:
    """When the arming ends, or None when the node was not armed for its generation.

    An installation that began within the arming may be finished, so its retries have as long
    again: half an installed disk boots nothing.
    """
    if record.armed_at is None or not (document.auto_arm or record.armed_by):
        return None
    began = record.armed_at if record.installing_at is None else record.installing_at
    return max(began, record.armed_at) + document.arm_for


def may_install(record: Record, document: NodeDocument, now: float) -> bool:
    """Whether the node's machine gets an install script. The one place that decides it."""
    until = armed_until(record, document)
    return (
        not record.held
        and record.generation == document.generation
        and needs_install(record, document)
        and until is not None
        and now < until
    )


def state_of(record: Record, document: NodeDocument, now: float) -> State:
    """The node's state at ``now``; ``record`` must speak of the document's generation."""
    if record.held:
        return State.HELD
    if needs_install(record, document):
        if record.phase == "installing":
            return State.INSTALLING
        if record.failures:
            return State.FAILED
        return State.ARMED if may_install(record, document, now) else State.PENDING
    return _state_of_system(record, document)


def _state_of_system(record: Record, document: NodeDocument) -> State:
    """Of an installed one. That it failed matters more than that it is outdated."""
    if record.stage == "failed":
        return State.FAILED
    if is_outdated(record, document):
        return State.OUTDATED
    if record.stage:
        return State(record.stage)
    return State.BOOTED if _booted_since_install(record) else State.INSTALLED


def since(record: Record, state: State) -> float | None:
    """When the record's node came into ``state``, as far as it is known."""
    return {
        State.HELD: record.held_at,
        State.INSTALLING: record.installing_at,
        State.FAILED: record.failed_at if record.failures else record.stage_at,
        State.INSTALLED: record.installed_at,
        State.BOOTED: record.booted_at,
        State.OUTDATED: record.booted_at or record.installed_at,
        State.INITIALISING: record.stage_at,
        State.JOINING: record.stage_at,
        State.JOINED: record.stage_at,
        State.READY: record.stage_at,
    }.get(state, record.armed_at)


def running_digest(record: Record) -> str:
    """The digest that the installed system last reported; empty when nothing is installed."""
    return record.booted_digest if _booted_since_install(record) else record.installed_digest


def known_digests(document: NodeDocument, generation: int) -> tuple[str, ...]:
    """Every digest that was published for a generation, newest last."""
    found = [each.digest for each in document.history if each.generation == generation]
    if generation == document.generation:
        found.append(document.digest)
    return tuple(dict.fromkeys(found))


def has_drifted(record: Record) -> bool:
    """Whether the machine runs something else than what was published when it was installed."""
    running = running_digest(record)
    return bool(running) and running != record.installed_digest


def is_outdated(record: Record, document: NodeDocument) -> bool:
    """Whether a newer configuration of the installed generation is published."""
    return (
        record.installed_generation == document.generation
        and not has_drifted(record)
        and running_digest(record) not in ("", document.digest)
    )


def explain(record: Record, document: NodeDocument, now: float) -> str:
    """Why the machine boots its disk, or is installed: one line for its console and the page."""
    generation = document.generation
    state = state_of(record, document, now)
    if state is State.PENDING:
        return _why_pending(record, document)
    again = "it is tried again" if may_install(record, document, now) else "it is not armed"
    return {
        State.HELD: f"held: {record.held}",
        State.ARMED: f"generation {generation} is to be installed",
        State.INSTALLING: _why_installing(record, document, now),
        State.FAILED: _why_failed(record, document, again),
        State.OUTDATED: (
            f"generation {generation} is installed; its newer configuration needs"
            " a raised generation"
        ),
    }.get(state, f"generation {record.installed_generation} is installed")


def _why_installing(record: Record, document: NodeDocument, now: float) -> str:
    begun = f"generation {document.generation} is being installed"
    if may_install(record, document, now):
        return begun
    return f"{begun}, but did not end while it was armed; arm it to try again"


def _why_failed(record: Record, document: NodeDocument, again: str) -> str:
    if needs_install(record, document):
        return f"generation {document.generation} failed {record.failures} times, {again}"
    why = record.stage_message or "the machine gave no reason"
    installed = f"generation {record.installed_generation} is installed"
    return f"{installed}, but it failed in the cluster: {why}"


def _why_pending(record: Record, document: NodeDocument) -> str:
    generation = document.generation
    if record.disarmed_by:
        return f"generation {generation} was disarmed by {record.disarmed_by}"
    if armed_until(record, document) is None:
        return f"generation {generation} waits for an operator to arm it"
    return f"the arming of generation {generation} expired"


def _booted_since_install(record: Record) -> bool:
    return record.booted_at is not None and record.booted_at >= (record.installed_at or 0.0)
