"""How things are measured: in turns within one run, judged by medians, with the load told."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Measure = Callable[[], float]


@dataclass(frozen=True)
class Aim:
    """What a figure should be; it is printed beside the figure and never fails a run."""

    bound: Literal["at most", "at least"]
    value: float

    def met_by(self, value: float) -> bool:
        """Whether a figure is as good as this or better."""
        return value <= self.value if self.bound == "at most" else value >= self.value

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"


@dataclass(frozen=True)
class Figure:
    """One line of the report: medians of both sides in ``unit``, and what the aim speaks of.

    ``ratio`` is the median of the ratios of each turn, ``spread`` the smallest and the largest of
    them. Without a baseline the aim speaks of ``ours``.
    """

    benchmark: str
    name: str
    unit: str
    ours: float
    baseline: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    aim: Aim | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.aim is None:
            return None
        return self.aim.met_by(self.ours if self.ratio is None else self.ratio)


def in_turns(measures: Mapping[str, Measure], turns: int) -> dict[str, tuple[float, ...]]:
    """Take every measure once per turn, in the same order: A B A B.

    Machines warm up, throttle and have other work to do; what is measured side by side suffers
    alike, so ratios within a turn say more than either figure.
    """
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(turns):
        for name, measure in measures.items():
            taken[name].append(measure())
    return {name: tuple(values) for name, values in taken.items()}


def compared(
    benchmark: str,
    name: str,
    unit: str,
    ours: tuple[float, ...],
    baseline: tuple[float, ...],
    aim: Aim | None = None,
    note: str = "",
) -> Figure:
    """Make a figure from what `in_turns` took of both sides."""
    ratios = sorted(mine / other for mine, other in zip(ours, baseline, strict=True))
    return Figure(
        benchmark,
        name,
        unit,
        ours=statistics.median(ours),
        baseline=statistics.median(baseline),
        ratio=statistics.median(ratios),
        spread=(ratios[0], ratios[-1]),
        aim=aim,
        note=note,
    )


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Machine:
    """What else the machine had to do: cores that this process may use, load of 1 and 5 minutes."""

    cores: int
    load: tuple[float, float]

    @classmethod
    def now(cls) -> Machine:
        """Read it from the kernel."""
        return cls(len(os.sched_getaffinity(0)), os.getloadavg()[:2])

    def __str__(self) -> str:
        return f"load average {self.load[0]:.2f} (1 min), {self.load[1]:.2f} (5 min)"
