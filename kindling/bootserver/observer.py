"""Observations, written behind: what is worth seeing but may be lost with a power cut.

Handlers only append to a queue; one thread writes what has gathered, a few times per second, in
one transaction. The queue is bounded: under a flood the oldest observations are dropped and
counted, and no machine waits for them.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from dataclasses import asdict, dataclass
from functools import partial
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from kindling.bootserver import timeline
from kindling.bootserver.database import Database
from kindling.bootserver.heartbeats import Heartbeats
from kindling.bootserver.orders import boot_seen
from kindling.bootserver.records import Event, Sighting, alter, write_events
from kindling.bootserver.schema import events, sightings
from kindling.bootserver.unknown import Unknown, write_unknown
from kindling.errors import RecordsLost

log = logging.getLogger(__name__)

_INTERVAL = 0.4  # seconds between writes
_IDLE = 20.0  # seconds between looks for heartbeats when nothing else is to be written
_LONGEST = 20_000  # observations that wait
_ADDRESSES = 20_000  # machines whose last script is remembered for attributing file requests


@dataclass(frozen=True, slots=True)
class Seen:
    """A node's machine was seen, as it described itself."""

    stack: str
    host: str
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class FileAsked:
    """Somebody fetched a file; who it was follows from the address.

    ``node`` (stack and host) is whose installer has that address by its own boot script.
    """

    at: float
    address: str
    kind: str
    text: str
    node: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Booting:
    """A machine asked for its boot script: a restart that was asked for has happened."""

    stack: str
    host: str
    at: float


Observation = Event | Seen | FileAsked | Unknown | Booting


class Observer:
    """The queue and its writer; a context manager that writes what is left when it ends."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[Observation] = deque(maxlen=_LONGEST)
        self._wake = threading.Event()
        self._ended = False
        self._writing = threading.Lock()
        self._hosts: OrderedDict[str, tuple[str, str] | None] = OrderedDict()
        self._steps: dict[tuple[str, str], set[str]] = {}
        self.heartbeats = Heartbeats()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self.dropped = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._wake.set()
        self._thread.join()
        self._flush(everything=True)

    def note(self, observation: Observation) -> None:
        """Take an observation; never waits."""
        if len(self._queue) == _LONGEST:
            self.dropped += 1
        self._queue.append(observation)
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write what has gathered until now."""
        self._flush()

    def _flush(self, *, everything: bool = False) -> None:
        with self._writing:
            batch = self._take(everything=everything)
            if not batch:
                return
            try:
                with self._database.writing() as connection:
                    self._write(connection, batch)
            except (SQLAlchemyError, RecordsLost) as error:
                # Only observations are lost; what must not be lost is never written here.
                log.warning("%d observations were not stored: %s", len(batch), error)

    def _take(self, *, everything: bool) -> list[Observation]:
        batch: list[Observation] = []
        while self._queue:
            batch.append(self._queue.popleft())
        repeated = self.heartbeats.take(everything=everything)
        batch.extend(Seen(*node, sighting) for node, sighting in repeated.items())
        return batch

    def _run(self) -> None:
        pause = threading.Event()
        while not self._ended:
            if self._wake.wait(_IDLE) and not self._ended:
                pause.wait(_INTERVAL)  # let more gather: one commit for a rack that boots
            self._wake.clear()
            self.flush()

    def _write(self, connection: sa.Connection, batch: list[Observation]) -> None:
        found: list[Event] = []
        for each in batch:
            match each:
                case Event():
                    self._add(each, found)
                case FileAsked():
                    node = each.node or self._host_of(connection, each.address)
                    if node is not None:
                        self._add(Event(*node, each.at, each.kind, each.text, each.address), found)
                case Seen():
                    _write_sighting(connection, each)
                case Unknown():
                    write_unknown(connection, each)
                case Booting():
                    seen = partial(boot_seen, at=each.at)
                    alter(connection, each.stack, each.host, seen)
        write_events(connection, found)

    def _add(self, event: Event, found: list[Event]) -> None:
        """Keep an event, but a repeated step (HEAD and GET, ranges) only once per boot."""
        node = (event.stack, event.host)
        if event.kind in timeline.STARTS:
            self._steps[node] = set()
            self._remember(event.address, node)
        elif event.kind in (timeline.KERNEL, timeline.INITRD, timeline.IMAGE, timeline.IGNITION):
            steps = self._steps.setdefault(node, set())
            if event.kind in steps:
                return
            steps.add(event.kind)
        found.append(event)

    def _host_of(self, connection: sa.Connection, address: str) -> tuple[str, str] | None:
        """The node that last got a script at ``address``; also when another worker served it."""
        if address not in self._hosts or self._hosts[address] is None:
            wanted = (
                sa.select(events.c.stack, events.c.host)
                .where((events.c.address == address) & events.c.kind.in_(timeline.STARTS))
                .order_by(events.c.id.desc())
                .limit(1)
            )
            row = connection.execute(wanted).first()
            self._remember(address, (row[0], row[1]) if row else None)
        return self._hosts[address]

    def _remember(self, address: str, node: tuple[str, str] | None) -> None:
        self._hosts[address] = node
        self._hosts.move_to_end(address)
        while len(self._hosts) > _ADDRESSES:
            self._hosts.popitem(last=False)


def _write_sighting(connection: sa.Connection, seen: Seen) -> None:
    mine = (sightings.c.stack == seen.stack) & (sightings.c.host == seen.host)
    # A status says less than a boot script's query; what it leaves out stays.
    told = asdict(seen.sighting)
    values = {name: value for name, value in told.items() if value not in ("", None)}
    before = connection.scalar(sa.select(sightings.c.at).where(mine))
    if before is None:
        connection.execute(sa.insert(sightings).values(stack=seen.stack, host=seen.host, **values))
        return
    if before > seen.sighting.at:  # a heartbeat, written after what came later
        values = {name: value for name, value in values.items() if name == "reported_at"}
    if values:
        connection.execute(sa.update(sightings).where(mine).values(values))
