"""``POST claim/<mac>``: one machine of a cluster is allowed to initialise it."""

from __future__ import annotations

import logging
from typing import Annotated

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.answers import json_answer, refusal, unavailable
from kindling.bootserver.claims import (
    PURPOSES,
    Asking,
    Claim,
    Known,
    Member,
    Purpose,
    Verdict,
    ended,
    judge,
    role_of,
)
from kindling.bootserver.context import Context
from kindling.bootserver.documents import first_problem
from kindling.bootserver.door import Door
from kindling.bootserver.records import SERVER, Audit, read_all, write_audit
from kindling.bootserver.states import Record
from kindling.errors import BootServerError, RecordsLost
from kindling.models.documents import NodeDocument

log = logging.getLogger(__name__)

LONGEST_BODY = 4 * 1024  # bytes


class _Body(BaseModel):
    """The claim as sent. Unknown keys are ignored: a machine in the field cannot be mended."""

    model_config = ConfigDict(extra="ignore", strict=True)

    purpose: Purpose
    generation: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
    incarnation: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None = None
    done: StrictBool = False


class ClaimRoute:
    """The route's handler."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._door = Door(context, longest=LONGEST_BODY)

    async def post(self, request: Request) -> Response:
        """Grant the claim or say why not; what is granted is stored first."""
        admitted = await self._door.admit(request)
        if isinstance(admitted, Response):
            return admitted
        try:
            body = _Body.model_validate_json(admitted.body)
        except ValidationError as error:
            return refusal(422, first_problem(error))
        if body.generation not in admitted.spoken_for:
            return refusal(403, f"this token does not speak for generation {body.generation}")
        try:
            verdict = await run_in_threadpool(self._ask, admitted.document, body)
        except BootServerError as error:
            return unavailable(str(error))
        return json_answer(
            {"granted": verdict.granted, "holder": verdict.holder, "reason": verdict.reason}
        )

    def _ask(self, document: NodeDocument, body: _Body) -> Verdict:
        context, now = self._context, self._context.clock()
        site = context.site(document.stack)
        published = site.incarnation if site else 0
        incarnation = body.incarnation or published
        asking = Asking(document, body.purpose, body.generation, incarnation, body.done)
        verdicts: list[Verdict] = []

        def decide(
            connection: sa.Connection, stored: Claim | None
        ) -> tuple[Claim | None, Audit | None]:
            known = _known(context, connection, document, published, now)
            verdict = judge(asking, stored, known, now)
            verdicts.append(verdict)
            return verdict.claim, _entry(document, verdict.claim, now)

        context.claims.change(asking.key, decide)
        return verdicts[-1]


def initialised(
    context: Context, connection: sa.Connection, document: NodeDocument, record: Record, now: float
) -> None:
    """A node reports `ready`: what its role may initialise is done. Within its transaction."""
    documents, site = context.cluster_of(document), context.site(document.stack)
    if site is None or not 0 < record.stage_incarnation <= site.incarnation:
        return
    for purpose in PURPOSES:
        if document.role != role_of(purpose, documents):
            continue
        asking = Asking(
            document, purpose, record.stage_generation, record.stage_incarnation, done=True
        )
        try:
            stored = context.claims.get(connection, asking.key)
            if stored is None or stored.done_at is None:
                done = ended(stored, asking, now)
                context.claims.write(connection, done)
                said = f"{document.hostname} is ready, so {_what(done)} is initialised"
                write_audit(connection, Audit(done.stack, done.holder, now, SERVER, "done", said))
        except RecordsLost:
            raise
        except BootServerError as error:  # of a note; that a machine is ready is not refused for it
            log.error("%s is ready, but: %s", document.hostname, error)


def _known(
    context: Context,
    connection: sa.Connection,
    document: NodeDocument,
    incarnation: int,
    now: float,
) -> Known:
    records = read_all(connection, document.stack)
    members = [
        Member(each, records.get(each.hostname) or Record(each.stack, each.hostname))
        for each in context.cluster_of(document)
    ]
    trusted_from = context.database.made_at + context.settings.claim_grace
    return Known(incarnation, members, max(0.0, trusted_from - now))


def _entry(document: NodeDocument, claim: Claim | None, now: float) -> Audit | None:
    """What the audit trail of the holder says, when the claim is stored."""
    if claim is None:
        return None
    if claim.done_at is not None:
        said = f"initialised {_what(claim)}"
        return Audit(document.stack, document.hostname, now, SERVER, "done", said)
    said = f"may initialise {_what(claim)}"
    return Audit(document.stack, document.hostname, now, SERVER, "claim", said)


def _what(claim: Claim) -> str:
    return f"{claim.purpose} of {claim.cluster}, incarnation {claim.incarnation}"
