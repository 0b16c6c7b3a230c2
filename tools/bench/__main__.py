"""Measure Kindling beside programs that are known to be fast, all in one run.

python -m tools.bench [--quick] [--json FILE] [engine] [rendering] [transfer] [serving]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kindling.errors import KindlingError
from tools.bench import engine, rendering, report, serving, transfer
from tools.bench.measuring import Figure, Machine
from tools.bench.sizes import Sizes
from tools.catalog import ROOT

Benchmark = Callable[[Sizes, Path], list[Figure]]

WORKSPACES = ROOT / ".bench"  # on the checkout's disk: /tmp may be memory

BENCHMARKS: dict[str, Benchmark] = {
    "engine": engine.measure,
    "rendering": rendering.measure,
    "transfer": transfer.measure,
    "serving": serving.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0: figures are for people to judge."""
    chosen = _parser().parse_args(arguments)
    sizes = Sizes.quick() if chosen.quick else Sizes()
    before = Machine.now()
    figures, problems = _measure(chosen.names or list(BENCHMARKS), sizes)
    machine = {"cores": before.cores, "before": before.load, "after": Machine.now().load}
    _show(figures, problems, before, quick=chosen.quick)
    if chosen.json:
        chosen.json.write_text(json.dumps(report.as_json(figures, machine), indent=2) + "\n")
    return 0


def _measure(names: Sequence[str], sizes: Sizes) -> tuple[list[Figure], list[str]]:
    """Figures of the named benchmarks, and a sentence for each that could not be run."""
    progress = report.console(stderr=True)
    figures: list[Figure] = []
    problems: list[str] = []
    for name in names:
        progress.print(f"measuring {name} ...")
        with workspace(name) as folder:
            try:
                figures += BENCHMARKS[name](sizes, folder)
            except KindlingError as error:
                problems.append(f"{name} was not measured: {error}")
    return figures, problems


@contextmanager
def workspace(name: str) -> Iterator[Path]:
    """A folder of its own, gone afterwards."""
    WORKSPACES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=WORKSPACES) as folder:
        yield Path(folder)


def _show(
    figures: Sequence[Figure], problems: Sequence[str], before: Machine, *, quick: bool
) -> None:
    out = report.console()
    out.print(report.table(figures, plain=not out.is_terminal))
    for line in (*report.notes(figures), *problems):
        out.print(f"- {line}", markup=False)
    if quick:
        out.print("- --quick: the sizes are too small for the figures to mean anything")
    out.print(f"- {before.cores} cores; before: {before}; after: {Machine.now()}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench", description=(__doc__ or "").splitlines()[0]
    )
    names = ", ".join(BENCHMARKS)
    parser.add_argument(
        "names",
        nargs="*",
        # argparse compares the empty default with the choices, too
        choices=[*BENCHMARKS, []],
        metavar="NAME",
        help=f"all when absent: {names}",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
