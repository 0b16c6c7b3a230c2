"""Members of etcd find each other without a list: real etcd, the rendered programs, power cuts."""

import shutil
import time

import pytest

from tests.fakes.etcd_machines import Ground, provide, site, until

TIMEOUT = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    provide("etcd")
    return Ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def stand(tmp_path, ground):
    with site(tmp_path, ground) as made:
        yield made


@pytest.fixture(scope="module")
def trio_site(tmp_path_factory, ground):
    with site(tmp_path_factory.mktemp("trio"), ground, beside=100) as made:
        made.make(3)
        yield made


@pytest.fixture
def trio(trio_site):
    """A cluster of three that is whole; as tests before left it, where they left it whole."""
    trio_site.reset()
    boot(*trio_site.machines)
    first = trio_site.machines[0]
    until(lambda: set(first.members) == names(*trio_site.machines), "three members")
    trio_site.boot_server.granted.clear()
    return trio_site


def all_settled(*machines):
    until(lambda: all(each.settled for each in machines), "every member votes")


def boot(*machines):
    for each in machines:
        each.boot()
    all_settled(*machines)


def names(*machines):
    return {each.name for each in machines}


def everybody(machine):
    """All that the member knows of, learners and nameless ones too."""
    return machine.etcdctl("member", "list").splitlines()


@TIMEOUT
def test_three_machines_that_start_at_once_form_one_cluster_and_one_of_them_begins_it(stand):
    machines = stand.make(3)
    boot(*machines)
    for each in machines:
        assert each.members == machines[0].members
    assert set(machines[0].members) == names(*machines)
    assert len(set(stand.boot_server.granted)) == 1
    assert stand.boot_server.done


@TIMEOUT
def test_nobody_begins_while_the_boot_server_is_silent(stand):
    (first,) = stand.make(1)
    stand.boot_server.silent = True
    first.boot()
    warning = first.folder / "run/kindling/warnings/etcd"
    until(warning.exists, "a warning")
    assert "the boot server does not say who begins" in warning.read_text()
    assert not first.data.joinpath("member").exists()
    stand.boot_server.silent = False
    all_settled(first)
    assert not warning.exists()


@TIMEOUT
def test_nobody_joins_before_the_claim_has_ended(stand):
    first, second = stand.make(2)
    first.stops_before = "settle"
    first.boot()
    assert first.stopped.wait(60)
    second.boot()
    time.sleep(3)
    assert len(everybody(first)) == 1
    first.power_off()
    first.stops_before = ""
    boot(first)
    all_settled(second)
    assert stand.boot_server.granted == [first.name, *stand.boot_server.granted[1:]]
    assert set(first.members) == names(first, second)


@TIMEOUT
@pytest.mark.parametrize("moment", ["membership", "etcd", "settle"])
def test_who_loses_power_while_it_begins_begins_again(stand, moment):
    (first,) = stand.make(1)
    first.stops_before = moment
    first.boot()
    assert first.stopped.wait(60)
    first.power_off()
    first.stops_before = ""
    boot(first)
    assert set(first.members) == {first.name}
    assert stand.boot_server.done


@TIMEOUT
@pytest.mark.parametrize("moment", ["etcd", "settle"])
def test_who_loses_power_while_it_joins_joins_again_and_leaves_no_trace(stand, moment):
    first, second = stand.make(2)
    boot(first)
    second.stops_before = moment
    second.boot()
    assert second.stopped.wait(60)
    assert len(everybody(first)) == 2
    second.power_off()
    second.stops_before = ""
    boot(second)
    assert set(first.members) == names(first, second)
    assert len(everybody(first)) == 2


@TIMEOUT
def test_what_was_written_before_etcds_log_began_is_no_data(stand):
    first, second = stand.make(2)
    boot(first)
    second.write("/var/lib/etcd/member/snap/db", "half a page")
    boot(second)
    assert set(first.members) == names(first, second)


@TIMEOUT
@pytest.mark.parametrize("which", [0, 2])
def test_an_installed_again_machine_joins_in_place_of_its_former_member(trio, which):
    machines = trio.machines
    machines[1].etcdctl("put", "kept", "value")
    again, witness = machines[which], machines[1]
    former = witness.members[again.name]
    again.install()
    boot(again)
    assert set(witness.members) == names(*machines)
    assert witness.members[again.name] != former
    assert again.etcdctl("get", "kept", "--print-value-only") == "value"
    assert not trio.boot_server.granted


@TIMEOUT
def test_after_a_power_cut_in_the_whole_room_the_same_cluster_goes_on_without_a_boot_server(trio):
    machines = trio.machines
    machines[0].etcdctl("put", "kept", "value")
    before = machines[0].members
    for each in machines:
        each.power_off()
    trio.boot_server.silent = True
    boot(*reversed(machines))
    assert machines[2].members == before
    assert machines[2].etcdctl("get", "kept", "--print-value-only") == "value"


@TIMEOUT
def test_where_a_cluster_existed_and_nobody_answers_a_new_machine_waits(stand):
    first, second = stand.make(2)
    boot(first)
    first.power_off()
    second.boot()
    warning = second.folder / "run/kindling/warnings/etcd"
    until(warning.exists, "a warning")
    time.sleep(3)
    assert "no other member answers" in warning.read_text()
    assert not second.data.joinpath("member").exists()
    boot(first)
    all_settled(second)
    assert set(first.members) == names(first, second)


