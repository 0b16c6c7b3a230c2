"""The rules by which an attempt to install begins: pure functions like `transitions`."""

from __future__ import annotations

from dataclasses import replace

from kindling.bootserver.states import Record, armed_until, needs_install
from kindling.bootserver.tickets import Ticket
from kindling.bootserver.transitions import Refusal, one_more_failure
from kindling.models.documents import NodeDocument


def ignition_asked(
    record: Record, document: NodeDocument, ticket: Ticket, *, address: str, now: float
) -> Record | Refusal:
    """Somebody at ``address`` shows a valid ticket.

    The same machine may ask again after a dropped transfer, until it said `installing`. A second
    one, with the first one's ticket or with one of its own, means that somebody else is told the
    node's secrets: the node is held, however late it asks. Machines are told apart by the address
    that got the script: everybody's script gives the same static address.

    An attempt begins here and not with the script, which anybody may ask for. A machine that
    begins again while it was being installed crashed or was switched off: a failed attempt too,
    otherwise one that always crashes would be written again and again.
    """
    who, owner = address, ticket.address
    if address != owner:
        who = f"{address} with the ticket that {owner} got"
    if not ticket.is_good_at(address):
        leaked = _leaked(record, document, who, now)
        return Refusal(403, "this ticket belongs to another address", leaked)
    armed = armed_until(record, document) is not None  # or was: tickets outlive it by minutes
    if record.held or not armed or not needs_install(record, document):
        return Refusal(403, f"{document.hostname} is not being installed")
    if record.installing_at is not None and ticket.issued <= record.installing_at:
        return Refusal(403, "this ticket ended when the machine reported `installing`")
    if record.fetched_by not in ("", owner):
        leaked = _leaked(record, document, f"{who} after {record.fetched_by}", now)
        return Refusal(403, "another machine has fetched this Ignition", leaked)
    return _attempt(record, owner, now)


def _attempt(record: Record, owner: str, now: float) -> Record | Refusal:
    """An attempt begins, goes on, or begins again after one that broke off."""
    if record.phase == "fetched":
        return record
    if record.phase == "installing":
        broken = "the machine started over while it was being installed"
        record = one_more_failure(record, broken, now)
        if record.held:
            return Refusal(403, record.held, record)
    return replace(record, phase="fetched", fetched_by=owner, fetched_at=now)


def _leaked(record: Record, document: NodeDocument, whom: str, now: float) -> Record | None:
    if record.held:
        return None
    rotate = "raise its generation, which gives it new tokens"
    if document.role == "control-plane":
        rotate += ", and rotate the cluster's authorities"
    reason = f"its Ignition was asked for by {whom}; somebody else may know its secrets: {rotate}"
    return replace(record, held=reason, held_at=now)
