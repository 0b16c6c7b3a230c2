"""``/api/clusters``: who initialises what, and the operator's release of a claim."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.answers import json_answer, refusal, unavailable
from kindling.bootserver.bodies import read_bounded
from kindling.bootserver.claims import Claim, Key, Purpose
from kindling.bootserver.context import Context
from kindling.bootserver.documents import first_problem
from kindling.bootserver.durations import age
from kindling.bootserver.operator import who_of
from kindling.bootserver.records import Audit
from kindling.errors import BootServerError

_LONGEST_BODY = 4 * 1024  # bytes


class _Release(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    purpose: Purpose


class _NotReleased(Exception):
    """Why a claim stays as it is."""


class Clusters:
    """The handlers below ``/api/clusters``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def list(self, request: Request) -> Response:
        """Every published cluster with the claims of its incarnations."""
        claims = await run_in_threadpool(self._context.claims.all)
        found = [
            {
                "stack": site.stack,
                "cluster": site.cluster,
                "incarnation": site.incarnation,
                "claims": [
                    claim_json(claim)
                    for claim in claims
                    if (claim.stack, claim.cluster) == (site.stack, site.cluster)
                ],
            }
            for site in self._context.documents.sites()
        ]
        return json_answer(found, headers={"Cache-Control": "no-store"})

    async def release(self, request: Request) -> Response:
        """Take an unfinished claim back, so that another machine is granted it."""
        site = self._context.site(request.path_params["stack"])
        if site is None:
            return refusal(404, "no stack of this name is published; /api/clusters lists them")
        try:
            asked = _Release.model_validate_json(await read_bounded(request, _LONGEST_BODY) or b"")
        except ValidationError as error:
            return refusal(422, first_problem(error))
        key: Key = (site.stack, site.cluster, asked.purpose, site.incarnation)
        try:
            claim = await run_in_threadpool(self._release, key, who_of(request))
        except _NotReleased as why:
            return refusal(409, str(why))
        except BootServerError as error:
            return unavailable(str(error))
        return json_answer({"released": claim_json(claim)})

    def _release(self, key: Key, who: str) -> Claim:
        now = self._context.clock()
        released: list[Claim] = []

        def check(claim: Claim | None) -> Audit:
            if claim is None:
                raise _NotReleased(f"nobody holds the claim of {key[2]} for {key[1]}")
            if claim.done_at is not None:
                raise _NotReleased(
                    f"{claim.holder} initialised {claim.purpose} {age(now - claim.done_at)} ago;"
                    " raise kubernetes.incarnation to form a new cluster"
                )
            released.append(claim)
            held = f"{claim.purpose}, held for {age(now - claim.claimed_at)}"
            return Audit(claim.stack, claim.holder, now, who, "release", held)

        self._context.claims.remove(key, check)
        return released[0]


def claim_json(claim: Claim) -> dict[str, Any]:
    """A claim as one object; times are seconds since the epoch, ``doneAt`` null until it is."""
    return {
        "purpose": claim.purpose,
        "incarnation": claim.incarnation,
        "holder": claim.holder,
        "claimedAt": claim.claimed_at,
        "doneAt": claim.done_at,
    }
