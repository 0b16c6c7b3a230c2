"""The boot records: what the server remembers, read and changed in transactions.

Every change of a node's record goes through `Records.change`, which holds the only write
transaction while it decides, so two workers never decide from the same old facts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from kindling.bootserver.database import Database
from kindling.bootserver.schema import audit, events, meta, nodes, sightings
from kindling.bootserver.states import Record
from kindling.bootserver.transitions import Refusal, published
from kindling.models.documents import NodeDocument

log = logging.getLogger(__name__)

Decide = Callable[[Record | None], Record | Refusal]
Follow = Callable[[sa.Connection, Record | None, Record], None]  # with the record before and after

_COLUMNS = {field.name for field in fields(Record)}
SERVER = "boot server"  # who holds a node and grants a claim, in the audit trail

KEPT_EVENTS = 80  # of each node
KEPT_AUDIT = 200  # of each node


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a node's timeline. ``kind`` is one of `timeline`'s, ``text`` says more."""

    stack: str
    host: str
    at: float
    kind: str
    text: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an operator did to a node, or the server by itself."""

    stack: str
    host: str
    at: float
    who: str
    what: str  # arm, disarm, hold, reboot, cancel, claim, done, release
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a machine said of itself when it last asked. Never trusted, always escaped."""

    at: float
    address: str
    arch: str = ""
    platform: str = ""
    manufacturer: str = ""
    product: str = ""
    serial: str = ""
    simulated: bool = False
    reported_at: float | None = None  # when it last reported with its token; anybody may ask


class Records:
    """Reading and changing what is stored about nodes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changes = 0  # rises with every change by this process, before its answer is sent

    def since_revision(self, revision: int) -> list[Record]:
        """Every record that was changed after ``revision``, oldest change first."""
        wanted = sa.select(nodes).where(nodes.c.revision > revision).order_by(nodes.c.revision)
        with self.database.reading() as connection:
            return [_record(row) for row in connection.execute(wanted).mappings()]

    def get(self, stack: str, host: str) -> Record | None:
        """The record of one node, or None."""
        with self.database.reading() as connection:
            return _read(connection, stack, host)

    def change(
        self,
        stack: str,
        host: str,
        decide: Decide,
        *,
        event: Event | None = None,
        entry: Audit | None = None,
        follow: Follow | None = None,
        now: float = 0.0,
    ) -> Record | Refusal:
        """Store what ``decide`` makes of the current record; durable when this returns.

        A `Refusal` is returned as it is, after its own record (a hold) was stored. ``event`` and
        ``entry`` are written with the change, and not at all when it is refused; ``event`` also
        not when nothing changed, which is a report that is repeated. ``follow`` may write more in
        the same transaction when the record changed.
        """
        arguments = (stack, host, decide, event, entry, follow, now)
        try:
            return self._change(*arguments)
        except IntegrityError:  # two servers made the node's first row at once: decide again
            return self._change(*arguments)

    def _change(
        self,
        stack: str,
        host: str,
        decide: Decide,
        event: Event | None,
        entry: Audit | None,
        follow: Follow | None,
        now: float,
    ) -> Record | Refusal:
        with self.database.writing() as connection:
            before = _read(connection, stack, host, lock=True)
            decided = decide(before)
            refused = isinstance(decided, Refusal)
            after = decided.record if isinstance(decided, Refusal) else decided
            if after is not None:
                after = _write(connection, before, after)
                if after.held and not (before and before.held):
                    write_audit(connection, Audit(stack, host, now, SERVER, "hold", after.held))
            if not refused and after is not None and after != before:
                if event is not None:
                    write_events(connection, [event])
                if follow is not None:
                    follow(connection, before, after)
            if not refused and entry is not None:
                write_audit(connection, entry)
        self.changes += 1
        if isinstance(decided, Refusal):
            return decided
        return after or decided

    def publish(self, found: Sequence[tuple[NodeDocument, float]]) -> int:
        """Let the records speak of these documents (with the times of their publication).

        One transaction for all of them; returns how many records changed.
        """
        count = 0
        with self.database.writing() as connection:
            for document, since in found:
                before = _read(connection, document.stack, document.hostname, lock=True)
                after = published(before, document, since)
                if after != before:
                    _write(connection, before, after)
                    count += 1
        self.changes += 1
        return count

    def timelines(self, keys: Sequence[tuple[str, str]] | None = None) -> dict[Any, list[Event]]:
        """The kept events by (stack, host), oldest first; of all nodes, or of ``keys``."""
        # By time: what was observed is written a little after what had to be stored at once.
        wanted = sa.select(events).order_by(events.c.at, events.c.id)
        if keys is not None:
            wanted = wanted.where(sa.tuple_(events.c.stack, events.c.host).in_(keys))
        found: dict[Any, list[Event]] = {}
        with self.database.reading() as connection:
            for row in connection.execute(wanted).mappings():
                event = Event(**{k: v for k, v in row.items() if k != "id"})
                found.setdefault((event.stack, event.host), []).append(event)
        return found

    def sightings(self) -> dict[tuple[str, str], Sighting]:
        """The last sighting of every node's machine."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(sightings)).mappings().all()
        found = {}
        for row in rows:
            values = dict(row)
            key = (values.pop("stack"), values.pop("host"))
            found[key] = Sighting(**values)
        return found

    def trail(self, *, limit: int = 500) -> list[Audit]:
        """The newest entries of the audit trail, newest first."""
        wanted = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
        with self.database.reading() as connection:
            rows = connection.execute(wanted).mappings().all()
        return [Audit(**{k: v for k, v in row.items() if k != "id"}) for row in rows]


