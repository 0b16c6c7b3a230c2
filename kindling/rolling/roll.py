"""The roll itself: batch after batch, and a stop at the first thing that is not as it should be.

Everything that it changes is outside: the stack file, the published documents, the nodes' cordons.
So a roll that was interrupted anywhere is continued by beginning it again.
"""

from __future__ import annotations

from collections.abc import Sequence

from kindling.errors import BootServerError, KindlingError, RollStopped
from kindling.rolling.checks import Checks
from kindling.rolling.interfaces import KubeNode
from kindling.rolling.outside import Manner, Outside, stopping, until_well
from kindling.rolling.plan import Batch, Plan, Step
from kindling.rolling.waiting import Waiting


class Roll:
    """One roll. Raises `RollStopped` at the first failure."""

    def __init__(self, outside: Outside, manner: Manner) -> None:
        self._outside = outside
        self._manner = manner
        self._checks = Checks(outside, manner)

    def run(self, plan: Plan) -> None:
        """Roll everybody in the plan."""
        say = self._outside.teller.say
        self._checks.tolerate(plan)
        for batch in plan.left:
            say(f"{batch.hosts[0]}: an earlier roll did not take it in again")
            self._come_back(batch)
        for number, batch in enumerate(plan.batches, 1):
            say(f"Batch {number} of {len(plan.batches)}, {batch.title}: {', '.join(batch.hosts)}")
            self._checks.before(batch)
            self._publish(batch)
            self._take_out(batch)
            self._come_back(batch)

    def _publish(self, batch: Batch) -> None:
        """Raise the generations and publish them, unless an earlier roll came that far."""
        step, fleet = "publishing", self._outside.fleet()
        written = {each.host: fleet[each.host].node.generation for each in batch.steps}
        raised = {
            each.host: each.target for each in batch.steps if written[each.host] < each.target
        }
        with stopping(step, batch.hosts):
            if raised:
                self._outside.stack.raise_generations(raised)
            if self._unpublished(batch):
                self._outside.stack.publish()
        until_well(
            lambda: self._unpublished(batch),
            step,
            batch.hosts,
            outside=self._outside,
            patience=self._manner.seen,
            poll=self._manner.poll,
        )

    def _unpublished(self, batch: Batch) -> list[str]:
        fleet = self._outside.fleet()
        published = {each.host: each.view.generation for each in fleet if each.view}
        return [
            f"generation {step.target} of {step.host} is not published"
            for step in batch.steps
            if published.get(step.host) != step.target
        ]

    def _take_out(self, batch: Batch) -> None:
        """Pods leave; then the machine restarts into its installation."""
        with stopping("cordon", batch.hosts):
            nodes = self._outside.nodes()
            for host in batch.hosts:  # all of them, so that pods do not move from one to the next
                self._cordon(host, nodes.get(host))
        for index, step in enumerate(batch.steps):
            try:
                with stopping("drain", (step.host,)):
                    self._drain(step.host, nodes.get(step.host))
            except (RollStopped, KeyboardInterrupt):
                self._disarm(batch.steps[index:])
                raise
            with stopping("restart", (step.host,)):
                self._restart(step)

    def _cordon(self, host: str, node: KubeNode | None) -> None:
        if node is None or self._outside.kubernetes is None:
            return
        if node.cordoned and not node.marked:
            self._outside.teller.say(f"{host}: was cordoned already, so it stays cordoned")
            return
        self._outside.kubernetes.cordon(host)

    def _drain(self, host: str, node: KubeNode | None) -> None:
        if node is None or self._outside.kubernetes is None:
            return
        teller = self._outside.teller
        if not node.ready:
            # Nobody there could end a pod; budgets count these pods as unavailable already.
            teller.say(f"{host}: is not Ready, so its pods cannot be asked to leave")
            return
        teller.machine(host, "its pods are leaving")
        self._outside.kubernetes.drain(host, self._manner.drain_timeout, teller.output)

    def _disarm(self, steps: Sequence[Step]) -> None:
        """Who was not restarted must not be installed by chance, with its pods on it."""
        for step in steps:
            try:
                self._outside.server.disarm(step.host)
            except KindlingError as error:
                self._outside.teller.say(f"{step.host}: stays armed: {error}")

    def _restart(self, step: Step) -> None:
        machine = self._outside.fleet()[step.host]
        if machine.installed == step.target or machine.state == "installing":
            return
        if machine.view and machine.view.held:
            remedy = f"when you know why: python -m kindling arm {step.host}"
            raise RollStopped("restart", (step.host,), f"it is held: {machine.view.held}; {remedy}")
        if machine.state in ("pending", "failed"):  # the operator wants it: that is what a roll is
            self._outside.server.arm(step.host)
        try:
            self._outside.server.reboot(step.host)
        except BootServerError as error:
            self._outside.teller.say(f"{step.host}: restart it by hand: {error}")

    def _come_back(self, batch: Batch) -> None:
        Waiting(batch, self._outside, self._manner).until_ready()
        if self._outside.kubernetes is not None:
            self._checks.taken_in(batch)
            with stopping("uncordon", batch.hosts):
                nodes = self._outside.nodes()
                for host in batch.hosts:
                    if host in nodes and nodes[host].marked:
                        self._outside.kubernetes.uncordon(host)
        self._checks.after(batch)
