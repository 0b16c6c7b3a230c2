"""All records in memory, as new as the database: a disk-boot script costs no query.

SQLite tells with one cheap pragma whether any other connection, in any process, has committed;
only then are the rows read that changed since. Other databases are asked once per second, so a
second server may see an arming that much later.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from kindling.bootserver.database import Database
from kindling.bootserver.records import Records
from kindling.bootserver.states import Record

_INTERVAL = 1.0  # seconds between questions to a database that cannot tell that it changed


class Mirror:
    """Records by stack and host. Safe to use from several threads."""

    def __init__(self, records: Records, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Record] = {}
        self._revision = 0
        self._seen: int | None = None
        self._clock = clock
        self._watch = _watch(records.database)

    def get(self, stack: str, host: str) -> Record | None:
        """The node's record as last committed, or None."""
        self.refresh()
        return self._held.get((stack, host))

    def pulse(self) -> int:
        """A number that changes whenever anything in the database may have changed."""
        with self._lock:
            return self._pulse()

    def refresh(self) -> None:
        """Take over what was committed since the last look."""
        with self._lock:
            # Taken before reading: a commit between the two is then read again, never missed.
            pulse = self._pulse()
            if pulse == self._seen:
                return
            for record in self._records.since_revision(self._revision):
                self._held[record.stack, record.host] = record
                self._revision = record.revision
            self._seen = pulse

    def close(self) -> None:
        """Close the watching connection."""
        with self._lock:
            if self._watch is not None:
                self._watch.close()

    def _pulse(self) -> int:
        if self._watch is None:
            return int(self._clock() / _INTERVAL)
        try:
            row: tuple[Any, ...] = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            self._records.database.verify()  # of a file that is gone it only says `disk I/O error`
            raise
        return int(row[0])


def _watch(database: Database) -> sqlite3.Connection | None:
    """A connection that never writes: its ``data_version`` rises with every other's commit."""
    file = database.sqlite_file
    if file is None:
        return None
    return sqlite3.connect(file, check_same_thread=False, isolation_level=None)
