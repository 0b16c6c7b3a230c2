"""When machines must not be taken out."""

from __future__ import annotations

import pytest

from kindling.errors import RollStopped
from kindling.rolling.guards import never, quorum
from tests.fakes.rolling import World, world


def stopped(made: World, **wishes: object) -> str:
    """The reason why the roll stopped before it did anything."""
    with pytest.raises(RollStopped) as caught:
        made.roll(**wishes)  # type: ignore[arg-type]
    assert caught.value.step == "checks before"
    return caught.value.reason


def done(made: World) -> list[str]:
    """What was done beside waiting."""
    return [what for what, _ in made.log if what != "sleep"]


@pytest.mark.parametrize(("members", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_a_majority_of_members_is_a_quorum(members: int, needed: int) -> None:
    """As etcd counts."""
    assert quorum(members) == needed


@pytest.mark.parametrize("broken", ["silent", "state", "node"])
def test_no_member_of_etcd_is_taken_out_while_another_one_is_not_healthy(broken: str) -> None:
    """Told by its silence, its stage, or by Kubernetes, whichever notices."""
    made = world(planes=3)
    sick = made.machines["cp3.example.com"]
    if broken == "silent":
        sick.silent = True
    elif broken == "state":
        sick.system = "joining"
        sick.ends = "joining"
    else:
        sick.unwell = True
    assert "etcd would lose its quorum" in stopped(made)
    assert "cp3.example.com" in stopped(made)
    assert done(made) == []


def test_a_member_that_is_out_already_may_be_installed_again_while_the_others_have_quorum() -> None:
    """That is how it is mended."""
    made = world(planes=3)
    made.machines["cp3.example.com"].system = "failing"
    made.roll(nodes=("cp3.example.com",))
    assert made.order("reboot") == ["cp3.example.com"]


def test_nobody_is_installed_again_when_etcd_has_no_quorum_already() -> None:
    """A second wiped member would make the loss final."""
    made = world(planes=3)
    for name in ("cp2", "cp3"):
        made.machines[f"{name}.example.com"].silent = True
    assert "etcd would lose its quorum" in stopped(made, nodes=("cp3.example.com",))
    assert done(made) == []


def test_with_five_members_one_may_be_out_while_another_one_is_taken() -> None:
    """Three of five are a quorum; but then the control planes' own limit of one holds."""
    made = world(etcds=5, planes=3)
    made.machines["etcd5.example.com"].silent = True
    reason = stopped(made, nodes=("etcd1.example.com",))
    assert "quorum" not in reason
    assert "at most 1 may be out" in reason


@pytest.mark.parametrize("planes", [1, 2])
def test_one_or_two_members_can_never_be_rolled_which_is_said_at_once(planes: int) -> None:
    """No patience helps."""
    made = world(planes=planes, workers=1)
    (said,) = never(made.plan(), made.outside().fleet())
    assert f"etcd has {planes} member" in said
    assert list(never(made.plan(pools=("edge",)), made.outside().fleet())) == []


def test_machines_are_not_rolled_from_one_cluster_into_a_new_one() -> None:
    """A raised incarnation means that all of them begin anew, together."""
    made = world(planes=3, workers=1)
    for machine in made.machines.values():
        machine.incarnation = 1
    assert list(never(made.plan(), made.outside().fleet())) == []
    made.data["kubernetes"]["incarnation"] = 2
    (said,) = never(made.plan(pools=("edge",)), made.outside().fleet())
    assert "w1.example.com" in said
    assert "cp1" not in said


def test_dedicated_etcd_nodes_are_the_members_and_control_planes_are_not() -> None:
    """Two control planes may then be rolled, one at a time."""
    made = world(etcds=3, planes=2)
    assert list(never(made.plan(), made.outside().fleet())) == []
    made.roll()
    assert len(made.order("reboot")) == 5


def test_the_only_load_balancer_is_never_taken_out() -> None:
    """The API would be gone."""
    made = world(planes=3, balancers=1)
    assert "only load balancer" in next(never(made.plan(), made.outside().fleet()))


def test_a_load_balancer_waits_until_another_one_works() -> None:
    """Both are there, one is silent."""
    made = world(planes=3, balancers=2)
    made.machines["lb1.example.com"].silent = True
    assert "no other load balancer is ready" in stopped(made, nodes=("lb2.example.com",))


def test_a_pool_with_a_machine_out_gives_no_further_one_away() -> None:
    """It counts against `maxUnavailable`, whose machine it is."""
    made = world(planes=3, workers=3)
    made.machines["w3.example.com"].silent = True
    assert "w3.example.com (outdated)" in stopped(made, nodes=("w1.example.com",))
    made.roll(nodes=("w1.example.com",), at_once=2)
    assert made.order("reboot") == ["w1.example.com"]


def test_a_broken_machine_of_a_pool_is_mended_although_another_one_is_broken_too() -> None:
    """Nothing that works is taken out; one after the other they come back."""
    made = world(planes=3, workers=3)
    for name in ("w2", "w3"):
        made.machines[f"{name}.example.com"].system = "failing"
    made.roll(nodes=("w2.example.com", "w3.example.com"))
    assert made.order("reboot") == ["w2.example.com", "w3.example.com"]


def test_kubernetes_goes_up_one_minor_release_at_a_time() -> None:
    """The message names the next one."""
    made = world(planes=3)
    made.data["assets"]["kubernetes"] = "1.35.0"
    made.data["assets"]["containerd"] = "2.2.5"
    assert "1.34 first" in stopped(made)
    assert done(made) == []


def test_a_kubelet_is_never_newer_than_a_control_plane() -> None:
    """Workers of a pool that was chosen wait for the control planes."""
    made = world(planes=3, workers=1)
    made.data["assets"]["kubernetes"] = "1.34.0"
    assert "roll the control planes first" in stopped(made, pools=("edge",))
    made.roll()
    assert made.order("reboot")[-1] == "w1.example.com"
