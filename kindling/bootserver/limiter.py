"""How often somebody may do something: bounded in rate and in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_KEYS = 10_000  # that one limiter remembers; the ones unused for longest are forgotten


class Limiter:
    """A token bucket per key (an address, a node); the number of keys is bounded too."""

    def __init__(
        self,
        *,
        burst: float = 20,
        refill: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``burst`` at once, then ``refill`` per second."""
        self._burst = float(burst)
        self._refill = refill
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, key: str) -> bool:
        """Whether ``key`` may do it once more now."""
        now = self._clock()
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._refill)
        allowed = left >= 1.0
        self._buckets[key] = (left - 1.0 if allowed else left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _KEYS:
            self._buckets.popitem(last=False)
        return allowed
