"""Why a node does not get on, in plain words, from what was seen of its last boot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kindling.bootserver import timeline
from kindling.bootserver.durations import age
from kindling.bootserver.records import Event, Sighting
from kindling.bootserver.states import (
    Record,
    State,
    armed_until,
    has_drifted,
    known_digests,
    needs_install,
    running_digest,
)
from kindling.models.documents import NodeDocument


@dataclass(frozen=True, slots=True)
class Step:
    """A step of an installation: its patience (s) until the next, and what is wrong then."""

    kind: str
    patience: float
    stuck: str


# Newest step first. A later step implies the earlier ones, so what was not seen (another server,
# a proxy's cache) does not mislead.
_STEPS = (
    Step(
        timeline.INSTALLING,
        30 * 60,
        "It has been installing for {age} without an end. The image of about 500 MB comes from this"
        " server and is written to the disk: look at the machine's console, its network's speed and"
        " its disk's health.",
    ),
    Step(
        timeline.IGNITION,
        5 * 60,
        "Ignition was fetched {age} ago, but the installer did not report. It failed before its"
        " first step: look at the console (`journalctl -u kindling-install`); often the clock or"
        " the network after the initramfs differs.",
    ),
    Step(
        timeline.INITRD,
        3 * 60,
        "Kernel and initrd were fetched {age} ago, but Ignition was not asked for: the network in"
        " the initramfs does not come up. Check the network section (interface, VLAN, `ip=`), the"
        " driver of the network card, and DHCP on the port.",
    ),
    Step(
        timeline.KERNEL,
        3 * 60,
        "The kernel was fetched {age} ago, but the initrd was not. The transfer broke off, or the"
        " machine has too little memory for it (2 GB at least).",
    ),
    Step(
        timeline.SCRIPT_INSTALL,
        2 * 60,
        "The install script was served {age} ago, but the kernel was not fetched. iPXE does not"
        " reach {base_url} (name, route, certificate), or the machine was switched off.",
    ),
)

_NOT_INSTALLED = (State.PENDING, State.ARMED, State.FAILED)
_NOT_BOOTED = 20 * 60  # seconds after `installed`
_NOT_SEEN = 30 * 60  # seconds after arming
_NOT_RESTARTED = 10 * 60  # seconds after it was asked for
_WARNING = "warning: "  # what follows it in a stage's message is no reason to leave the stage
_NOT_IN = 15 * 60  # seconds of initialising or joining


def diagnose(
    record: Record,
    document: NodeDocument,
    state: State,
    sighting: Sighting | None,
    boot: Sequence[Event],
    now: float,
) -> str:
    """One or two sentences when something needs attention, else an empty string."""
    # Anybody may ask for a script with any MAC and `arch`: it explains only what did not happen.
    wrong = sighting and sighting.arch and sighting.arch != document.arch.ipxe
    if sighting and wrong and state in _NOT_INSTALLED:
        return _wrong_architecture(document, sighting)
    match state:
        case State.HELD:
            return f"Held: {record.held}. `{_arm(document)}` releases it."
        case State.PENDING:
            return _pending(record, document)
        case State.ARMED | State.INSTALLING | State.FAILED if needs_install(record, document):
            return _unfinished(record, document, state, sighting, boot, now)
    return _installed(record, document, now)


def diagnose_stage(
    record: Record, document: NodeDocument, silent_since: float | None, now: float
) -> str:
    """What keeps an installed system from its place in the cluster; else an empty string."""
    found = []
    if silent_since is not None:
        found.append(
            f"It has not reported for {age(now - silent_since)}. Is it switched on, and does it"
            f" reach {document.boot.base_url}?"
        )
    if record.reboot_at is not None and now - record.reboot_at > _NOT_RESTARTED:
        found.append(
            f"{record.reboot_by} asked for a restart {age(now - record.reboot_at)} ago, and none"
            " was seen. It is told in the answer to each report: look at its console."
        )
    return " ".join([*found, _stage(record, document, now)]).strip()


def _stage(record: Record, document: NodeDocument, now: float) -> str:
    spent = now - (record.stage_at or now)
    said = f": {record.stage_message.rstrip('.')}" if record.stage_message else ""
    if record.stage == "failed":
        return f"It failed in the cluster{said}. `journalctl -u 'kindling-*'` there tells more."
    if record.stage == "initialising" and spent > _NOT_IN:
        return (
            f"It has been initialising for {age(spent)}{said}. If it never will,"
            f" `python -m kindling release {document.stack} kubernetes` lets another one do it."
        )
    if record.stage == "joining" and spent > _NOT_IN:
        return (
            f"It has been joining for {age(spent)}{said}. Is a control plane ready, and does the"
            " API's endpoint answer it?"
        )
    warning = record.stage_message.partition(_WARNING)[2]
    return f"It warns: {warning}" if warning else ""


def _unfinished(
    record: Record,
    document: NodeDocument,
    state: State,
    sighting: Sighting | None,
    boot: Sequence[Event],
    now: float,
) -> str:
    missing = next((e for e in reversed(boot) if e.kind == timeline.MISSING), None)
    if missing is not None and boot[-1] is missing:
        return f"It asked for {missing.text}, which is not published. Run `pulumi up`."
    stuck = _stuck(document, boot, now)
    if stuck:
        return stuck
    if state is State.FAILED:
        return f"Installation failed: {record.failure or 'the machine gave no reason'}"
    armed_for = now - (record.armed_at or now)
    unseen = sighting is None or sighting.at < (record.armed_at or 0.0)
    if state is State.ARMED and unseen and armed_for > _NOT_SEEN:
        return (
            f"Armed for {age(armed_for)}, but the machine did not ask for a script. Is it switched"
            " on, set to boot from the network, and does its DHCP server name this boot server?"
        )
    return ""


def _stuck(document: NodeDocument, boot: Sequence[Event], now: float) -> str:
    """The step at which an installation stopped, if its patience is over."""
    times = {event.kind: event.at for event in boot}
    if timeline.FAILED in times or timeline.SCRIPT_INSTALL not in times:
        return ""
    reached = next((step for step in _STEPS if step.kind in times), None)
    if reached is None or now - times[reached.kind] <= reached.patience:
        return ""
    spent = age(now - times[reached.kind])
    return reached.stuck.format(age=spent, base_url=document.boot.base_url)


def _installed(record: Record, document: NodeDocument, now: float) -> str:
    if has_drifted(record):
        return _drift(record, document)
    if record.installed_generation == document.generation and running_digest(record) not in (
        "",
        document.digest,
    ):
        return (
            "It runs an older configuration than the published one. Raise its generation to"
            " install the newer one."
        )
    installed_at = record.installed_at or now
    unheard = record.booted_at is None or record.booted_at < installed_at
    if unheard and not record.stage_generation and now - installed_at > _NOT_BOOTED:
        return (
            f"Installed {age(now - installed_at)} ago, but the system never reported a boot. Check"
            " the firmware's boot order, the console, and whether the system reaches"
            f" {document.boot.base_url}."
        )
    if record.installed_generation > document.generation:
        return (
            f"Generation {record.installed_generation} is installed, the stack publishes"
            f" {document.generation}: it was rolled back. A generation above both re-installs it."
        )
    return ""


def _drift(record: Record, document: NodeDocument) -> str:
    running = running_digest(record)
    known = known_digests(document, record.installed_generation)
    published = known[-1] if known else record.installed_digest
    return (
        f"Drift: it runs {running[:12]}, but {published[:12]} was published for generation"
        f" {record.installed_generation}. Something else was installed, or its report is false."
    )


def _wrong_architecture(document: NodeDocument, sighting: Sighting) -> str:
    names = {"x86_64": "x86-64", "arm64": "arm64", "i386": "32-bit x86"}
    seen = names.get(sighting.arch, f"of the unknown architecture {sighting.arch}")
    return (
        f"Not installed: the machine at {sighting.address} said that its firmware is {seen}, but"
        f" the stack says {document.arch}. Correct `arch` or the MAC address in the stack file."
    )


def _pending(record: Record, document: NodeDocument) -> str:
    if record.disarmed_by:
        return f"Disarmed by {record.disarmed_by}. `{_arm(document)}` arms it."
    if armed_until(record, document) is None:
        return f"Waits for an operator: `{_arm(document)}`."
    return f"Its arming expired. `{_arm(document)}` arms it again."


def _arm(document: NodeDocument) -> str:
    return f"python -m kindling arm {document.hostname}"
