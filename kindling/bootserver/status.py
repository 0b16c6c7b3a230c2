"""``POST status/<mac>``: what a machine says it did. Stored first, answered then.

What an installed system says of the cluster is repeated every two minutes. A repetition that
changes nothing touches neither the database nor the timeline.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver import timeline
from kindling.bootserver.answers import json_answer, refusal
from kindling.bootserver.claiming import initialised
from kindling.bootserver.context import Context
from kindling.bootserver.documents import first_problem
from kindling.bootserver.door import Admitted, Door
from kindling.bootserver.limiter import Limiter
from kindling.bootserver.observer import Seen
from kindling.bootserver.records import Event, Sighting, write_events
from kindling.bootserver.stages import is_stage, staged
from kindling.bootserver.states import Record, state_of
from kindling.bootserver.transitions import Refusal, Report, ReportState, published, report
from kindling.models.documents import NodeDocument

LONGEST_BODY = 64 * 1024  # bytes; a log of 16 kB may need more as JSON
LONGEST_LOG = 16 * 1024  # characters; of a longer log the end is kept, where the error is

_CONTROL = re.compile(r"[^\x20-\x7e\n\t\xa0-\U0010ffff]")

_KINDS = {
    "installing": timeline.INSTALLING,
    "installed": timeline.INSTALLED,
    "booted": timeline.BOOTED,
    "failed": timeline.FAILED,
    "initialising": timeline.INITIALISING,
    "joining": timeline.JOINING,
    "joined": timeline.JOINED,
    "ready": timeline.READY,
}


class _Body(BaseModel):
    """The report as sent. Unknown keys are ignored: a machine in the field cannot be mended."""

    model_config = ConfigDict(extra="ignore", strict=True)

    state: ReportState
    stage: Literal["cluster"] | None = None
    generation: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
    incarnation: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None = None
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    message: str = ""
    log: str = ""
    simulated: StrictBool = False


class Statuses:
    """The route's handler."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._door = Door(context, longest=LONGEST_BODY)
        self._refusals = Limiter(burst=10, refill=1 / 600, clock=context.clock)  # on the timeline

    async def post(self, request: Request) -> Response:
        """Check the token, judge the report by the state machine, store, answer."""
        admitted = await self._door.admit(request)
        return admitted if isinstance(admitted, Response) else await self._judge(admitted)

    async def _judge(self, asked: Admitted) -> Response:
        document = asked.document
        try:
            body = _Body.model_validate_json(asked.body)
        except ValidationError as error:
            return refusal(422, first_problem(error))
        vouched = vouched_generation(document, asked.spoken_for, body.state, body.generation)
        if vouched is None:
            return refusal(403, f"this token does not speak for generation {body.generation}")
        told = _report(body, vouched)
        seen = self._seen(asked, body.simulated)
        if is_stage(told) and (known := self._repeated(document, told)):
            self._context.observer.heartbeats.note((seen.stack, seen.host), seen.sighting)
            return self._answer(document, known)
        answer = await run_in_threadpool(self._store, document, told, asked.address)
        self._context.observer.note(seen)
        if isinstance(answer, Refusal):
            self._note_refusal(asked, told, answer)
            return refusal(answer.status, answer.reason)
        return self._answer(document, answer)

    def _answer(self, document: NodeDocument, record: Record) -> Response:
        state = state_of(record, document, self._context.clock())
        return json_answer({"state": str(state), "reboot": record.reboot_at is not None})

    def _repeated(self, document: NodeDocument, told: Report) -> Record | None:
        """The record when the report says nothing new, by what is mirrored in memory."""
        known = self._context.mirror.get(document.stack, document.hostname)
        decided = self._decision(document, told)(known) if known is not None else None
        return known if known is not None and decided == known else None

    def _decision(
        self, document: NodeDocument, told: Report
    ) -> Callable[[Record | None], Record | Refusal]:
        context, now = self._context, self._context.clock()
        since = context.published_at(document)
        site = context.site(document.stack)

        def decide(record: Record | None) -> Record | Refusal:
            known = published(record, document, since)
            if is_stage(told):
                incarnation = site.incarnation if site else 0
                return staged(known, document, told, now, incarnation=incarnation)
            return report(known, document, told, now)

        return decide

    def _store(self, document: NodeDocument, told: Report, address: str) -> Record | Refusal:
        context, now = self._context, self._context.clock()
        text = f"generation {told.generation}" + (f": {told.message}" if told.message else "")
        kind = timeline.CLUSTER_FAILED if told.of_cluster else _KINDS[told.state]
        event = Event(document.stack, document.hostname, now, kind, text, address)

        def follow(connection: sa.Connection, before: Record | None, after: Record) -> None:
            if before is None or before.stage != after.stage:  # else it only says it differently
                write_events(connection, [event])
            if after.stage == "ready":
                initialised(context, connection, document, after, now)

        return context.records.change(
            document.stack,
            document.hostname,
            self._decision(document, told),
            event=None if is_stage(told) else event,
            follow=follow if is_stage(told) else None,
            now=now,
        )

    def _seen(self, asked: Admitted, simulated: bool) -> Seen:
        now = self._context.clock()
        sighting = Sighting(now, asked.address, simulated=simulated, reported_at=now)
        return Seen(asked.document.stack, asked.document.hostname, sighting)

    def _note_refusal(self, asked: Admitted, told: Report, refused: Refusal) -> None:
        key = (asked.document.stack, asked.document.hostname)
        if self._refusals.allows("/".join(key)):  # or what is repeated would push out the rest
            text = f"`{told.state}`: {refused.reason}"
            now = self._context.clock()
            self._context.observer.note(Event(*key, now, timeline.REFUSED, text, asked.address))


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


def _report(body: _Body, vouched: int) -> Report:
    return Report(
        body.state,
        body.generation,
        body.digest or "",
        _clean(body.message, 1000),
        _clean(body.log[-LONGEST_LOG:], LONGEST_LOG),
        vouched,
        of_cluster=body.state == "failed" and body.stage == "cluster",
        incarnation=body.incarnation or 0,
    )


def _clean(text: str, length: int) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)[:length].strip()
