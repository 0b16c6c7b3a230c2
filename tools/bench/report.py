"""The figures as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from tools.bench.measuring import Figure

_PLAIN_WIDTH = 200  # columns; files and pipes have no width of their own
_MET = {True: "met", False: "missed", None: ""}


def console(*, stderr: bool = False) -> Console:
    """Coloured on a terminal; elsewhere plain lines that are not broken."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = _PLAIN_WIDTH
    return made


def table(figures: Sequence[Figure], *, plain: bool) -> Table:
    """One line per figure; plain tables are Markdown, to be pasted into a page."""
    made = Table(box=box.MARKDOWN if plain else box.SIMPLE_HEAD)
    made.add_column("figure")
    for heading in ("Kindling", "baseline", "ratio", "aim", ""):
        made.add_column(heading, justify="right")
    for figure in figures:
        colour = {True: "green", False: "red", None: ""}[figure.met]
        verdict = f"[{colour}]{_MET[figure.met]}[/]" if colour else ""
        made.add_row(
            f"{figure.benchmark}: {figure.name}",
            amount(figure.ours, figure.unit),
            "" if figure.baseline is None else amount(figure.baseline, figure.unit),
            _ratio(figure),
            str(figure.aim or ""),
            verdict,
        )
    return made


def notes(figures: Sequence[Figure]) -> list[str]:
    """What has to be known to read the figures, each sentence once."""
    return list(dict.fromkeys(figure.note for figure in figures if figure.note))


def amount(value: float, unit: str) -> str:
    """A number as people read it, with its unit."""
    digits = 0 if value >= 1000 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def as_json(figures: Sequence[Figure], machine: Mapping[str, object]) -> dict[str, object]:
    """The same as data; ``met`` is null for figures without an aim."""
    listed = [
        asdict(figure) | {"aim": str(figure.aim) if figure.aim else None, "met": figure.met}
        for figure in figures
    ]
    return {"machine": dict(machine), "figures": listed}


def _ratio(figure: Figure) -> str:
    if figure.ratio is None or figure.spread is None:
        return ""
    low, high = figure.spread
    return f"{figure.ratio:.2f} ({low:.2f}-{high:.2f})"
