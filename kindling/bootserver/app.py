"""The boot server: every route, on one screen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kindling.bootserver import files, health
from kindling.bootserver.access import Access
from kindling.bootserver.answers import unavailable
from kindling.bootserver.api import Api
from kindling.bootserver.boot import BootScripts
from kindling.bootserver.claiming import ClaimRoute
from kindling.bootserver.clusters import Clusters
from kindling.bootserver.context import Context, make_context
from kindling.bootserver.events import EventStreams
from kindling.bootserver.fast import FastPath
from kindling.bootserver.ignition import IgnitionFiles
from kindling.bootserver.live import LiveDocuments
from kindling.bootserver.metrics import Metrics
from kindling.bootserver.operator import require_operator
from kindling.bootserver.page import Page, static
from kindling.bootserver.settings import Settings
from kindling.bootserver.status import Statuses
from kindling.bootserver.views import Pictures
from kindling.bootserver.watching import WatchedFiles
from kindling.errors import RecordsLost

log = logging.getLogger(__name__)

_LOOK = 1.0  # seconds between looks for newly published documents


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], float] | None = None,
    end: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """The ASGI application. ``clock`` (seconds since the epoch) is for tests.

    ``end`` is called when the records are lost: it lets the server start this worker again.
    Raises `BootServerError` when the boot records cannot be opened.
    """
    context = make_context(settings, clock) if clock else make_context(settings)
    pictures = Pictures(context)
    metrics = Metrics(lambda: pictures.newest().counts, lambda: pictures.newest().silent)
    api, page, access = Api(context, pictures), Page(context, pictures), Access(context)
    boot, ignition, clusters = BootScripts(context), IgnitionFiles(context), Clusters(context)
    streams = EventStreams(pictures)
    published = files.routes(settings, context.store_changed, metrics.uploaded)
    viewer = access.viewer
    read = ["GET", "HEAD"]
    routes = [
        Route("/", access.page_viewer(page.whole), methods=read),
        Route("/fragment", access.viewer(page.fragment), methods=["GET"]),
        Route("/static/{name}", static, methods=read),
        Route("/login", access.form, methods=["GET"]),
        Route("/login", access.login, methods=["POST"]),
        Route("/logout", access.logout, methods=["POST"]),
        Route("/boot/{mac}", boot, methods=["GET"]),
        Route("/ignition/{mac}", ignition, methods=read),
        Route("/live/{mac}", LiveDocuments(context).get, methods=["GET"]),
        Route("/status/{mac}", Statuses(context).post, methods=["POST"]),
        Route("/claim/{mac}", ClaimRoute(context).post, methods=["POST"]),
        Route("/api/nodes", viewer(api.nodes), methods=["GET"]),
        Route("/api/nodes/{name}", viewer(api.node), methods=["GET"]),
        *_orders(api, clusters, settings),
        Route("/api/clusters", viewer(clusters.list), methods=["GET"]),
        Route("/api/unknown", viewer(api.unknown), methods=["GET"]),
        Route("/api/artifacts", viewer(api.artifacts), methods=["GET"]),
        Route("/api/events", viewer(streams.get), methods=["GET"]),
        *health.routes(settings, metrics, context.check),
        *published,
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={RecordsLost: _lost},
        lifespan=lambda app: _life(context, streams, end),
    )
    hot: dict[str, ASGIApp] = {**files.fast_handlers(published), "boot": boot}
    hot["ignition"] = ignition
    hot["assets"] = WatchedFiles(hot["assets"], context)
    return FastPath(app, hot, metrics)


def _orders(api: Api, clusters: Clusters, settings: Settings) -> list[Route]:
    """What only the operator may do, each with the token."""
    orders = [
        ("/api/nodes/{name}/arm", "POST", api.arm),
        ("/api/nodes/{name}/disarm", "POST", api.disarm),
        ("/api/nodes/{name}/reboot", "POST", api.reboot),
        ("/api/nodes/{name}/reboot", "DELETE", api.cancel_reboot),
        ("/api/nodes/{name}/reboot/cancel", "POST", api.cancel_reboot),
        ("/api/clusters/{stack}/release", "POST", clusters.release),
    ]
    return [
        Route(path, require_operator(handler, settings), methods=[method])
        for path, method, handler in orders
    ]


@asynccontextmanager
async def _life(
    context: Context, streams: EventStreams, end: Callable[[], None]
) -> AsyncIterator[None]:
    with context:
        watching = asyncio.create_task(_watch(context, streams, end))
        yield
        await streams.end()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(context: Context, streams: EventStreams, end: Callable[[], None]) -> None:
    try:
        await _keep_published(context)
    except RecordsLost as error:
        log.error("%s", error)
        await streams.end()
        end()


async def _keep_published(context: Context) -> None:
    """Note new generations soon after their publication, also when no machine asks.

    Raises `RecordsLost` soon after the database's file was deleted.
    """
    seen = -1
    while True:
        context.database.verify()
        revision = context.documents.revision
        if revision != seen:
            try:
                await run_in_threadpool(context.publish)
                seen = revision
            except SQLAlchemyError as error:
                log.warning("new documents are not in the records yet: %s", error)
        await asyncio.sleep(_LOOK)


async def _lost(request: Request, error: Exception) -> Response:
    return unavailable(str(error))
