"""When a good state is kept, and when it is not; trouble with it never ends a roll."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindling.models.cluster import Cluster
from kindling.rolling.goodstate import GoodStates
from kindling.rolling.record import path_of
from kindling.rolling.stackfile import StackFile
from tests.fakes.rolling import World, world
from tests.fakes.stores import FailingStore
from tests.unit.rolling.test_way_back import Place


class FakeStack:
    """What `GoodStates` asks of Pulumi."""

    def __init__(self, file: StackFile) -> None:
        self.name = "test"
        self.file = file
        self.changes = ""
        self.previews = 0

    def cluster(self) -> Cluster:
        return self.file.cluster()

    def unpublished(self) -> str:
        self.previews += 1
        return self.changes


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A project that is no repository."""
    (tmp_path / "project").mkdir()
    return Place(tmp_path / "project")


@pytest.fixture
def made() -> World:
    """Everybody is as published."""
    found = world(planes=3, workers=1)
    for machine in found.machines.values():
        machine.stale = False
    return found


def keep(place: Place, made: World, **fields: object) -> FakeStack:
    """Keep the state of this fleet."""
    stack = FakeStack(place.file)
    for name, value in fields.items():
        setattr(stack, name, value)
    GoodStates(stack, place.store, made).keep(made.outside().fleet())
    return stack


def kept(place: Place) -> bool:
    """Whether anything was recorded."""
    return place.store.read(path_of("test")) is not None


def test_a_state_is_good_when_everybody_is_as_published_and_ready(
    place: Place, made: World
) -> None:
    """Then it is kept, and not asked about again while nothing changes."""
    assert keep(place, made).previews == 1
    assert kept(place)
    assert keep(place, made).previews == 0


@pytest.mark.parametrize("wrong", ["outdated", "silent", "raised"])
def test_a_state_with_somebody_who_is_not_well_is_not_kept(
    place: Place, made: World, wrong: str
) -> None:
    """It would not be one to go back to."""
    machine = made.machines["w1.example.com"]
    if wrong == "raised":
        made.raise_generations({machine.host: 2})
    else:
        setattr(machine, {"outdated": "stale"}.get(wrong, wrong), True)
    keep(place, made)
    assert not kept(place)


def test_a_state_that_is_written_and_not_published_is_not_kept(place: Place, made: World) -> None:
    """The versions in the file are not those that run."""
    keep(place, made, changes="3 to update")
    assert not kept(place)
    assert any("3 to update" in text for text in made.said)


def test_a_store_that_fails_is_said_and_ends_nothing(place: Place, made: World) -> None:
    """Neither when a state is kept nor when a way back is looked for."""
    states = GoodStates(FakeStack(place.file), FailingStore(), made)
    states.keep(made.outside().fleet())
    states.offer_way_back()
    assert len([text for text in made.said if "not" in text]) == 2
    assert not (place.folder / "rollback-test.patch").exists()


def test_the_way_back_is_written_beside_the_stack_file_and_nothing_else_changes(
    place: Place, made: World
) -> None:
    """What it does is said: where, for whom, and how it is applied."""
    keep(place, made)
    place.write(kubernetes="1.34.4")
    place.file.raise_generations({"n2.example.com": 2})
    before = place.stack.read_text()
    GoodStates(FakeStack(place.file), place.store, made).offer_way_back()
    assert "+      generation: 3" in (place.folder / "rollback-test.patch").read_text()
    assert place.stack.read_text() == before
    assert "rise for: n2.example.com" in made.said[-1]
    assert "git apply" in made.said[-1]


def test_without_any_earlier_state_that_is_said(place: Place, made: World) -> None:
    """And no patch is written."""
    GoodStates(FakeStack(place.file), place.store, made).offer_way_back()
    assert "No earlier versions are known" in made.said[-1]
