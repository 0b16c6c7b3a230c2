"""What an operator orders of a machine, as rules: pure functions like `transitions`."""

from __future__ import annotations

from dataclasses import replace

from kindling.bootserver.states import Record, needs_install
from kindling.bootserver.transitions import Refusal
from kindling.models.documents import NodeDocument


def arm(record: Record, document: NodeDocument, who: str, now: float) -> Record | Refusal:
    """An operator arms the node, which also ends a hold."""
    if not record.held and not needs_install(record, document):
        return Refusal(
            409,
            f"generation {document.generation} of {document.hostname} is installed;"
            " raise its generation in the stack file to install it again",
        )
    return replace(
        record,
        armed_at=now,
        armed_by=who,
        disarmed_by="",
        phase="idle" if record.held else record.phase,
        fetched_by="" if record.held else record.fetched_by,
        fetched_at=None if record.held else record.fetched_at,
        failures=0,
        failed_at=None,
        failure="",
        failure_log="",
        held="",
        held_at=None,
    )


def disarm(record: Record, document: NodeDocument, who: str) -> Record | Refusal:
    """An operator takes the arming back. An installation under way is not stopped by it."""
    if not needs_install(record, document):
        return Refusal(
            409,
            f"generation {document.generation} of {document.hostname} is installed;"
            " it is not armed",
        )
    return replace(record, armed_at=None, armed_by="", disarmed_by=who)


def ask_reboot(record: Record, document: NodeDocument, who: str, now: float) -> Record | Refusal:
    """An operator asks for a restart; the machine hears of it in the answer to its next report."""
    if not record.installed_generation:
        return Refusal(
            409,
            f"no installed system of {document.hostname} is known, so none would hear of it;"
            " switch the machine on",
        )
    return replace(record, reboot_at=now, reboot_by=who)


def cancel_reboot(record: Record) -> Record:
    """An operator takes the request back; it may have been followed already."""
    return replace(record, reboot_at=None, reboot_by="")


def boot_seen(record: Record, at: float) -> Record:
    """The machine asked for its boot script at that time: what was asked for before is done."""
    if record.reboot_at is None or record.reboot_at > at:
        return record
    return cancel_reboot(record)
