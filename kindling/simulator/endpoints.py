"""What stands for the APIs of simulated clusters: a place in memory that machines share."""

from __future__ import annotations

from threading import Lock


class Endpoints:
    """The APIs that answer in one simulation. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._serving: set[str] = set()

    def serve(self, key: str) -> None:
        """One control plane of that cluster is up."""
        with self._lock:
            self._serving.add(key)

    def answers(self, key: str) -> bool:
        """Whether any is."""
        with self._lock:
            return key in self._serving
