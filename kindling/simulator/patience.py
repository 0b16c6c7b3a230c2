"""How often simulated machines try again: bounded, so that a dead server ends a simulation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kindling.simulator.transport import TransferFailed

Result = TypeVar("Result")

_TOO_MANY, _SERVER_ERRORS = 429, 500
_LONGEST = 5.0  # seconds


@dataclass(frozen=True)
class Patience:
    """``attempts`` in all; ``wait`` is the first pause in real seconds, doubled up to 5 s."""

    attempts: int = 6
    wait: float = 0.2

    def pause(self, attempt: int) -> None:
        """Sleep after failed attempt number ``attempt`` (from 0)."""
        time.sleep(min(self.wait * 2**attempt, _LONGEST))

    def retry(self, action: Callable[[], Result]) -> Result:
        """The action's result, tried again while its transfer fails in a way that may pass."""
        for attempt in range(self.attempts - 1):
            try:
                return action()
            except TransferFailed as failure:
                if not may_pass(failure.status):
                    raise
                self.pause(attempt)
        return action()


def may_pass(status: int | None) -> bool:
    """Whether a later attempt can end better: no answer, too many requests, a server's error."""
    return status is None or status == _TOO_MANY or status >= _SERVER_ERRORS
