"""Answers that may be given again for a moment, without looking at files and database."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from starlette.types import Message, Scope

from kindling.bootserver.records import Records

# What another process changed shows up this much later (s); changes by this process show at once.
MOMENT = 0.02
_LONGEST_QUERY = 1024  # bytes, of a request whose answer is kept
_NOBODY = ("",)

Answer = tuple[Message, Message]  # start and body, as they were sent
_Key = tuple[str, bytes, str]


@dataclass(slots=True)
class _Kept:
    until: float  # of the monotonic clock
    changes: int
    answer: Answer


class RecentAnswers:
    """Answers by path, query and address of the connection.

    Not used behind trusted proxies, where the connection's address is not the machine's.
    """

    def __init__(self, records: Records, *, most: int, used: bool = True) -> None:
        self._records = records
        self._most = most if used else 0
        self._kept: dict[_Key, _Kept] = {}

    @property
    def changes(self) -> int:
        """Read this before an answer is made, and give it to `keep`."""
        return self._records.changes

    def get(self, scope: Scope) -> Answer | None:
        """The answer that the same request got a moment ago, unless anything changed since."""
        kept = self._kept.get(_key(scope))
        if kept is None or kept.changes != self._records.changes or monotonic() >= kept.until:
            return None
        return kept.answer

    def keep(self, scope: Scope, answer: Answer, changes: int) -> None:
        """Keep an answer that was right when ``changes`` was read."""
        if not self._most or len(scope["query_string"]) > _LONGEST_QUERY:
            return
        if len(self._kept) >= self._most:
            self._kept.clear()
        self._kept[_key(scope)] = _Kept(monotonic() + MOMENT, changes, answer)


def _key(scope: Scope) -> _Key:
    return (scope["path"], scope["query_string"], (scope.get("client") or _NOBODY)[0])
