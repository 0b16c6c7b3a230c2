"""``python -m kindling simulate``: simulated machines against a real boot server."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from rich.console import Console as Terminal
from rich.progress import Progress

from kindling.errors import SimulationError
from kindling.simulator.console import discard
from kindling.simulator.faults import parse_faults
from kindling.simulator.fleet import Watcher, segment_of, simulate
from kindling.simulator.inventory import MachineSpec, load_machines, parse_machine
from kindling.simulator.outcome import Outcome, State


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` reads."""
    default = os.environ.get("KINDLING_URL", "http://127.0.0.1:8080")
    parser.add_argument("--url", default=default, help="boot server (default: %(default)s)")
    parser.add_argument("--disks", type=Path, required=True, help="directory of the disks")
    parser.add_argument(
        "--machine",
        action="append",
        default=[],
        metavar="MAC=ARCH",
        help="one machine; MAC+MAC=ARCH/pcbios for a bond or BIOS firmware",
    )
    parser.add_argument("--machines", type=Path, metavar="FILE", help="YAML or JSON list of them")
    parser.add_argument("--parallel", type=int, default=64, help="machines at once")
    parser.add_argument("--boots", type=int, default=1, help="how often each is powered on")
    parser.add_argument("--ca-file", type=Path, help="authority to trust for https")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a mishap for every machine, such as lose-reports=3",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write outcomes as JSON")
    parser.add_argument("--quiet", action="store_true", help="no console lines, only outcomes")


def run(args: argparse.Namespace) -> int:
    """Simulate; 0 when every machine ended as a booted node, else 1."""
    machines = _machines(args)
    terminal = Terminal(highlight=False, markup=False, soft_wrap=True)
    with Progress(console=terminal, disable=not (terminal.is_terminal and args.quiet)) as progress:
        task = progress.add_task("simulated machines", total=len(machines))
        outcomes = simulate(
            args.url,
            machines,
            disks_dir=args.disks,
            parallel=args.parallel,
            boots=args.boots,
            watcher=Watcher(
                discard if args.quiet else terminal.print,
                lambda _outcome: progress.advance(task),
            ),
            segment=segment_of(args.ca_file),
            faults=parse_faults(args.fault),
        )
    for outcome in outcomes:
        terminal.print(_line(outcome))
    if args.report is not None:
        text = json.dumps([outcome.as_json() for outcome in outcomes], indent=1)
        args.report.write_text(text + "\n", encoding="utf-8")
    return int(any(outcome.state is not State.BOOTED for outcome in outcomes))


def _machines(args: argparse.Namespace) -> list[MachineSpec]:
    machines = [parse_machine(text) for text in args.machine]
    if args.machines is not None:
        machines.extend(load_machines(args.machines))
    if not machines:
        raise SimulationError("no machine to simulate: give --machine MAC=ARCH or --machines FILE")
    return machines


def _line(outcome: Outcome) -> str:
    generation = f"generation {outcome.generation}" if outcome.generation else "no generation"
    told = (
        f"[simulated] {outcome.host} ({outcome.mac}, {outcome.arch}): {outcome.state},"
        f" {generation}, {outcome.boots} boots, disk written {outcome.disk_writes} times"
    )
    if outcome.stage:
        told += f", {outcome.stage} in the simulated cluster"
    return f"{told}: {outcome.reason}" if outcome.reason else told
