"""``GET boot/<mac>``: the machine's script. Install when armed, else the disk, with the reason.

The common case, a known node that boots its disk, touches no database: the records are mirrored
in memory, and that the machine was seen is written behind. Written against ASGI itself, because a
rack that is switched on asks all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope, Send

from kindling.bootserver import timeline
from kindling.bootserver.addresses import mac_of, short_text
from kindling.bootserver.answers import refusal
from kindling.bootserver.context import Context
from kindling.bootserver.limiter import Limiter
from kindling.bootserver.observer import Booting, Seen
from kindling.bootserver.recent import RecentAnswers
from kindling.bootserver.records import Event, Sighting
from kindling.bootserver.scripts import disk_script, entry_script, install_script, stop_script
from kindling.bootserver.states import explain, may_install
from kindling.bootserver.tickets import Ticket
from kindling.bootserver.unknown import Unknown
from kindling.models.documents import NodeDocument

_TEXT = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
_AGAIN = 5.0  # seconds in which the same script to the same address is noted once
_NOTED = 20_000  # nodes whose last note is remembered


class BootScripts:
    """The route's ASGI endpoint."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limiter = Limiter()
        self._notes = Limiter(burst=10, refill=0.05, clock=context.clock)
        self._noted: dict[str, tuple[float, str, str]] = {}
        proxied = bool(context.settings.trusted_proxies)
        self._recent = RecentAnswers(context.records, most=4096, used=not proxied)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a script, whatever was asked: a machine can do nothing with an error."""
        if scope["method"] != "GET":  # a ticket in an answer without a body would be nobody's
            await refusal(405, "a boot script is only for GET")(scope, receive, send)
            return
        recent = self._recent.get(scope)
        if recent is None:
            await self._answer(scope, send)
            return
        await send(recent[0])
        await send(recent[1])

    async def _answer(self, scope: Scope, send: Send) -> None:
        mac = mac_of(scope)
        told = parse_query(scope["query_string"])
        if mac is None:
            await _send(send, 404, b"#!ipxe\necho Kindling: this is no MAC address\nexit 1\n")
            return
        changes = self._recent.changes
        document = self._context.documents.node(mac)
        if not told.arch:
            await self._entry(send, document)
            return
        address = self._context.address(scope)
        if document is None:
            await _send(send, 200, self._unknown(mac, told, address))
            return
        body, boots_disk = await self._known(document, told, address)
        answer = await _send(send, 200, body)
        if boots_disk:
            self._recent.keep(scope, answer, changes)

    async def _entry(self, send: Send, document: NodeDocument | None) -> None:
        sites = self._context.documents.sites()
        base_url = document.boot.base_url if document else sites[0].base_url if sites else ""
        if base_url:
            await _send(send, 200, entry_script(base_url))
        else:
            await _send(send, 404, b"#!ipxe\necho Kindling: nothing is published yet\nexit 1\n")

    def _unknown(self, mac: str, told: Sighting, address: str) -> bytes:
        if self._limiter.allows(address):
            sighting = replace(told, at=self._context.clock(), address=address)
            self._context.observer.note(Unknown(mac, sighting))
        return disk_script(None, "no published node has its MAC address")

    async def _known(
        self, document: NodeDocument, told: Sighting, address: str
    ) -> tuple[bytes, bool]:
        """A published node's script, and whether it only boots the disk."""
        context, now = self._context, self._context.clock()
        record = context.record_of(document)
        if record.reboot_at is not None:
            context.observer.note(Booting(document.stack, document.hostname, now))
        if told.arch != document.arch.ipxe:
            reason = architecture_problem(document, told.arch)
            self._note(document, timeline.SCRIPT_STOP, reason, told, address)
            return stop_script(reason), False
        if may_install(record, document, now):
            text = f"generation {document.generation}"
            self._note(document, timeline.SCRIPT_INSTALL, text, told, address)
            given = document.boot.address or ""
            ticket = Ticket(document.macs[0], document.generation, address, now, given)
            return install_script(document, context.tickets.mint(ticket)), False
        reason = explain(record, document, now)
        if record.held:
            self._note(document, timeline.SCRIPT_STOP, reason, told, address)
            return stop_script(reason), False
        self._note(document, timeline.SCRIPT_DISK, reason, told, address)
        return disk_script(document.hostname, reason), True

    def _note(
        self, document: NodeDocument, kind: str, text: str, told: Sighting, address: str
    ) -> None:
        now = self._context.clock()
        key = f"{document.stack}/{document.hostname}"
        last = self._noted.get(key)
        if last is not None and now - last[0] < _AGAIN and last[1:] == (kind, address):
            return
        if not self._notes.allows(f"{key} {address}"):
            return  # or whoever asks again and again would push out what the machine did
        if len(self._noted) >= _NOTED:
            self._noted.clear()
        self._noted[key] = (now, kind, address)
        sighting = replace(told, at=now, address=address)
        note = self._context.observer.note
        note(Seen(document.stack, document.hostname, sighting))
        note(Event(document.stack, document.hostname, now, kind, text, address))


def architecture_problem(document: NodeDocument, arch: str) -> str:
    """Why a machine with iPXE's ``arch`` cannot be this node; empty when it can."""
    if arch == document.arch.ipxe:
        return ""
    known = {"x86_64": "x86-64", "arm64": "arm64", "i386": "32-bit x86"}
    return (
        f"its firmware is {known.get(arch, 'of an unknown architecture')},"
        f" but the stack says {document.arch}"
    )


@lru_cache(maxsize=4096)
def parse_query(query: bytes) -> Sighting:
    """What iPXE says of the machine; unknown fields are dropped, known ones shortened.

    When it was said, and from where, is filled in by who notes it: the same query is parsed once.
    """
    pairs: Sequence[tuple[str, str]] = parse_qsl(query[:4096].decode("latin-1"), errors="replace")
    told = dict(pairs)
    return Sighting(
        at=0.0,
        address="",
        arch=short_text(told.get("arch", ""), 32),
        platform=short_text(told.get("platform", ""), 32),
        manufacturer=short_text(told.get("manufacturer", ""), 128),
        product=short_text(told.get("product", ""), 128),
        serial=short_text(told.get("serial", ""), 128),
        simulated=told.get("simulated") == "1",
    )


async def _send(send: Send, status: int, body: bytes) -> tuple[Message, Message]:
    headers = [(b"content-length", b"%d" % len(body)), *_TEXT]
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    rest: Message = {"type": "http.response.body", "body": body}
    await send(start)
    await send(rest)
    return start, rest
