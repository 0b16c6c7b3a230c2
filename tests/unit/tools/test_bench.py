"""The benchmark: how it compares and reports, and that each part of it works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.selection import select_assets
from kindling.models.loading import load_cluster
from tools.bench import __main__ as bench
from tools.bench import problems, report
from tools.bench.fleet import make_cluster
from tools.bench.measuring import Aim, Figure, compared, in_turns
from tools.bench.problems import NotMeasured


def figure(**changes: object) -> Figure:
    """A figure that meets its aim."""
    values = {"benchmark": "engine", "name": "preview", "unit": "s", "ours": 3.0} | changes
    return Figure(**values)  # type: ignore[arg-type]


def test_both_sides_are_measured_in_turns() -> None:
    """What the machine does meanwhile must hit both alike."""
    order: list[str] = []

    def measure(side: str) -> float:
        order.append(side)
        return float(len(order))

    taken = in_turns({"a": lambda: measure("a"), "b": lambda: measure("b")}, 3)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert taken == {"a": (1.0, 3.0, 5.0), "b": (2.0, 4.0, 6.0)}


def test_the_ratio_is_the_median_of_the_turns_and_not_of_the_sums() -> None:
    """One turn in which the machine was busy does not decide."""
    made = compared("engine", "up", "s", (2.0, 40.0, 3.0), (1.0, 10.0, 1.0))
    assert (made.ours, made.baseline) == (3.0, 1.0)
    assert made.ratio == 3.0
    assert made.spread == (2.0, 4.0)


@pytest.mark.parametrize(
    ("aim", "ratio", "met"),
    [
        (Aim("at most", 1.5), 1.5, True),
        (Aim("at most", 1.5), 1.51, False),
        (Aim("at least", 0.45), 0.45, True),
        (Aim("at least", 0.45), 0.44, False),
        (None, 9.0, None),
    ],
)
def test_an_aim_is_a_bound_from_above_or_below(
    aim: Aim | None, ratio: float, met: bool | None
) -> None:
    """The bound itself is good enough; without an aim there is no verdict."""
    assert figure(ratio=ratio, spread=(ratio, ratio), aim=aim).met is met


def test_without_a_baseline_the_aim_speaks_of_the_figure_itself() -> None:
    """Memory has no ratio."""
    assert figure(ours=63.0, aim=Aim("at most", 64)).met is True
    assert figure(ours=65.0, aim=Aim("at most", 64)).met is False


def test_the_report_says_aim_and_verdict_beside_each_figure() -> None:
    """Outside a terminal it is a Markdown table."""
    out = report.console()
    missed = figure(ratio=2.0, baseline=1.5, spread=(1.9, 2.1), aim=Aim("at most", 1.5))
    with out.capture() as captured:
        out.print(report.table([missed, figure(name="up")], plain=True))
    lines = [line for line in captured.get().splitlines() if line.strip()]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2] == [
        "engine: preview",
        "3.00 s",
        "1.50 s",
        "2.00 (1.90-2.10)",
        "at most 1.5",
        "missed",
    ]
    assert cells[3] == ["engine: up", "3.00 s", "", "", "", ""]


def test_numbers_are_short() -> None:
    """Three digits say all that a noisy machine can."""
    shown = [report.amount(value, "x") for value in (0.1234, 12.34, 1234.5)]
    assert shown == ["0.12 x", "12.3 x", "1,234 x"]


def test_what_is_missing_is_said_in_one_sentence_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All missing programs at once: system packages by apt, tools of the checkout by make."""
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(NotMeasured) as caught:
        problems.require("nginx", "wrk", "butane")
    assert str(caught.value) == (
        "nginx, wrk, butane not found; `apt-get install nginx-light wrk` and `make setup` makes "
        "it available"
    )


def test_the_fleet_is_a_valid_cluster_of_both_architectures() -> None:
    """Another revision changes every node and nothing else."""
    one, two = (load_cluster(make_cluster(12, "http://10.0.0.1:8080", each)) for each in (1, 2))
    assert [str(each) for each in one.architectures] == ["x86-64", "arm64"]
    assert {str(node.role) for node in one.nodes} == {"control-plane", "load-balancer", "worker"}
    assert all(old != new for old, new in zip(one.nodes, two.nodes, strict=True))
    assert select_assets(one, load_catalog()) == select_assets(two, load_catalog())


def test_an_unknown_benchmark_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A slip of the finger must not measure everything."""
    with pytest.raises(SystemExit):
        bench.main(["servign"])
    assert "serving" in capsys.readouterr().err


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "needs", "figures"),
    [
        ("rendering", ("butane", "xargs"), 2),
        ("transfer", ("nginx", "curl", "openssl"), 6),
        ("serving", ("wrk", "nginx", "curl"), 3),
        pytest.param("engine", ("pulumi", "butane"), 5, marks=pytest.mark.stack),
    ],
)
def test_each_part_measures_and_leaves_nothing_behind(
    name: str,
    needs: tuple[str, ...],
    figures: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run prints figures and ends well; without a program that it needs, it names that one."""
    monkeypatch.setattr(bench, "WORKSPACES", tmp_path / "workspaces")
    assert bench.main([name, "--quick", "--json", str(tmp_path / "figures.json")]) == 0
    told = json.loads((tmp_path / "figures.json").read_text())
    missing = [each for each in needs if shutil.which(each, path=problems.search_path()) is None]
    shown = capsys.readouterr().out
    if missing:
        assert f"{', '.join(missing)} not found" in shown
    else:
        assert len(told["figures"]) == figures, shown
        assert all(each["ours"] > 0 for each in told["figures"])
    assert "load average" in shown
    assert list((tmp_path / "workspaces").iterdir()) == []
