"""What a simulated machine says: every line is marked as simulated, and none holds a secret."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable

Sink = Callable[[str], None]

# Boot tickets travel in query strings; console lines and errors end up in terminals and CI logs.
_TICKET = re.compile(r"(token=)[^&\s'\"`]+")
_TAIL_LINES = 50
_LOG_BYTES = 16 * 1024  # what the boot server takes as `log`
_SERIALISED = threading.Lock()


def redact(text: str) -> str:
    """The text with the value of every ``token=`` left out."""
    return _TICKET.sub(r"\1...", text)


def discard(_line: str) -> None:
    """A sink for callers who do not want to see the console."""


class Console:
    """The serial console of one machine: lines go to ``sink``, the last ones are kept."""

    def __init__(self, name: str, sink: Sink = discard) -> None:
        self.name = name  # the MAC until an Ignition tells the host's name
        self._sink = sink
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def line(self, text: str) -> None:
        """Show and remember one line, as ``[simulated] host text``."""
        shown = " ".join(redact(text).split())
        self._tail.append(shown)
        with _SERIALISED:  # sinks are shared by all the machines of a fleet
            self._sink(f"[simulated] {self.name} {shown}")

    def tail(self) -> str:
        """The last lines as a log for a status report, at most 16 kB."""
        return "\n".join(self._tail).encode()[-_LOG_BYTES:].decode(errors="ignore")
