"""The roll itself: what is done in which order, when it stops, and how it goes on."""

from __future__ import annotations

import pytest

from kindling.errors import RollStopped
from tests.fakes.rolling import World, world

W1, W2, W3 = (f"w{number}.example.com" for number in (1, 2, 3))


@pytest.fixture
def made() -> World:
    """Three control planes that are as published, three workers that are outdated."""
    found = world(planes=3, workers=3)
    for machine in found.machines.values():
        machine.stale = machine.role == "worker"
    return found


def stop(made: World, **options: object) -> RollStopped:
    """The roll, which is to stop."""
    with pytest.raises(RollStopped) as caught:
        made.roll(**options)  # type: ignore[arg-type]
    return caught.value


def deeds(made: World) -> list[tuple[str, str]]:
    """What was done beside waiting."""
    return [deed for deed in made.log if deed[0] != "sleep"]


def test_each_machine_is_raised_published_drained_restarted_and_taken_in_before_the_next(
    made: World,
) -> None:
    """And once each."""
    made.roll()
    assert deeds(made) == [
        deed
        for host in (W1, W2, W3)
        for deed in (
            ("raise", f"{host}=2"),
            ("up", ""),
            ("cordon", host),
            ("drain", host),
            ("reboot", host),
            ("uncordon", host),
        )
    ]
    assert made.most_out == 1
    assert made.plan().empty


def test_as_many_machines_as_allowed_are_out_at_once_with_one_publication(made: World) -> None:
    """All are cordoned before the first one's pods leave."""
    made.roll(at_once=2)
    assert deeds(made)[:8] == [
        ("raise", f"{W1}=2"),
        ("raise", f"{W2}=2"),
        ("up", ""),
        ("cordon", W1),
        ("cordon", W2),
        ("drain", W1),
        ("reboot", W1),
        ("drain", W2),
    ]
    assert made.most_out == 2


def test_nothing_is_touched_when_the_api_or_dns_does_not_answer(made: World) -> None:
    """The reasons are told together."""
    made.api, made.dns = "[-]etcd failed", "no answer for kubernetes.default"
    found = stop(made)
    assert found.step == "checks before"
    assert "[-]etcd failed" in found.reason
    assert "no answer" in found.reason
    assert deeds(made) == []


def test_a_passing_trouble_before_a_batch_is_waited_for(made: World) -> None:
    """Within its patience."""
    made.dns = "no answer"
    made.at["sleep", ""] = lambda: setattr(made, "dns", "")
    made.roll()
    assert made.order("reboot") == [W1, W2, W3]


def test_a_failed_publication_stops_before_any_pod_has_to_leave(made: World) -> None:
    """Going on publishes the generation that is written already, and raises none again."""
    made.up_fails = True
    found = stop(made)
    assert (found.step, found.hosts) == ("publishing", (W1,))
    assert deeds(made) == [("raise", f"{W1}=2"), ("up", "")]
    made.up_fails = False
    made.log.clear()
    made.roll()
    assert deeds(made)[:2] == [("up", ""), ("cordon", W1)]
    assert made.machines[W1].installed == 2


def test_what_the_boot_server_does_not_show_is_not_restarted(made: World) -> None:
    """A server over another directory, for example."""
    made.shows = False
    found = stop(made)
    assert found.step == "publishing"
    assert f"generation 2 of {W1} is not published" in found.reason
    assert made.order("cordon") == []


def test_a_drain_that_fails_stops_and_takes_the_arming_back(made: World) -> None:
    """So a chance restart does not install the machine under its pods; going on arms it again."""
    made.drain_fails = W2
    found = stop(made)
    assert (found.step, found.hosts) == ("drain", (W2,))
    assert "a budget allows none" in found.reason
    assert made.order("disarm") == [W2]
    assert made.order("reboot") == [W1]
    made.drain_fails = ""
    made.log.clear()
    made.roll()
    assert deeds(made)[:4] == [("cordon", W2), ("drain", W2), ("arm", W2), ("reboot", W2)]
    assert made.order("reboot") == [W2, W3]


def test_a_machine_that_fails_to_install_stops_the_roll_at_once(made: World) -> None:
    """The others are not touched; it comes first when the roll goes on, and is armed anew."""
    made.machines[W1].ends = "failed"
    found = stop(made)
    assert (found.step, found.hosts) == ("installation", (W1,))
    assert "the disk is too small" in found.reason
    assert made.order("reboot") == [W1]
    made.machines[W1].ends = "ready"
    made.log.clear()
    made.roll()
    assert ("arm", W1) in made.log
    assert made.order("raise") == [f"{W2}=2", f"{W3}=2"]
    assert [made.machines[host].installed for host in (W1, W2, W3)] == [2, 2, 2]


def test_a_machine_that_does_not_come_back_in_time_stops_the_roll(made: World) -> None:
    """The reason says how far it came."""
    made.machines[W1].ends = "joining"
    found = stop(made)
    assert (found.step, found.hosts) == ("waiting", (W1,))
    assert "joining" in found.reason


def test_a_machine_that_hears_nothing_is_waited_for_until_its_time_is_over(made: World) -> None:
    """Somebody may restart it by hand meanwhile."""
    made.machines[W1].hears = False
    assert "asked to restart" in stop(made).reason


def test_failing_to_join_is_given_time_because_units_try_again(made: World) -> None:
    """For good it stops the roll, long before the time to be ready is over."""
    made.machines[W1].ends = "failing"
    found = stop(made, ready_timeout=1800)
    assert found.step == "installation"
    assert "the endpoint does not answer" in found.reason
    assert made.now < 400


