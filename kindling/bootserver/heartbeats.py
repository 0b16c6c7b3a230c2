"""When machines last repeated what they had said: known at once, written down rarely.

A thousand machines repeat their stage every two minutes. In the database only the time would
change, each time with a commit that waits for the disk, and that makes everybody's page anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kindling.bootserver.records import Sighting

# Seconds between two writes. With the two minutes between reports this is less than what makes
# a machine silent, so other workers and a restarted server never take a living one for silent.
EVERY = 240.0

Node = tuple[str, str]  # stack and host


class Heartbeats:
    """The newest of each node. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[Node, Sighting] = {}
        self._unwritten: dict[Node, Sighting] = {}
        self._written_at = clock()

    def note(self, node: Node, sighting: Sighting) -> None:
        """Take one; never waits for a disk."""
        with self._lock:
            self._last[node] = self._unwritten[node] = sighting

    def last(self, node: Node) -> Sighting | None:
        """The newest that this process took, or None."""
        return self._last.get(node)

    def take(self, *, everything: bool = False) -> dict[Node, Sighting]:
        """What is to be written now: nothing, unless it is time or ``everything`` is wanted."""
        with self._lock:
            if not everything and self._clock() - self._written_at < EVERY:
                return {}
            self._written_at = self._clock()
            taken, self._unwritten = self._unwritten, {}
            return taken
