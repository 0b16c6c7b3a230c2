"""What the page and ``/api`` show: one picture of all nodes, made at most once per change."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kindling.bootserver import timeline
from kindling.bootserver.context import Context
from kindling.bootserver.diagnosis import diagnose
from kindling.bootserver.records import Audit, Event, Sighting
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
        times = context.records.timelines()
        sightings = context.records.sightings()
        trail = _by_node(context.records.trail())
        views = []
        for document in documents:
            key = (document.stack, document.hostname)
            views.append(
                _view(
                    document,
                    context.record_of(document),
                    sightings.get(key),
                    times.get(key, []),
                    trail.get(key, []),
                    now,
                )
            )
        claimed = {mac for document in documents for mac in document.macs}
        strangers = [m for m in list_unknown(context.database) if m["mac"] not in claimed]
        problems = context.documents.problems()
        return Picture(version, now, tuple(views), tuple(strangers), problems)


def _view(
    document: NodeDocument,
    record: Record,
    sighting: Sighting | None,
    events: Sequence[Event],
    audit: Sequence[Audit],
    now: float,
) -> NodeView:
    state = state_of(record, document, now)
    boots = tuple(tuple(boot) for boot in timeline.last_boots(events))
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
        diagnosis=diagnose(record, document, state, sighting, boots[0] if boots else (), now),
        sighting=sighting,
        boots=boots,
        audit=tuple(audit),
    )


def _by_node(trail: Sequence[Audit]) -> dict[tuple[str, str], list[Audit]]:
    found: dict[tuple[str, str], list[Audit]] = {}
    for entry in trail:
        found.setdefault((entry.stack, entry.host), []).append(entry)
    return found
