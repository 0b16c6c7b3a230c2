"""What the operator sees: the plan, what happens, and how things stand when it stops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from kindling.rolling.interfaces import KubeNode
from kindling.rolling.machines import Fleet
from kindling.rolling.plan import Batch, Plan

_LOG_WIDTH = 140  # characters


def console_for(stream: TextIO) -> Console:
    """As wide as the terminal; in a log as wide as the tables need."""
    wide = None if stream.isatty() else _LOG_WIDTH
    return Console(file=stream, highlight=False, soft_wrap=True, width=wide)


class RichTeller:
    """`Teller`: lines that stay and, on a terminal, where each machine is right now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, str] = {}

    def __enter__(self) -> RichTeller:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """See `Teller`. What was said of machines before is over."""
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()
        self._told.clear()
        self._print(Text(text))

    def output(self, line: str) -> None:
        """See `Teller`."""
        if line.strip():
            self._print(Text(f"    {line}", style="dim"))

    def machine(self, host: str, text: str) -> None:
        """See `Teller`."""
        if self._told.get(host) == text:
            return
        self._told[host] = text
        line = f"  {host}: {text}"
        self._print(Text(line))
        if host in self._tasks:
            self._progress.update(self._tasks[host], description=line)
        else:
            self._tasks[host] = self._progress.add_task(line, total=None)

    def _print(self, text: Text) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def plan_table(plan: Plan) -> Table:
    """Every batch with its machines."""
    table = _table("batch", "what", "machine", "arch", "state", "generation", "why")
    for batch in plan.left:
        _add(table, "-", batch, "installed, but not taken in again")
    for number, batch in enumerate(plan.batches, 1):
        _add(table, str(number), batch)
    return table


def state_table(fleet: Fleet, nodes: Mapping[str, KubeNode], hosts: Iterable[str]) -> Table:
    """How each machine stands: for the boot server and for Kubernetes."""
    table = _table("machine", "state", "generation", "installed", "Kubernetes")
    wanted = set(hosts)
    for each in fleet:
        if each.host in wanted:
            table.add_row(
                each.host,
                each.state,
                str(each.node.generation),
                str(each.installed or "-"),
                _said_of(nodes.get(each.host)) if each.in_kubernetes else "-",
            )
    return table


def _add(table: Table, number: str, batch: Batch, why: str = "") -> None:
    for step in batch.steps:
        machine = step.machine
        table.add_row(
            number,
            batch.title,
            step.host,
            str(machine.node.arch),
            machine.state,
            f"{machine.installed or '-'} -> {step.target}",
            why or step.why,
        )


def _said_of(node: KubeNode | None) -> str:
    if node is None:
        return "unknown"
    ready = "Ready" if node.ready else "not Ready"
    return f"{ready}, cordoned" if node.cordoned else ready


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "machine")
    return table
