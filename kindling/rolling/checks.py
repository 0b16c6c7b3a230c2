"""What is asked before machines are taken out, and when they are back."""

from __future__ import annotations

from kindling.rolling import health
from kindling.rolling.guards import Situation, refusals
from kindling.rolling.health import Expected
from kindling.rolling.outside import Manner, Outside, until_well
from kindling.rolling.plan import Batch, Plan


class Checks:
    """The checks of one roll."""

    def __init__(self, outside: Outside, manner: Manner) -> None:
        self._outside = outside
        self._manner = manner
        self._tolerated: frozenset[str] = frozenset()

    def tolerate(self, plan: Plan) -> None:
        """Remember who was not ready before; until it is rolled itself, nobody waits for it."""
        if self._outside.kubernetes is None:
            return
        expected = Expected(self._outside.fleet(), self._outside.domain)
        self._tolerated = frozenset(health.not_ready(self._outside.nodes(), expected))
        if others := sorted(self._tolerated - plan.everybody):
            listed = ", ".join(others)
            self._outside.teller.say(f"Not Ready before this began, so not waited for: {listed}")

    def before(self, batch: Batch) -> None:
        """Nothing is touched unless this passes. Raises `RollStopped`."""
        self._until_well(lambda: self._against(batch), "checks before", batch, self._manner.checks)

    def after(self, batch: Batch) -> None:
        """The next batch begins when this passes. Raises `RollStopped`."""
        self._tolerated -= set(batch.hosts)
        self._until_well(self._unwell, "checks after", batch, self._manner.settle)

    def taken_in(self, batch: Batch) -> None:
        """Wait until Kubernetes calls the machines ready. Raises `RollStopped`."""
        hosts = [step.host for step in batch.steps if step.machine.in_kubernetes]

        def look() -> list[str]:
            nodes = self._outside.nodes()
            late = [host for host in hosts if host not in nodes or not nodes[host].ready]
            return [f"not Ready in Kubernetes: {', '.join(late)}"] if late else []

        self._until_well(look, "taking in", batch, self._manner.settle)

    def _against(self, batch: Batch) -> list[str]:
        outside = self._outside
        fleet, cluster = outside.fleet(), outside.stack.cluster()
        version = cluster.assets.kubernetes
        now = Situation(fleet, outside.nodes(), version, self._manner.at_once)
        found = refusals(batch, now)
        # What is out already is mended also when the cluster is not well for want of it.
        if outside.kubernetes and any(now.works(fleet[host]) for host in batch.hosts):
            found += health.api_and_dns(outside.kubernetes, outside.domain)
        return found

    def _unwell(self) -> list[str]:
        if self._outside.kubernetes is None:
            return []
        expected = Expected(self._outside.fleet(), self._outside.domain, self._tolerated)
        return health.everything(self._outside.kubernetes, expected)

    def _until_well(self, look: health.Look, step: str, batch: Batch, patience: float) -> None:
        until_well(
            look,
            step,
            batch.hosts,
            outside=self._outside,
            patience=patience,
            poll=self._manner.poll,
        )
