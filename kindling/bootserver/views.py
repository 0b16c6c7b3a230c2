"""What the page and ``/api`` show: one picture of all nodes, made at most once per change."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kindling.bootserver import timeline
from kindling.bootserver.claims import Claim
from kindling.bootserver.claimstore import holders
from kindling.bootserver.context import Context
from kindling.bootserver.diagnosis import diagnose, diagnose_stage
from kindling.bootserver.records import Audit, Event, Sighting
from kindling.bootserver.stages import silent_since
from kindling.bootserver.states import (
    Record,
    State,
    armed_until,
    explain,
    has_drifted,
    may_install,
    running_digest,
    since,
    state_of,
)
from kindling.bootserver.unknown import list_unknown
from kindling.models.documents import NodeDocument

_FRESH = 5.0  # seconds after which ages and diagnoses are computed anew


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node: what is published, what is known, and what follows from both."""

    document: NodeDocument
    record: Record
    state: State
    since: float | None
    armed: bool
    armed_until: float | None
    drift: bool
    running: str  # digest, or empty
    reason: str
    diagnosis: str
    sighting: Sighting | None
    silent_since: float | None  # when it was last heard of, if it stopped reporting
    claims: tuple[Claim, ...]  # that it holds or held
    boots: tuple[tuple[Event, ...], ...]  # newest first
    audit: tuple[Audit, ...]  # newest first

    @property
    def simulated(self) -> bool:
        """Whether the machine says that it is simulated."""
        return bool(self.sighting and self.sighting.simulated)


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is shown, at one time."""

    version: str
    at: float
    nodes: tuple[NodeView, ...]
    unknown: tuple[dict[str, Any], ...]
    problems: dict[str, str]  # unusable documents: path -> why

    @property
    def silent(self) -> int:
        """How many nodes reported stages and stopped."""
        return sum(node.silent_since is not None for node in self.nodes)

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes are in each state; every state is there."""
        found = {str(state): 0 for state in State}
        for node in self.nodes:
            found[str(node.state)] += 1
        return found


class Pictures:
    """The newest picture; shared by the page, the API and every event stream."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._newest: Picture | None = None

    def version(self) -> str:
        """Changes whenever a newer picture may differ; costs microseconds."""
        context = self._context
        return f"{context.mirror.pulse()}.{context.documents.revision}"

    def newest(self) -> Picture:
        """The picture as of now. Reads the database when something changed: call it in a thread."""
        self._context.observer.flush()
        with self._lock:
            version, now = self.version(), self._context.clock()
            held = self._newest
            if held is None or held.version != version or not held.at <= now < held.at + _FRESH:
                held = self._newest = self._make(version, now)
            return held

    def _make(self, version: str, now: float) -> Picture:
        context = self._context
        documents = context.documents.all()
        facts = _Facts(
            context.records.timelines(),
            context.records.sightings(),
            _by_node(context.records.trail()),
            holders(context.claims.all()),
        )
        views = [self._view(document, facts, now) for document in documents]
        claimed = {mac for document in documents for mac in document.macs}
        strangers = [m for m in list_unknown(context.database) if m["mac"] not in claimed]
        problems = context.documents.problems()
        return Picture(version, now, tuple(views), tuple(strangers), problems)

    def _view(self, document: NodeDocument, facts: _Facts, now: float) -> NodeView:
        record = self._context.record_of(document)
        key = (document.stack, document.hostname)
        state = state_of(record, document, now)
        boots = tuple(tuple(b) for b in timeline.last_boots(facts.times.get(key, ())))
        sighting = newest(facts.sightings.get(key), self._context.observer.heartbeats.last(key))
        reported_at = sighting.reported_at if sighting else None
        silent = silent_since(record, reported_at, self._context.started, now)
        said = (
            diagnose(record, document, state, sighting, boots[0] if boots else (), now),
            diagnose_stage(record, document, silent, now),
        )
        return NodeView(
            document=document,
            record=record,
            state=state,
            since=since(record, state),
            armed=may_install(record, document, now),
            armed_until=armed_until(record, document),
            drift=has_drifted(record),
            running=running_digest(record),
            reason=explain(record, document, now),
            diagnosis=" ".join(filter(None, said)),
            sighting=sighting,
            silent_since=silent,
            claims=tuple(facts.claims.get(key, ())),
            boots=boots,
            audit=tuple(facts.trail.get(key, ())),
        )


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is stored of all nodes beside their records, by stack and host."""

    times: dict[Any, list[Event]]
    sightings: dict[tuple[str, str], Sighting]
    trail: dict[tuple[str, str], list[Audit]]
    claims: dict[tuple[str, str], list[Claim]]


def newest(stored: Sighting | None, heard: Sighting | None) -> Sighting | None:
    """A sighting with what this process heard of the machine since it was stored."""
    if stored is None or heard is None:
        return stored or heard
    reported = max(stored.reported_at or 0.0, heard.reported_at or 0.0) or None
    if heard.at <= stored.at:
        return replace(stored, reported_at=reported)
    return replace(stored, at=heard.at, address=heard.address, reported_at=reported)


def _by_node(trail: Sequence[Audit]) -> dict[tuple[str, str], list[Audit]]:
    found: dict[tuple[str, str], list[Audit]] = {}
    for entry in trail:
        found.setdefault((entry.stack, entry.host), []).append(entry)
    return found