def test_where_machines_wait_for_an_operators_arm_the_roll_arms_them(made: World) -> None:
    """`autoArm: false`: whoever rolls is the operator. Only when the pods have left."""
    made.auto_arm = False
    made.roll()
    first = deeds(made)[:6]
    assert first[3:] == [("drain", W1), ("arm", W1), ("reboot", W1)]
    assert made.order("arm") == [W1, W2, W3]


def test_a_held_machine_is_not_released_by_a_roll(made: World) -> None:
    """Only a person knows whether its secrets are still secret."""
    made.at["up", ""] = lambda: setattr(made.machines[W1], "held", "a second address asked")
    found = stop(made)
    assert found.step == "restart"
    assert "python -m kindling arm" in found.reason
    assert made.order("arm") == []


def test_a_boot_server_that_restarts_while_machines_install_ends_nothing(made: World) -> None:
    """It is asked again."""

    def gone() -> None:
        made.server_answers = False
        made.at["sleep", ""] = lambda: setattr(made, "server_answers", True)

    made.at["reboot", W1] = lambda: made.at.update({("sleep", ""): gone})
    made.roll()
    assert made.order("reboot") == [W1, W2, W3]


def test_a_cluster_that_is_not_well_afterwards_stops_before_the_next_batch(made: World) -> None:
    """DNS, for example, that lost its last pod."""
    made.at["uncordon", W1] = lambda: setattr(made, "dns", "no answer")
    found = stop(made)
    assert (found.step, found.hosts) == ("checks after", (W1,))
    assert made.order("reboot") == [W1]


def test_one_control_planes_own_api_server_that_is_down_stops_the_roll(made: World) -> None:
    """Behind the endpoint the others answer, so nobody else would notice."""
    made.at["uncordon", W1] = lambda: setattr(made, "api_server_down", "cp2.example.com")
    found = stop(made)
    assert found.step == "checks after"
    assert "API servers: not ready on cp2.example.com" in found.reason


def test_a_node_that_was_ready_before_and_is_not_any_more_stops_the_roll(made: World) -> None:
    """Of whatever kind: something that the roll did may be the cause."""
    made.at["uncordon", W1] = lambda: setattr(made.machines["cp2.example.com"], "unwell", True)
    found = stop(made)
    assert found.step == "checks after"
    assert "not Ready: cp2.example.com" in found.reason


def test_a_machine_that_this_roll_mended_must_stay_ready(made: World) -> None:
    """That it was broken before excuses it only until its own installation."""
    made.machines[W1].system = "failing"
    made.at["uncordon", W2] = lambda: setattr(made.machines[W1], "unwell", True)
    found = stop(made)
    assert (found.step, found.hosts) == ("checks after", (W2,))
    assert f"not Ready: {W1}" in found.reason


def test_a_node_that_was_not_ready_before_is_no_reason_to_stop(made: World) -> None:
    """Of another pool; it is named."""
    other = made.machines["cp3.example.com"]
    other.unwell = True
    made.roll()
    assert any("cp3.example.com" in text and "before" in text for text in made.said)
    assert made.order("reboot") == [W1, W2, W3]


def test_a_cordon_of_a_person_stays(made: World) -> None:
    """It was cordoned for a reason that a roll does not know."""
    made.machines[W2].cordoned = True
    made.roll()
    assert made.order("cordon") == [W1, W3]
    assert made.order("uncordon") == [W1, W3]
    assert made.machines[W2].installed == 2


def test_pods_of_a_node_that_is_not_ready_are_not_waited_for(made: World) -> None:
    """Nobody there would end them."""
    machine = made.machines[W1]
    machine.system = "failing"
    made.roll(nodes=(W1,))
    assert made.order("drain") == []
    assert made.order("reboot") == [W1]


def test_a_node_cordoned_by_a_roll_that_was_interrupted_is_taken_in_by_the_next(
    made: World,
) -> None:
    """It was ready just then; nothing is installed again."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    made.at["uncordon", W1] = interrupt
    with pytest.raises(KeyboardInterrupt):
        made.roll()
    assert made.machines[W1].cordoned
    made.log.clear()
    made.roll()
    assert deeds(made)[0] == ("uncordon", W1)
    assert made.order("reboot") == [W2, W3]


@pytest.mark.parametrize(
    "moment",
    [
        ("raise", f"{W2}=2"),
        ("up", ""),
        ("cordon", W2),
        ("drain", W2),
        ("reboot", W2),
        ("sleep", ""),
        ("uncordon", W2),
    ],
)
def test_an_interrupt_at_any_moment_leaves_a_roll_that_can_be_continued(
    made: World, moment: tuple[str, str]
) -> None:
    """In the end everybody was installed once, and nobody is cordoned."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def begin() -> None:
        made.at[moment] = interrupt

    made.at["uncordon", W1] = begin
    with pytest.raises(KeyboardInterrupt):
        made.roll()
    made.roll()
    assert [made.machines[host].installed for host in (W1, W2, W3)] == [2, 2, 2]
    assert [n.get("generation") for n in made.data["nodes"][3:]] == [2, 2, 2]
    assert not any(each.cordoned or each.marked for each in made.machines.values())
    assert made.most_out == 1


def test_an_interrupt_while_pods_leave_takes_the_arming_back(made: World) -> None:
    """Whoever interrupts it may be gone for the day."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    made.at["drain", W1] = interrupt
    with pytest.raises(KeyboardInterrupt):
        made.roll()
    assert made.order("disarm") == [W1]


def test_machines_without_a_cluster_are_rolled_until_they_run(made: World) -> None:
    """No Kubernetes is asked; `booted` is as far as they come."""
    made.data["assets"].pop("kubernetes")
    made.data.pop("kubernetes")
    for machine in made.machines.values():
        machine.ends = machine.system = "booted"
    made.roll(nodes=(W1,))
    assert deeds(made) == [("raise", f"{W1}=2"), ("up", ""), ("reboot", W1)]
