"""Waiting for machines that restart, install themselves and come back."""

from __future__ import annotations

from kindling.errors import BootServerError, RollStopped
from kindling.rolling.outside import Manner, Outside
from kindling.rolling.plan import Batch
from kindling.rolling.progress import FAILED_STAGE, Progress, progress_of

_LOOK = "look at its console; the boot server's page says how far it came"


class Waiting:
    """One wait for the machines of a batch."""

    def __init__(self, batch: Batch, outside: Outside, manner: Manner) -> None:
        self._batch = batch
        self._outside = outside
        self._manner = manner
        self._failing: dict[str, float] = {}  # host -> since when it says so

    def until_ready(self) -> None:
        """Raises `RollStopped` when a machine fails, or is not ready in time."""
        clock = self._outside.clock
        begun = clock.monotonic()
        while True:
            found = self._look()
            waiting = {host: each.text for host, each in found.items() if not each.done}
            if found and not waiting:
                return
            if clock.monotonic() - begun >= self._manner.ready_timeout:
                raise self._late(waiting)
            clock.sleep(self._manner.poll)

    def _look(self) -> dict[str, Progress]:
        """Where each machine is; nothing while the boot server does not answer."""
        tell = self._outside.teller.machine
        try:
            fleet = self._outside.fleet()
        except BootServerError as error:
            tell(self._batch.hosts[0], f"unknown: {error}")
            return {}
        steps = self._batch.steps
        found = {step.host: progress_of(fleet[step.host], step.target) for step in steps}
        for host, progress in found.items():
            tell(host, progress.text)
            self._judge(host, progress)
        return found

    def _judge(self, host: str, progress: Progress) -> None:
        now = self._outside.clock.monotonic()
        if not progress.failure:
            self._failing.pop(host, None)
        elif not progress.doubtful or now - self._failing.setdefault(host, now) >= FAILED_STAGE:
            raise RollStopped("installation", (host,), progress.failure)

    def _late(self, waiting: dict[str, str]) -> RollStopped:
        listed = ", ".join(f"{host}: {text}" for host, text in waiting.items())
        reason = f"not ready after {self._manner.ready_timeout:.0f} s ({listed}); {_LOOK}"
        return RollStopped("waiting", tuple(waiting) or self._batch.hosts, reason)
