"""Routes of the published tree: public files for machines, ``store/`` for the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kindling.bootserver.answers import refusal
from kindling.bootserver.operator import operator_refusal
from kindling.bootserver.serving import FileServer
from kindling.bootserver.settings import Settings
from kindling.bootserver.uploads import Changed, Refused, Uploads, path_of
from kindling.errors import StoreError, StoreRefused
from kindling.stores.base import checked_path, is_public
from kindling.stores.directory import DirectoryStore

_METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]


def routes(
    settings: Settings,
    changed: Changed | None = None,
    uploaded: Callable[[int], None] | None = None,
) -> list[Route]:
    """The routes below ``store/`` and of the public files.

    ``changed`` is called with the store path and its size in bytes (0: deleted) after each
    publication and deletion by this process; what other processes write is found by looking
    (see `Documents`). ``uploaded`` is given the number of bytes of each publication.
    """

    def noted(path: str, size: int) -> None:
        if changed:
            changed(path, size)
        if uploaded and size:
            uploaded(size)

    store = DirectoryStore(settings.directory, keep_free=settings.keep_free)
    server = FileServer(store)
    public = PublicFiles(server)
    door = StoreDoor(settings, store, server, noted)
    return [
        Route("/assets/{path:path}", public, methods=["GET", "HEAD"]),
        Route("/boot.ipxe", public, methods=["GET", "HEAD"]),
        Route("/dnsmasq/{path:path}", public, methods=["GET", "HEAD"]),
        Route("/store/{path:path}", door, methods=_METHODS),
    ]


def fast_handlers(routes: list[Route]) -> dict[str, ASGIApp]:
    """The public files of ``routes`` by the first part of their path, for `FastPath`."""
    return {
        r.path.split("/", 2)[1]: r.endpoint for r in routes if isinstance(r.endpoint, PublicFiles)
    }


class PublicFiles:
    """What every machine on the boot network may read, and nothing else."""

    def __init__(self, server: FileServer) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file of the request's path, or 404."""
        path = scope["path"][1:]
        if _is_allowed(path) and await self._server.answer(path, scope, send):
            return
        await refusal(404, "there is no such file")(scope, receive, send)


class StoreDoor:
    """``store/<path>``: every method asks for the operator's token first."""

    def __init__(
        self,
        settings: Settings,
        store: DirectoryStore,
        server: FileServer,
        changed: Changed,
    ) -> None:
        self._token = settings.token
        self._store = store
        self._server = server
        self._uploads = Uploads(settings, store, changed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by method."""
        request = Request(scope, receive, send)
        answer = operator_refusal(request.headers.get("authorization"), self._token)
        if answer is None and scope["method"] in ("GET", "HEAD"):
            answer = await self._read(request, scope, send)
            if answer is None:
                return
        if answer is None:
            answer = await self._change(request)
        await answer(scope, receive, send)

    async def _change(self, request: Request) -> Response:
        handlers = {
            "PUT": self._uploads.put,
            "POST": self._uploads.adopt,
            "DELETE": self._uploads.delete,
        }
        return await handlers[request.method](request)

    async def _read(self, request: Request, scope: Scope, send: Send) -> Response | None:
        """Answer GET and HEAD; None when the answer was sent already."""
        if not request.path_params["path"]:
            return await self._uploads.list(request)
        try:
            path = path_of(request)
            # Hashes what was altered behind the store's back, so that ETag and digest are true.
            found = await asyncio.to_thread(self._store.stat, path)
        except Refused as refused:
            return refused.answer
        except StoreError as error:
            return refusal(500, str(error))
        if found is not None:
            owners = [(b"kindling-owners", ", ".join(found.owners).encode())]
            if await self._server.answer(path, scope, send, owners):
                return None
        return refusal(404, f"{path} is not in the store")


@lru_cache(maxsize=4096)
def _is_allowed(path: str) -> bool:
    try:
        return is_public(checked_path(path))
    except StoreRefused:
        return False
