"""``POST status/<mac>``: what a machine says it did. Stored first, answered then."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver import timeline
from kindling.bootserver.addresses import normalise_mac
from kindling.bootserver.answers import json_answer, refusal
from kindling.bootserver.bodies import bearer, read_bounded
from kindling.bootserver.context import Context
from kindling.bootserver.documents import first_problem
from kindling.bootserver.limiter import Limiter
from kindling.bootserver.observer import Seen
from kindling.bootserver.records import Event, Sighting
from kindling.bootserver.states import Record, state_of
from kindling.bootserver.transitions import Refusal, Report, published, report
from kindling.models.documents import NodeDocument

LONGEST_BODY = 64 * 1024  # bytes; a log of 16 kB may need more as JSON
LONGEST_LOG = 16 * 1024  # characters; of a longer log the end is kept, where the error is

_CONTROL = re.compile(r"[^\x20-\x7e\n\t\xa0-\U0010ffff]")

_KINDS = {
    "installing": timeline.INSTALLING,
    "installed": timeline.INSTALLED,
    "booted": timeline.BOOTED,
    "failed": timeline.FAILED,
}


class _Body(BaseModel):
    """The report as sent. Unknown keys are ignored: a machine in the field cannot be mended."""

    model_config = ConfigDict(extra="ignore", strict=True)

    state: Literal["installing", "installed", "booted", "failed"]
    generation: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    message: str = ""
    log: str = ""
    simulated: StrictBool = False


class Statuses:
    """The route's handler."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reports = Limiter(burst=60, refill=1.0)  # per node
        self._strangers = Limiter(burst=30, refill=0.5)  # per address, of wrong tokens

    async def post(self, request: Request) -> Response:
        """Check the token, judge the report by the state machine, store, answer."""
        mac = normalise_mac(request.path_params["mac"])
        document = self._context.documents.node(mac) if mac else None
        if document is None:
            return refusal(404, "no published node has this MAC address")
        address = self._context.address(request.scope)
        token = bearer(request.headers.get("authorization"))
        spoken_for = generations_of(document, token)
        if not spoken_for:
            return self._stranger(token, address)
        if not self._reports.allows(document.macs[0]):
            return _later()
        raw = await read_bounded(request, LONGEST_BODY)
        if raw is None:
            return refusal(413, f"a status has at most {LONGEST_BODY} bytes")
        return await self._judge(document, spoken_for, raw, address)

    def _stranger(self, token: str, address: str) -> Response:
        if not token:
            return no_status_token()
        if not self._strangers.allows(address):
            return _later()
        return wrong_status_token()

    async def _judge(
        self, document: NodeDocument, spoken_for: tuple[int, ...], raw: bytes, address: str
    ) -> Response:
        try:
            body = _Body.model_validate_json(raw)
        except ValidationError as error:
            return refusal(422, first_problem(error))
        vouched = vouched_generation(document, spoken_for, body.state, body.generation)
        if vouched is None:
            return refusal(403, f"this token does not speak for generation {body.generation}")
        told = Report(
            body.state,
            body.generation,
            body.digest or "",
            _clean(body.message, 1000),
            _clean(body.log[-LONGEST_LOG:], LONGEST_LOG),
            vouched,
        )
        answer = await run_in_threadpool(self._store, document, told, address)
        self._note(document, body.simulated, address, answer, told)
        if isinstance(answer, Refusal):
            return refusal(answer.status, answer.reason)
        state = state_of(answer, document, self._context.clock())
        return json_answer({"state": str(state), "reboot": False})

    def _store(self, document: NodeDocument, told: Report, address: str) -> Record | Refusal:
        context, now = self._context, self._context.clock()
        since = context.published_at(document)

        def decide(record: Record | None) -> Record | Refusal:
            return report(published(record, document, since), document, told, now)

        text = f"generation {told.generation}" + (f": {told.message}" if told.message else "")
        event = Event(document.stack, document.hostname, now, _KINDS[told.state], text, address)
        return context.records.change(
            document.stack, document.hostname, decide, event=event, now=now
        )

    def _note(
        self,
        document: NodeDocument,
        simulated: bool,
        address: str,
        answer: Record | Refusal,
        told: Report,
    ) -> None:
        now, key = self._context.clock(), (document.stack, document.hostname)
        note = self._context.observer.note
        note(Seen(*key, Sighting(now, address, simulated=simulated)))
        if isinstance(answer, Refusal):
            text = f"`{told.state}`: {answer.reason}"
            note(Event(*key, now, timeline.REFUSED, text, address))


def generations_of(document: NodeDocument, token: str) -> tuple[int, ...]:
    """The generations that a status token speaks for; none for a foreign one."""
    digest = sha256(token.encode()).hexdigest()
    return tuple(
        generation
        for generation, expected in document.status_tokens.items()
        if hmac.compare_digest(expected, digest)
    )


def vouched_generation(
    document: NodeDocument, spoken_for: tuple[int, ...], state: str, generation: int
) -> int | None:
    """The generation that a token settles with this report, or None when it may not say that.

    An installer that finds a newer marker than its own generation (the stack was rolled back)
    reports that marker; its token then settles its own generation, and none above.
    """
    if generation in spoken_for:
        return generation
    if state == "installed" and generation > document.generation in spoken_for:
        return document.generation
    return None


def no_status_token() -> Response:
    """401: there is no bearer token."""
    said = "send the node's status token as a bearer"
    return refusal(401, said, {"WWW-Authenticate": "Bearer"})


def wrong_status_token() -> Response:
    """403: the bearer token is not one of this node."""
    return refusal(403, "this is no status token of this node's published generations")


def _clean(text: str, length: int) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)[:length].strip()


def _later() -> Response:
    return refusal(429, "too many reports; wait a minute", {"Retry-After": "60"})