@TIMEOUT
def test_where_members_answer_without_a_majority_a_new_machine_does_not_ask_to_begin(stand):
    first, second, third = stand.make(3)
    boot(first)
    boot(second)
    second.power_off()
    stand.boot_server.holder, stand.boot_server.done = None, False  # it lost its records
    third.boot()
    warning = third.folder / "run/kindling/warnings/etcd"
    until(warning.exists, "a warning")
    time.sleep(2)
    assert "no majority" in warning.read_text()
    assert stand.boot_server.holder is None
    boot(second)
    all_settled(third)
    assert set(first.members) == names(first, second, third)


@TIMEOUT
def test_a_boot_server_that_lost_its_records_learns_that_there_is_a_cluster(stand):
    (first,) = stand.make(1)
    boot(first)
    stand.boot_server.holder, stand.boot_server.done = None, False
    first.power_off()
    boot(first)
    assert first.run("etcd", "check").returncode == 0
    assert stand.boot_server.done


@TIMEOUT
def test_a_learner_that_is_gone_for_long_does_not_keep_others_out(stand):
    first, second, third = stand.make(3)
    boot(first)
    second.stops_before = "etcd"
    second.boot()
    assert second.stopped.wait(60)
    second.power_off()
    third.extra = {"KINDLING_ETCD_PATIENCE": "2"}
    boot(third)
    assert set(first.members) == names(first, third)
    second.stops_before = ""
    boot(second)
    assert set(first.members) == names(first, second, third)


@TIMEOUT
def test_a_removed_member_whose_machine_is_still_in_the_stack_joins_again(trio):
    first, _, third = machines = trio.machines
    former = first.members[third.name]
    # etcd wants its members connected for five seconds before it lets itself be changed.
    until(lambda: first.tries("member", "remove", former), "it is removed")
    until(lambda: len(everybody(first)) == 3 and third.settled, "it joined again")
    assert first.members[third.name] != former
    assert third.data.joinpath("member.aside").is_dir()
    assert set(first.members) == names(*machines)


@TIMEOUT
def test_a_member_is_not_removed_when_too_few_would_be_well(trio):
    first, second, third = trio.machines
    third.power_off()
    refused = first.run("etcd", "remove-member", second.name)
    assert refused.returncode == 1
    assert "1 of 2 voting members would be well" in refused.stdout
    assert set(first.members) == names(first, second, third)
    until(lambda: first.run("etcd", "remove-member", third.name).returncode == 0, "third is out")
    assert set(first.members) == names(first, second)
    assert first.run("etcd", "remove-member", third.name).returncode == 0


@TIMEOUT
def test_the_last_member_is_not_removed(stand):
    first, second = stand.make(2)
    boot(first)
    refused = first.run("etcd", "remove-member", first.name)
    assert refused.returncode == 1
    assert "no other member of etcd answers" in refused.stdout
    asked = second.run("etcd", "remove-member", first.name)
    assert asked.returncode == 1
    assert set(first.members) == {first.name}


@TIMEOUT
def test_a_machine_that_left_the_stack_is_taken_out_by_one_of_the_others(trio):
    first, second, third = trio.machines
    third.power_off()
    for each in (first, second):
        each.members_of_stack(first, second)
    assert second.run("etcd", "check").returncode == 0
    assert set(first.members) == names(first, second, third)  # it is not the one who does it
    left = names(first, second)
    until(lambda: first.run("etcd", "check") and set(first.members) == left, "third is out")


@TIMEOUT
def test_no_machine_is_taken_out_while_one_that_stays_is_unwell(trio):
    first, second, third = trio.machines
    second.power_off()
    first.members_of_stack(first, second)
    assert first.run("etcd", "check").returncode == 0
    assert set(first.members) == names(first, second, third)


@TIMEOUT
def test_who_left_the_stack_does_not_join_again(stand):
    first, second = stand.make(2)
    boot(first)
    boot(second)
    first.members_of_stack(first)
    second.members_of_stack(first)
    until(lambda: first.run("etcd", "check") and set(first.members) == {first.name}, "it is out")
    warning = second.folder / "run/kindling/warnings/etcd"
    until(warning.exists, "a warning")
    until(lambda: "no longer one of the stack's" in warning.read_text(), "the reason")
    assert len(everybody(first)) == 1


@TIMEOUT
def test_a_new_incarnation_begins_from_nothing_beside_members_of_the_old_one(
    stand, tmp_path, ground
):
    old = stand.make(2)
    boot(old[0])
    boot(old[1])
    old[0].etcdctl("put", "kept", "value")
    old[0].power_off()
    with site(tmp_path / "anew", ground) as anew:
        first, _ = anew.make(2, kubernetes={"incarnation": 2})
        shutil.copytree(old[0].data, first.data)  # a disk that was not written anew
        boot(first)
        assert first.etcdctl("get", "kept", "--print-value-only") == ""
        assert set(first.members) == {first.name}
        assert first.data.joinpath("member.aside").is_dir()


@TIMEOUT
def test_machines_of_role_etcd_report_how_far_they_are(tmp_path, ground):
    with site(tmp_path, ground, "etcd") as stand:
        first, second = stand.make(2)
        boot(first)
        boot(second)
        until(lambda: "ready" in stand.boot_server.states(second.name), "ready")
        assert stand.boot_server.states(first.name) == ["initialising", "ready"]
        assert stand.boot_server.states(second.name)[-1] == "ready"
        second.power_off()
        assert first.run("etcd", "check").returncode == 0
        assert stand.boot_server.states(first.name)[-1] == "failed"
        boot(second)
        assert first.run("etcd", "check").returncode == 0
        assert stand.boot_server.states(first.name)[-1] == "ready"
