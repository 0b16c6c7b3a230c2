"""The state machine of a node, as one table: every situation against every event."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kindling.bootserver.attempts import ignition_asked
from kindling.bootserver.orders import arm, disarm
from kindling.bootserver.stages import is_stage, staged
from kindling.bootserver.states import (
    Record,
    State,
    explain,
    has_drifted,
    may_install,
    needs_install,
    since,
    state_of,
)
from kindling.bootserver.tickets import Ticket
from kindling.bootserver.transitions import (
    Refusal,
    Report,
    published,
    report,
)
from kindling.models.documents import NodeDocument, Publication
from tests.fakes.published import MAC, digest_of, node_document

T0 = 1_000_000.0  # when generation 2 was published
NOW = T0 + 100
DAY = 86_400.0
ME, OTHER = "10.0.0.1", "10.0.0.2"

DOCUMENT = node_document(generation=2)  # generation 1 came before it
BY_HAND = node_document(generation=2, auto_arm=False)
CHANGED = node_document(
    generation=2,
    digest=digest_of("g2 changed"),
    history=(
        Publication(generation=2, digest=digest_of("g2")),
        Publication(generation=2, digest=digest_of("g2 changed")),
    ),
)

ARMED = published(None, DOCUMENT, T0)
OLDER = replace(
    ARMED,
    installed_generation=1,
    settled_generation=1,
    installed_digest=digest_of("g1"),
    installed_at=T0 - 500,
)
FETCHED = replace(ARMED, phase="fetched", fetched_by=ME, fetched_at=NOW - 12)
INSTALLING = replace(FETCHED, phase="installing", installing_at=NOW - 10)
FAILED = replace(ARMED, failures=1, failed_at=NOW - 5, failure="no disk")
FAILED_TWICE = replace(FETCHED, failures=2, failed_at=NOW - 5)
INSTALLED = replace(
    ARMED,
    installed_generation=2,
    settled_generation=2,
    installed_digest=digest_of("g2"),
    installed_at=NOW - 50,
)
BOOTED = replace(INSTALLED, booted_at=NOW - 20, booted_digest=digest_of("g2"))
READY = replace(
    BOOTED, stage="ready", stage_at=NOW - 9, stage_generation=2, stage_incarnation=1,
    joined_at=NOW - 9,
)  # fmt: skip
OLDER_READY = replace(
    OLDER, booted_at=NOW - 400, booted_digest=digest_of("g1"), stage="ready", stage_at=NOW - 390,
    stage_generation=1, stage_incarnation=1, joined_at=NOW - 390,
)  # fmt: skip
HELD = replace(ARMED, held="3 installations in a row failed", held_at=NOW - 5, failures=3)

SITUATIONS: dict[str, tuple[Record, NodeDocument]] = {
    "pending": (published(None, BY_HAND, T0), BY_HAND),
    "disarmed": (replace(ARMED, armed_at=None, disarmed_by="ada"), DOCUMENT),
    "expired": (published(None, DOCUMENT, NOW - DAY), DOCUMENT),
    "armed": (ARMED, DOCUMENT),
    "armed, older installed": (OLDER, DOCUMENT),
    "fetched": (FETCHED, DOCUMENT),
    "installing": (INSTALLING, DOCUMENT),
    "failed": (FAILED, DOCUMENT),
    "failed twice, fetched": (FAILED_TWICE, DOCUMENT),
    "installed": (INSTALLED, DOCUMENT),
    "booted": (BOOTED, DOCUMENT),
    "outdated": (BOOTED, CHANGED),
    "held": (HELD, DOCUMENT),
    "initialising": (replace(READY, stage="initialising", joined_at=None), DOCUMENT),
    "joining": (replace(READY, stage="joining", joined_at=None), DOCUMENT),
    "joined": (replace(READY, stage="joined"), DOCUMENT),
    "ready": (READY, DOCUMENT),
    "ready, outdated": (READY, CHANGED),
    "not in the cluster": (replace(READY, stage="failed", joined_at=None), DOCUMENT),
    "ready, newer armed": (OLDER_READY, DOCUMENT),
}

EVENTS = (
    "new attempt",
    "ignition",
    "second address",
    "installing 2",
    "failed 2",
    "installed 2",
    "booted 2",
    "installing 1",
    "failed 1",
    "installed 1",
    "booted 1",
    "arm",
    "disarm",
    "expiry",
    "ready 2",
    "ready 1",
    "cluster-failed 2",
)

# A line per situation, a column per event of EVENTS, in their order. What follows is a state, or
# the HTTP status of a refusal that changes nothing; `!` is a refusal that holds the node.
TABLE = """
    pending                 3  3  !  9  F  I  B  9  9  P  P  A  P  P  R  P  F
    disarmed                3  3  !  9  F  I  B  9  9  P  P  A  P  P  R  P  F
    expired                 P  P  !  9  F  I  B  9  9  P  P  A  P  P  R  P  F
    armed                   A  A  !  W  F  I  B  9  9  A  A  A  P  P  R  A  F
    armed, older installed  A  A  !  W  F  I  B  9  9  A  A  A  P  P  R  A  F
    fetched                 A  A  !  W  F  I  B  9  9  A  A  A  P  P  R  A  F
    installing              F  3  !  W  F  I  B  9  9  W  W  W  W  W  R  W  F
    failed                  F  F  !  W  F  I  B  9  9  F  F  A  F  F  R  F  F
    failed twice, fetched   F  F  !  W  H  I  B  9  9  F  F  A  F  F  R  F  F
    installed               3  3  !  9  9  I  B  9  9  9  9  9  9  I  R  9  F
    booted                  3  3  !  9  9  B  B  9  9  9  9  9  9  B  R  9  F
    outdated                3  3  !  9  9  O  O  9  9  9  9  9  9  O  O  9  F
    held                    3  3  3  9  H  H  H  9  9  H  H  A  H  H  H  H  H
    initialising            3  3  !  9  9  N  B  9  9  9  9  9  9  N  R  9  F
    joining                 3  3  !  9  9  J  B  9  9  9  9  9  9  J  R  9  F
    joined                  3  3  !  9  9  D  B  9  9  9  9  9  9  D  R  9  F
    ready                   3  3  !  9  9  R  B  9  9  9  9  9  9  R  R  9  F
    ready, outdated         3  3  !  9  9  O  O  9  9  9  9  9  9  O  O  9  F
    not in the cluster      3  3  !  9  9  F  B  9  9  9  9  9  9  F  R  9  F
    ready, newer armed      A  A  !  W  F  I  B  9  9  A  A  A  P  P  R  A  F