def write_events(connection: sa.Connection, found: Iterable[Event]) -> None:
    """Append to the timelines, within a transaction; of each node the newest are kept."""
    rows = [asdict(event) for event in found]
    if rows:
        connection.execute(sa.insert(events), rows)
    for stack, host in {(row["stack"], row["host"]) for row in rows}:
        _trim(connection, events, stack, host, KEPT_EVENTS)


def write_audit(connection: sa.Connection, entry: Audit) -> None:
    """Append to the audit trail, within a transaction; of each node the newest are kept."""
    connection.execute(sa.insert(audit).values(asdict(entry)))
    _trim(connection, audit, entry.stack, entry.host, KEPT_AUDIT)


def _trim(connection: sa.Connection, table: sa.Table, stack: str, host: str, keep: int) -> None:
    """Keep only the newest rows of a node."""
    mine = (table.c.stack == stack) & (table.c.host == host)
    oldest = connection.scalar(
        sa.select(table.c.id).where(mine).order_by(table.c.id.desc()).offset(keep).limit(1)
    )
    if oldest is not None:
        connection.execute(sa.delete(table).where(mine & (table.c.id <= oldest)))


def read_all(connection: sa.Connection, stack: str) -> dict[str, Record]:
    """Every record of a stack by host name, within a transaction."""
    rows = connection.execute(sa.select(nodes).where(nodes.c.stack == stack)).mappings()
    return {record.host: record for record in map(_record, rows)}


def alter(
    connection: sa.Connection, stack: str, host: str, decide: Callable[[Record], Record]
) -> None:
    """Let ``decide`` change a record that is there, within a transaction."""
    before = _read(connection, stack, host, lock=True)
    if before is not None:
        _write(connection, before, decide(before))


def _read(connection: sa.Connection, stack: str, host: str, *, lock: bool = False) -> Record | None:
    wanted = sa.select(nodes).where((nodes.c.stack == stack) & (nodes.c.host == host))
    if lock:
        wanted = wanted.with_for_update()  # PostgreSQL; SQLite's writer is alone anyway
    row = connection.execute(wanted).mappings().first()
    return _record(row) if row else None


def _write(connection: sa.Connection, before: Record | None, after: Record) -> Record:
    if before == after:
        return after
    after = replace(after, revision=_next_revision(connection))
    values = asdict(after)
    if before is None:
        connection.execute(sa.insert(nodes).values(values))
    else:
        mine = (nodes.c.stack == after.stack) & (nodes.c.host == after.host)
        connection.execute(sa.update(nodes).where(mine).values(values))
    return after


def _next_revision(connection: sa.Connection) -> int:
    """One more than ever before. The row's lock also orders commits as the numbers are."""
    mine = meta.c.name == "revision"
    found = connection.scalar(sa.select(meta.c.value).where(mine).with_for_update())
    if found is None:
        connection.execute(sa.insert(meta).values(name="revision", value="1"))
        return 1
    connection.execute(sa.update(meta).where(mine).values(value=str(int(found) + 1)))
    return int(found) + 1


def _record(row: Any) -> Record:
    return Record(**{name: value for name, value in row.items() if name in _COLUMNS})
