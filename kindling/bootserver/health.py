"""Whether this server can do its work, and how much of it it did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kindling.bootserver.answers import json_answer
from kindling.bootserver.metrics import CONTENT_TYPE, Metrics
from kindling.bootserver.settings import Settings
from kindling.errors import KindlingError
from kindling.stores.directory import DirectoryStore

Check = Callable[[], None]


def routes(settings: Settings, metrics: Metrics, database: Check) -> list[Route]:
    """``/healthz`` and ``/metrics``, both without a token: they name no machine.

    ``database`` is called in a thread and raises `KindlingError` when the records cannot be
    read and written.
    """
    store = DirectoryStore(settings.directory)
    checks: dict[str, Check] = {"store": store.check, "database": database}

    async def healthz(request: Request) -> Response:
        found = {name: await asyncio.to_thread(_outcome, check) for name, check in checks.items()}
        well = all(outcome == "ok" for outcome in found.values())
        return json_answer(found, 200 if well else 503, {"Cache-Control": "no-store"})

    async def scrape(request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics.text), media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/metrics", scrape)]


def _outcome(check: Check) -> str:
    try:
        check()
    except KindlingError as error:
        return str(error)
    return "ok"
