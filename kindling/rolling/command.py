"""``python -m kindling roll``: look, ask, roll, and say how to go on or back."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm

from kindling.errors import KindlingError, RollError
from kindling.rolling.chosen import manner_of, to_resume, wishes_of
from kindling.rolling.goodstate import GoodStates
from kindling.rolling.guards import never
from kindling.rolling.interfaces import KubeNode
from kindling.rolling.kubectl import kubectl_with
from kindling.rolling.operator import Operator
from kindling.rolling.outside import Outside
from kindling.rolling.plan import Plan, plan_roll
from kindling.rolling.pulumi import PulumiStack
from kindling.rolling.roll import Roll
from kindling.rolling.show import RichTeller, console_for, plan_table, state_table
from kindling.stores.opening import open_store

_INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended


def run(arguments: argparse.Namespace) -> int:
    """Roll; 0 when everybody is through, 1 when it stopped, 130 when it was interrupted."""
    console = console_for(sys.stdout)
    try:
        with _session(arguments, console) as session:
            return session.run()
    except KeyboardInterrupt:
        console.print("Interrupted before anything was begun.")
        return _INTERRUPTED


@contextmanager
def _session(arguments: argparse.Namespace, console: Console) -> Iterator[Session]:
    """Everything that the command works with; the kubeconfig is gone when it ends."""
    teller = RichTeller(console)
    stack = PulumiStack(Path.cwd(), arguments.stack, teller)
    settings = stack.cluster().boot_server
    location, token = settings.store_location, stack.token()
    server = Operator(arguments.url or location.get("http", settings.url), token)
    states = GoodStates(stack, open_store(location, token), teller)
    clustered = stack.cluster().assets.kubernetes is not None
    with kubectl_with(stack.kubeconfig()) if clustered else nullcontext() as kubernetes:
        outside = Outside(stack, server, kubernetes, teller, time)
        yield Session(arguments, console, teller, outside, stack, states)


class Session:
    """One run of the command."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        console: Console,
        teller: RichTeller,
        outside: Outside,
        stack: PulumiStack,
        states: GoodStates,
    ) -> None:
        self._arguments = arguments
        self._console = console
        self._teller = teller
        self._outside = outside
        self._stack = stack
        self._states = states
        self._manner = manner_of(arguments, stack.cluster().roll)

    def run(self) -> int:
        """From the plan to the end."""
        plan = self._plan()
        if plan.empty or self._arguments.dry_run:
            if not self._arguments.dry_run:
                self._states.keep(self._outside.fleet())
            return 0
        self._refuse_unpublished()
        if not self._confirmed():
            self._console.print("Nothing was done.")
            return 0
        self._states.keep(self._outside.fleet())
        return self._roll(plan)

    def _plan(self) -> Plan:
        fleet, nodes = self._outside.fleet(), self._outside.nodes()
        marked = [host for host, node in nodes.items() if node.marked]
        plan = plan_roll(
            fleet, wishes_of(self._arguments), at_once=self._manner.at_once, marked=marked
        )
        if refused := list(never(plan, fleet)):
            raise RollError("; ".join(refused))
        for note in plan.notes:
            self._console.print(note, markup=False)
        if plan.empty:
            self._console.print("Nothing to roll: no machine that you chose is outdated.")
        else:
            self._console.print(plan_table(plan))
        return plan

    def _refuse_unpublished(self) -> None:
        """A roll publishes raised generations, and nothing that nobody has looked at."""
        fleet = self._outside.fleet()
        begun = any(m.view is None or m.view.generation < m.node.generation for m in fleet)
        if not begun and (changes := self._stack.unpublished()):
            name = self._arguments.stack
            raise RollError(
                f"the stack has changes that are not published ({changes}): `make preview"
                f" STACK={name}` shows them; after `make up STACK={name}` the plan says whom they"
                " concern"
            )

    def _confirmed(self) -> bool:
        if self._arguments.yes:
            return True
        if not sys.stdin.isatty():
            raise RollError("there is nobody to ask; --yes begins without a question")
        return Confirm.ask("Begin?", console=self._console, default=False)

    def _roll(self, plan: Plan) -> int:
        try:
            with self._teller:
                Roll(self._outside, self._manner).run(plan)
        except KeyboardInterrupt:
            self._console.print("\nInterrupted; what was begun goes on by itself.")
            self._tell_state(plan)
            return _INTERRUPTED
        except KindlingError as error:
            self._console.print(f"\nStopped: {error}", markup=False, style="bold red")
            self._tell_state(plan)
            self._states.offer_way_back()
            return 1
        self._console.print(f"Done: {len(plan.everybody)} machines are ready.")
        self._states.keep(self._outside.fleet())
        return 0

    def _tell_state(self, plan: Plan) -> None:
        """How each machine stands, and how to go on."""
        done: set[str] = set()
        try:
            fleet = self._outside.fleet()
            targets = {step.host: step.target for batch in plan.batches for step in batch.steps}
            done = {host for host, target in targets.items() if fleet[host].installed == target}
            self._console.print(state_table(fleet, self._nodes(), plan.everybody))
        except KindlingError as error:
            self._console.print(f"How the machines stand is not known: {error}", markup=False)
        resume = to_resume(self._arguments, plan, done)
        self._console.print(f"To go on: {resume}", markup=False)

    def _nodes(self) -> dict[str, KubeNode]:
        try:
            return self._outside.nodes()
        except KindlingError:
            return {}
