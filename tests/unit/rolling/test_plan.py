"""Who is rolled, in which order, and how many at once."""

from __future__ import annotations

from typing import Any

import pytest

from kindling.errors import RollError
from tests.fakes.rolling import World, world


def order(made: World, **wishes: object) -> list[list[str]]:
    """Short names, batch by batch."""
    plan = made.plan(**wishes)  # type: ignore[arg-type]
    return [[host.partition(".")[0] for host in batch.hosts] for batch in plan.batches]


def named(made: World, *names: str):
    """Machines by their short names."""
    return [made.machines[f"{name}.example.com"] for name in names]


def test_etcd_comes_first_then_control_planes_then_pools_then_load_balancers() -> None:
    """One at a time each, unless more of a pool may be out."""
    made = world(etcds=3, planes=3, workers=2, balancers=2)
    expected = ["etcd1", "etcd2", "etcd3", "cp1", "cp2", "cp3", "w1", "w2", "lb1", "lb2"]
    assert order(made) == [[name] for name in expected]


def test_only_machines_of_a_pool_are_taken_out_together_and_not_more_than_allowed() -> None:
    """Never two control planes, whatever the setting."""
    made = world(planes=3, workers=5, balancers=2)
    assert order(made, at_once=2) == [
        *(["cp1"], ["cp2"], ["cp3"]),
        *(["w1", "w2"], ["w3", "w4"], ["w5"]),
        *(["lb1"], ["lb2"]),
    ]


def test_pools_come_one_after_the_other_by_name_and_workers_without_a_pool_last() -> None:
    """A batch never reaches over the end of its pool."""
    made = world(planes=3, workers=4)
    workers = [node for node in made.data["nodes"] if node["role"] == "worker"]
    for node, pool in zip(workers, (None, "zebra", "ant", "zebra"), strict=True):
        node.pop("pool")
        if pool:
            node["pool"] = pool
    assert order(made, at_once=3)[3:] == [["w3"], ["w2", "w4"], ["w1"]]


def test_without_a_wish_only_outdated_machines_are_rolled() -> None:
    """Also one that is outdated and failed to get into the cluster, whose state says the latter."""
    made = world(planes=3, workers=3)
    for machine in made.machines.values():
        machine.stale = machine.host.startswith(("w2", "w3"))
    named(made, "w3")[0].system = "failing"
    assert order(made) == [["w2"], ["w3"]]


def test_a_pool_restricts_all_widens_and_a_node_is_rolled_although_it_is_not_outdated() -> None:
    """`--pool` alone never rolls what is as published."""
    made = world(planes=3, workers=3)
    for machine in made.machines.values():
        machine.stale = machine.host.startswith(("cp1", "w2"))
    assert order(made, pools=("edge",)) == [["w2"]]
    assert order(made, pools=("edge",), all=True) == [["w1"], ["w2"], ["w3"]]
    assert order(made, all=True) == [["cp1"], ["cp2"], ["cp3"], ["w1"], ["w2"], ["w3"]]
    assert order(made, nodes=("w3.example.com",)) == [["w3"]]


def test_what_an_earlier_roll_began_comes_before_everything_else_and_keeps_its_generation() -> None:
    """A worker whose generation is raised already, before control planes that are outdated."""
    made = world(planes=3, workers=3)
    made.raise_generations({"w3.example.com": 5})
    plan = made.plan()
    first = plan.batches[0].steps[0]
    assert (first.host, first.target) == ("w3.example.com", 5)
    assert "begun" in first.why
    assert plan.batches[1].hosts == ("cp1.example.com",)


def test_a_generation_rises_above_the_installed_one_also_when_the_stack_file_is_behind_it() -> None:
    """A disk from an earlier life of the stack may have a newer marker."""
    made = world(planes=3, workers=1)
    named(made, "w1")[0].installed = 7
    (batch,) = made.plan(nodes=("w1.example.com",)).batches
    assert batch.steps[0].target == 8


def test_a_machine_that_was_never_installed_is_not_rolled_and_said() -> None:
    """To name it is a mistake."""
    made = world(planes=3, workers=2)
    named(made, "w1")[0].installed = None
    plan = made.plan(pools=("edge",))
    assert plan.hosts == ("w2.example.com",)
    assert any("w1.example.com" in note for note in plan.notes)
    with pytest.raises(RollError, match="never installed"):
        made.plan(nodes=("w1.example.com",))


def test_a_node_that_an_earlier_roll_left_cordoned_is_finished_first() -> None:
    """It is installed, so only what is missing is done."""
    made = world(planes=3, workers=2)
    machine = named(made, "w2")[0]
    machine.cordoned, machine.marked, machine.stale = True, True, False
    plan = made.plan()
    assert [batch.hosts for batch in plan.left] == [("w2.example.com",)]
    assert "w2.example.com" not in plan.hosts


@pytest.mark.parametrize("wishes", [{"pools": ("edges",)}, {"nodes": ("w9",)}])
def test_an_unknown_name_is_refused_with_the_known_ones(wishes: Any) -> None:
    """Before anything is asked or done."""
    with pytest.raises(RollError, match=r"there is no such.*(edge|w1\.example\.com)"):
        world(planes=3, workers=1).plan(**wishes)


def test_a_stack_file_behind_what_is_published_is_refused() -> None:
    """Somebody else rolled meanwhile: publishing this file would take it back."""
    made = world(planes=3)
    made.machines["cp2.example.com"].published = 3
    with pytest.raises(RollError, match=r"behind.*cp2\.example\.com \(1, published: 3\)"):
        made.plan()
