"""What is typed, what it means, and what is typed to go on."""

from __future__ import annotations

import argparse

import pytest

from kindling.models.cluster import Roll
from kindling.rolling.chosen import manner_of, to_resume, wishes_of
from kindling.rolling.options import add_arguments
from kindling.rolling.plan import Wishes
from tests.fakes.rolling import world


def typed(*words: str) -> argparse.Namespace:
    """The options as parsed."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_stacks_settings_hold_unless_an_option_says_otherwise() -> None:
    """Each by itself."""
    settings = Roll(max_unavailable=3, drain_timeout=120, ready_timeout=240)
    manner = manner_of(typed("prod"), settings)
    assert (manner.at_once, manner.drain_timeout, manner.ready_timeout) == (3, 120, 240)
    manner = manner_of(typed("prod", "--max-unavailable", "1", "--drain-timeout", "5m"), settings)
    assert (manner.at_once, manner.drain_timeout, manner.ready_timeout) == (1, 300, 240)


@pytest.mark.parametrize("wrong", [("--max-unavailable", "0"), ("--ready-timeout", "soon")])
def test_a_setting_without_sense_is_refused(wrong: tuple[str, str]) -> None:
    """As it is parsed."""
    with pytest.raises(argparse.ArgumentError):
        typed("prod", *wrong)


def test_pools_and_nodes_may_be_repeated() -> None:
    """All of them count."""
    words = ("prod", "--pool", "a", "--pool", "b", "--node", "n")
    assert wishes_of(typed(*words)) == Wishes(False, ("a", "b"), ("n",))


def test_a_roll_of_outdated_machines_goes_on_by_the_same_command() -> None:
    """Who is through is not outdated any more. Settings are kept, the answer `--yes` is not."""
    plan = world(planes=3, workers=2).plan(pools=("edge",))
    said = typed(
        "prod", "--pool", "edge", "--max-unavailable", "2", "--ready-timeout", "1h", "--yes"
    )
    assert to_resume(said, plan, set()) == (
        "python -m kindling roll prod --pool edge --max-unavailable 2 --ready-timeout 3600s"
    )


@pytest.mark.parametrize(
    "words", [("--all",), ("--node", "cp1.example.com", "--node", "w1.example.com")]
)
def test_a_roll_of_chosen_machines_goes_on_with_those_that_are_left(words: tuple[str, ...]) -> None:
    """The same command would begin with the first again."""
    made = world(planes=3, workers=1)
    plan = made.plan(nodes=("cp1.example.com", "w1.example.com"))
    resumed = to_resume(typed("prod", *words), plan, {"cp1.example.com"})
    assert resumed == "python -m kindling roll prod --node w1.example.com"
