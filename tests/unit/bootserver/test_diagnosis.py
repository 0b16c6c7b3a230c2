"""Why a machine is stuck, in plain words, from the last thing that was seen of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kindling.bootserver import timeline as t
from kindling.bootserver.diagnosis import diagnose
from kindling.bootserver.durations import age
from kindling.bootserver.records import Event, Sighting
from kindling.bootserver.states import Record, state_of
from kindling.bootserver.timeline import kind_of_file, last_boots
from kindling.bootserver.transitions import published
from tests.fakes.published import HOST, digest_of, node_document

DOCUMENT = node_document()
T0 = 1_000_000.0
ARMED = published(None, DOCUMENT, T0)
INSTALLED = replace(
    ARMED, installed_generation=1, settled_generation=1,
    installed_digest=digest_of("g1"), installed_at=T0,
)  # fmt: skip
SEEN = Sighting(T0 + 1, "10.0.0.1", "x86_64")

# What was seen of the boot, one minute apart; how long ago the last was (s); what is said.
STUCK = [
    ([t.SCRIPT_INSTALL], 60, ""),
    ([t.SCRIPT_INSTALL], 180, "kernel was not fetched"),
    ([t.SCRIPT_INSTALL, t.KERNEL], 240, "initrd was not"),
    ([t.SCRIPT_INSTALL, t.KERNEL, t.INITRD], 100, ""),
    ([t.SCRIPT_INSTALL, t.KERNEL, t.INITRD], 240, "the network in the initramfs does not come up"),
    ([t.SCRIPT_INSTALL, t.INITRD], 240, "the network in the initramfs does not come up"),
    ([t.SCRIPT_INSTALL, t.KERNEL, t.INITRD, t.IGNITION], 400, "the installer did not report"),
    ([t.SCRIPT_INSTALL, t.IGNITION], 400, "the installer did not report"),
    ([t.SCRIPT_INSTALL, t.IGNITION, t.INSTALLING], 1200, ""),
    ([t.SCRIPT_INSTALL, t.IGNITION, t.INSTALLING], 3000, "installing for 50 min"),
    ([t.SCRIPT_INSTALL, t.MISSING], 1, "which is not published"),
]


def boot_of(kinds: list[str]) -> list[Event]:
    return [Event("test", HOST, T0 + 60 * n, kind, "file") for n, kind in enumerate(kinds)]


def said(record: Record, document=DOCUMENT, sighting=SEEN, boot=(), now=T0 + 10) -> str:
    return diagnose(record, document, state_of(record, document, now), sighting, boot, now)


@pytest.mark.parametrize(("kinds", "ago", "expected"), STUCK)
def test_a_stuck_installation_is_explained_by_its_last_step(kinds, ago, expected):
    boot = boot_of(kinds)
    found = said(ARMED, boot=boot, now=boot[-1].at + ago)
    assert expected in found and bool(expected) == bool(found)


def test_every_step_has_an_end_of_patience():
    """However long ago: no step may leave a machine stuck without a word."""
    steps = [t.SCRIPT_INSTALL, t.KERNEL, t.INITRD, t.IGNITION, t.INSTALLING]
    for count in range(1, len(steps) + 1):
        assert said(ARMED, boot=boot_of(steps[:count]), now=T0 + 20_000)


def test_an_armed_machine_that_never_asks_is_noticed():
    assert said(ARMED, sighting=None, now=T0 + 60) == ""
    assert "did not ask for a script" in said(ARMED, sighting=None, now=T0 + 7200)


def test_a_wrong_architecture_is_named_with_what_to_correct():
    found = said(ARMED, sighting=replace(SEEN, arch="arm64"))
    assert "firmware is arm64" in found and "x86-64" in found and "`arch`" in found


def test_a_failed_installation_says_what_the_installer_said():
    failed = replace(ARMED, failures=1, failed_at=T0, failure="no disk at /dev/sda")
    assert "no disk at /dev/sda" in said(failed)


def test_a_held_and_a_pending_node_name_the_command_that_helps():
    held = replace(ARMED, held="two addresses", held_at=T0)
    expired = published(None, DOCUMENT, T0 - 10**6)
    by_hand = node_document(auto_arm=False)
    for found in (said(held), said(expired), said(published(None, by_hand, T0), by_hand)):
        assert f"python -m kindling arm {HOST}" in found
    disarmed = replace(ARMED, armed_at=None, disarmed_by="ada")
    assert "Disarmed by ada" in said(disarmed)


def test_an_installed_node_that_never_boots_is_noticed():
    assert said(INSTALLED, now=T0 + 60) == ""
    assert "never reported a boot" in said(INSTALLED, now=T0 + 3600)
    booted = replace(INSTALLED, booted_at=T0 + 90, booted_digest=digest_of("g1"))
    assert said(booted, now=T0 + 10**6) == ""


def test_drift_and_an_outdated_configuration_read_differently():
    drifted = replace(INSTALLED, booted_at=T0 + 9, booted_digest=digest_of("x"))
    assert said(drifted).startswith("Drift: it runs")
    changed = node_document(digest=digest_of("new"), history=DOCUMENT.history)
    assert "Raise its generation" in said(INSTALLED, changed)


def test_a_timeline_is_cut_into_boots_at_each_script():
    kinds = [t.BOOTED, t.SCRIPT_INSTALL, t.KERNEL, t.SCRIPT_DISK, t.BOOTED, t.SCRIPT_DISK]
    boots = [[event.kind for event in boot] for boot in last_boots(boot_of(kinds))]
    assert boots == [[t.SCRIPT_DISK], [t.SCRIPT_DISK, t.BOOTED]]
    assert last_boots([]) == []


def test_only_the_files_of_a_boot_are_steps():
    root = "/assets/flatcar/arm64/4230.2.3/flatcar_production"
    assert kind_of_file(f"{root}_pxe.vmlinuz") == t.KERNEL
    assert kind_of_file(f"{root}_pxe_image.cpio.gz") == t.INITRD
    assert kind_of_file(f"{root}_image.bin.bz2") == t.IMAGE
    assert kind_of_file(f"{root}_image.bin.bz2.sig") is None
    assert kind_of_file("/assets/extensions/etcd-3.5.1-arm64.raw") is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7300, "2 h"), (200_000, "2 days")],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert age(seconds) == text


def test_whoever_asks_with_a_finished_nodes_mac_and_another_architecture_is_no_diagnosis():
    spoofed = replace(SEEN, arch="arm64", address="10.0.0.66")
    booted = replace(INSTALLED, booted_at=T0 + 90, booted_digest=digest_of("g1"))
    held = replace(ARMED, held="two addresses", held_at=T0)
    assert said(booted, sighting=spoofed, now=T0 + 100) == ""
    assert "firmware" not in said(held, sighting=spoofed)
    assert "10.0.0.66" in said(ARMED, sighting=spoofed)