"""
OUTCOMES = {
    "P": "pending",
    "A": "armed",
    "W": "installing",
    "I": "installed",
    "B": "booted",
    "O": "outdated",
    "F": "failed",
    "H": "held",
    "N": "initialising",
    "J": "joining",
    "D": "joined",
    "R": "ready",
    "9": "409",
    "3": "403",
    "!": "held!",
}


def expected_of(situation: str, event: str) -> str:
    line = next(line for line in TABLE.splitlines() if line[4:28].rstrip() == situation)
    letters = line[28:].split()
    assert len(letters) == len(EVENTS)
    return OUTCOMES[letters[EVENTS.index(event)]]


def happen(event: str, record: Record, document: NodeDocument) -> Record | Refusal:
    word, _, generation = event.partition(" ")
    match word:
        case "new" | "ignition" | "second":
            # Issued before the machine said `installing`, as the ticket of that attempt; or after.
            ticket = Ticket(MAC, 2, ME, NOW - (1 if word == "new" else 15))
            address = OTHER if word == "second" else ME
            return ignition_asked(record, document, ticket, address=address, now=NOW)
        case "arm":
            return arm(record, document, "ada", NOW)
        case "disarm":
            return disarm(record, document, "ada")
        case "expiry":
            return record
    g = int(generation)
    if word in ("ready", "cluster-failed"):
        told = Report(word.removeprefix("cluster-"), g, vouched=g, of_cluster=word != "ready")  # type: ignore[arg-type]
        assert is_stage(told)
        return staged(record, document, told, NOW, incarnation=1)
    return report(record, document, Report(word, g, digest_of(f"g{g}"), "no disk", "", g), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("event", EVENTS)
def test_every_event_in_every_situation_has_the_outcome_of_the_table(situation, event):
    record, document = SITUATIONS[situation]
    expected = expected_of(situation, event)
    found = happen(event, record, document)
    later = NOW + 2 * DAY if event == "expiry" else NOW
    if expected == "held!":
        assert isinstance(found, Refusal) and found.status == 403
        assert found.record and state_of(found.record, document, NOW) is State.HELD
        assert ME in found.record.held and OTHER in found.record.held
    elif expected.isdigit():
        assert isinstance(found, Refusal) and found.status == int(expected)
        assert found.record is None and found.reason
    else:
        assert isinstance(found, Record)
        assert state_of(found, document, later) == expected


def test_the_table_covers_every_state_of_a_node():
    seen = {state_of(*SITUATIONS[name], NOW) for name in SITUATIONS}
    assert seen == set(State)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_an_install_script_is_served_only_while_the_node_is_armed(situation):
    record, document = SITUATIONS[situation]
    armed = {"armed", "armed, older installed", "fetched", "installing", "failed"}
    armed |= {"failed twice, fetched", "ready, newer armed"}
    assert may_install(record, document, NOW) == (situation in armed)


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("event", [e for e in EVENTS if e.endswith((" 1", " 2"))])
def test_no_report_of_a_machine_arms_a_node_or_lowers_what_is_settled(situation, event):
    record, document = SITUATIONS[situation]
    found = happen(event, record, document)
    if isinstance(found, Record):
        assert found.settled_generation >= record.settled_generation
        assert found.armed_at == record.armed_at and found.armed_by == record.armed_by
        assert may_install(record, document, NOW) or not may_install(found, document, NOW)


@pytest.mark.parametrize("event", ["installing 2", "failed 2", "installed 2", "booted 2"])
@pytest.mark.parametrize("situation", ["fetched", "installing", "installed", "booted"])
def test_a_report_whose_answer_was_lost_may_be_repeated(situation, event):
    record, document = SITUATIONS[situation]
    once = happen(event, record, document)
    if isinstance(once, Record):
        twice = happen(event, once, document)
        assert twice == once


def test_a_raised_generation_arms_again_and_forgets_failures_but_not_what_is_installed():
    after = published(replace(BOOTED, failures=2), node_document(generation=3), NOW)
    assert state_of(after, node_document(generation=3), NOW) is State.ARMED
    assert (after.failures, after.installed_generation) == (0, 2)
    assert after.installed_digest == digest_of("g2")


def test_a_held_node_stays_held_when_its_generation_is_raised():
    document = node_document(generation=3)
    assert state_of(published(HELD, document, NOW), document, NOW) is State.HELD


def test_a_generation_that_is_lowered_and_raised_again_installs_nothing_twice():
    lowered = node_document(generation=1)
    after = published(BOOTED, lowered, NOW)
    assert state_of(after, lowered, NOW) is State.BOOTED
    again = published(after, DOCUMENT, NOW)
    assert state_of(again, DOCUMENT, NOW) is State.BOOTED


def test_a_node_that_comes_back_with_its_installed_generation_is_not_armed():
    """Destroyed and created again: the record says installed, so nothing is wiped."""
    assert published(BOOTED, DOCUMENT, NOW) is BOOTED
    assert not needs_install(BOOTED, DOCUMENT)


def test_arming_counts_from_the_publication_and_ends_after_arm_for():
    late = published(None, DOCUMENT, T0)
    assert may_install(late, DOCUMENT, T0 + DAY - 1)
    assert not may_install(late, DOCUMENT, T0 + DAY)
    assert state_of(late, DOCUMENT, T0 + DAY) is State.PENDING


def test_an_installation_that_began_while_armed_may_be_finished_after_the_arming():
    began = replace(ARMED, phase="installing", installing_at=T0 + DAY - 1)
    assert may_install(began, DOCUMENT, T0 + DAY + 3600)
    assert not may_install(began, DOCUMENT, T0 + 2 * DAY)


def test_turning_auto_arm_off_disarms_what_was_armed_by_itself_but_not_by_an_operator():
    assert not may_install(ARMED, BY_HAND, NOW)
    armed = arm(ARMED, BY_HAND, "ada", NOW)
    assert isinstance(armed, Record) and may_install(armed, BY_HAND, NOW)


def test_three_broken_off_installations_hold_the_node():
    """A machine that crashes while it is written must not be written for ever."""
    record: Record | Refusal = ARMED
    for _ in range(2):
        for event in ("new attempt", "installing 2"):
            assert isinstance(record, Record)
            record = happen(event, replace(record, installing_at=None), DOCUMENT)
    assert isinstance(record, Record) and record.failures == 1
    third = happen("new attempt", replace(record, failures=2, installing_at=NOW - 9), DOCUMENT)
    assert isinstance(third, Refusal) and third.record
    assert state_of(third.record, DOCUMENT, NOW) is State.HELD


def test_three_failed_installations_hold_the_node_until_an_operator_arms_it():
    record = ARMED
    for attempt in range(3):
        fetched = happen("new attempt", record, DOCUMENT)
        assert isinstance(fetched, Record)
        failed = happen("failed 2", fetched, DOCUMENT)
        assert isinstance(failed, Record) and failed.failures == attempt + 1
        record = failed
    assert state_of(record, DOCUMENT, NOW) is State.HELD
    armed = arm(record, DOCUMENT, "ada", NOW)
    assert isinstance(armed, Record)
    assert state_of(armed, DOCUMENT, NOW) is State.ARMED and armed.failures == 0


def test_a_holding_reason_names_what_to_rotate_and_more_for_a_control_plane():
    control_plane = node_document(generation=2, role="control-plane")
    found = happen("second address", ARMED, control_plane)
    assert isinstance(found, Refusal) and found.record
    assert "raise its generation" in found.record.held
    assert "authorities" in found.record.held


def test_a_new_attempt_s_ticket_is_good_after_the_last_attempt_s_installing():
    """And the last one counts as failed: the machine did not end it."""
    found = happen("new attempt", INSTALLING, DOCUMENT)
    assert isinstance(found, Record)
    assert (found.phase, found.fetched_by, found.fetched_at) == ("fetched", ME, NOW)
    assert found.failures == 1


def test_a_second_machine_is_held_however_late_it_asks():
    ticket = Ticket(MAC, 2, OTHER, NOW - 1)
    early = replace(FETCHED, fetched_at=NOW - DAY / 2)
    found = ignition_asked(early, DOCUMENT, ticket, address=OTHER, now=NOW)
    assert isinstance(found, Refusal) and found.record and found.record.held


def test_a_machine_that_was_let_in_may_say_so_just_after_the_arming_ended():
    ended = T0 + DAY + 20
    let_in = replace(ARMED, phase="fetched", fetched_by=ME, fetched_at=T0 + DAY - 5)
    told = Report("installing", 2, vouched=2)
    assert isinstance(report(let_in, DOCUMENT, told, ended), Record)
    assert isinstance(report(ARMED, DOCUMENT, told, ended), Refusal)


def test_a_disk_of_an_older_generation_is_recorded_and_the_newer_one_stays_armed():
    found = happen("installed 1", ARMED, DOCUMENT)
    assert isinstance(found, Record) and found.installed_generation == 1
    assert state_of(found, DOCUMENT, NOW) is State.ARMED


def test_a_newer_marker_than_published_settles_only_the_token_s_own_generation():
    """The stack was rolled back: its installer finds generation 5 on the disk."""
    told = Report("installed", 5, digest_of("g5"), vouched=2)
    found = report(ARMED, DOCUMENT, told, NOW)
    assert isinstance(found, Record)
    assert state_of(found, DOCUMENT, NOW) is State.INSTALLED
    assert (found.installed_generation, found.settled_generation) == (5, 2)
    raised = node_document(generation=3)
    assert may_install(published(found, raised, NOW), raised, NOW)


@pytest.mark.parametrize("state", ["installed", "booted"])
def test_lost_records_are_rebuilt_by_the_first_report(state):
    found = report(ARMED, DOCUMENT, Report(state, 2, digest_of("g2"), vouched=2), NOW)
    assert isinstance(found, Record) and state_of(found, DOCUMENT, NOW) == state
    assert not has_drifted(found)


@pytest.mark.parametrize("state", ["installed", "booted"])
def test_a_report_without_the_marker_s_digest_is_refused(state):
    found = report(ARMED, DOCUMENT, Report(state, 2, "", vouched=2), NOW)
    assert isinstance(found, Refusal) and found.status == 422


def test_with_lost_records_history_tells_outdated_from_drift():
    earlier = report(
        published(None, CHANGED, T0), CHANGED, Report("booted", 2, digest_of("g2"), vouched=2), NOW
    )
    foreign = report(
        published(None, CHANGED, T0), CHANGED, Report("booted", 2, digest_of("x"), vouched=2), NOW
    )
    assert isinstance(earlier, Record) and isinstance(foreign, Record)
    assert state_of(earlier, CHANGED, NOW) is State.OUTDATED
    assert not has_drifted(earlier)
    assert state_of(foreign, CHANGED, NOW) is State.BOOTED
    assert has_drifted(foreign)


def test_a_boot_with_another_digest_than_was_installed_is_drift_and_not_outdated():
    found = report(INSTALLED, DOCUMENT, Report("booted", 2, digest_of("x"), vouched=2), NOW)
    assert isinstance(found, Record) and has_drifted(found)
    assert state_of(found, DOCUMENT, NOW) is State.BOOTED


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_has_an_explanation_and_a_time(situation):
    record, document = SITUATIONS[situation]
    assert explain(record, document, NOW)
    if situation != "disarmed":
        assert since(record, state_of(record, document, NOW)) is not None
