"""``GET ignition/<mac>?token=<ticket>``: the installer's Ignition, where the ticket is good."""

from __future__ import annotations

import logging
from functools import lru_cache
from hashlib import sha256
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from kindling.bootserver import timeline
from kindling.bootserver.addresses import mac_of
from kindling.bootserver.answers import refusal
from kindling.bootserver.attempts import ignition_asked
from kindling.bootserver.context import Context
from kindling.bootserver.recent import Answer, RecentAnswers
from kindling.bootserver.records import Event
from kindling.bootserver.states import Record
from kindling.bootserver.tickets import Ticket
from kindling.bootserver.transitions import Refusal, published
from kindling.models.documents import NodeDocument
from kindling.stores.http import content_digest

log = logging.getLogger(__name__)

_NO_TICKET = "this needs the ticket of a boot script that was served in the last 15 minutes"


class IgnitionFiles:
    """The route's ASGI endpoint; the body comes from memory."""

    def __init__(self, context: Context) -> None:
        self._context = context
        proxied = bool(context.settings.trusted_proxies)
        self._recent = RecentAnswers(context.records, most=64, used=not proxied)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the document, or a refusal that says why."""
        recent = self._recent.get(scope) if scope["method"] == "GET" else None
        if recent is None:
            await self._answer(scope, receive, send)
            return
        await send(recent[0])
        await send(recent[1])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = self._recent.changes
        mac = mac_of(scope)
        document = self._context.documents.node(mac) if mac else None
        if document is None:
            await refusal(404, "no published node has this MAC address")(scope, receive, send)
            return
        ticket = self._ticket(scope, document)
        if ticket is None or ticket.generation != document.generation:
            await refusal(403, _NO_TICKET)(scope, receive, send)
            return
        refused = await self._judge(document, ticket, self._context.address(scope))
        if refused is not None:
            await refusal(refused.status, refused.reason)(scope, receive, send)
            return
        body = self._context.documents.ignition(document.macs[0])
        if body is None:
            said = "the node's Ignition is not published; run `pulumi up`"
            await refusal(404, said)(scope, receive, send)
            return
        answer = await _send(scope, send, body)
        if scope["method"] == "GET":
            self._recent.keep(scope, answer, changes)

    def _ticket(self, scope: Scope, document: NodeDocument) -> Ticket | None:
        given = dict(parse_qsl(scope["query_string"][:2048].decode("latin-1"))).get("token", "")
        return self._context.tickets.read(given, document.macs[0], self._context.clock())

    async def _judge(self, document: NodeDocument, ticket: Ticket, address: str) -> Refusal | None:
        context, now = self._context, self._context.clock()
        since = context.published_at(document)

        def decide(record: Record | None) -> Record | Refusal:
            known = published(record, document, since)
            return ignition_asked(known, document, ticket, address=address, now=now)

        record = context.record_of(document)
        decided = decide(record)
        # Mostly the same machine asks again; who asks first, and who must not, is stored first.
        if decided != record and not (isinstance(decided, Refusal) and decided.record is None):
            decided = await run_in_threadpool(
                context.records.change, document.stack, document.hostname, decide, now=now
            )
            if isinstance(decided, Refusal) and decided.record is not None:
                log.warning("%s is held: %s", document.hostname, decided.record.held)
        kind = timeline.REFUSED if isinstance(decided, Refusal) else timeline.IGNITION
        text = f"Ignition: {decided.reason}" if isinstance(decided, Refusal) else ""
        event = Event(document.stack, document.hostname, now, kind, text, address)
        context.observer.note(event)
        return decided if isinstance(decided, Refusal) else None


@lru_cache(maxsize=64)  # the store's memory gives the same object as long as the file is the same
def _digest(body: bytes) -> bytes:
    return content_digest(sha256(body).hexdigest()).encode()


async def _send(scope: Scope, send: Send, body: bytes) -> Answer:
    headers = [
        (b"content-length", b"%d" % len(body)),
        (b"content-type", b"application/vnd.coreos.ignition+json"),
        (b"cache-control", b"no-store"),
        (b"content-digest", _digest(body)),
    ]
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    sent = b"" if scope["method"] == "HEAD" else body
    rest: Message = {"type": "http.response.body", "body": sent}
    await send(start)
    await send(rest)
    return start, rest
