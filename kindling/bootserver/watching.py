"""Fetched artifacts as steps of a machine's boot: kernel, initrd, image."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kindling.bootserver import timeline
from kindling.bootserver.context import Context
from kindling.bootserver.observer import FileAsked


class WatchedFiles:
    """Notes which address fetched a step's file, or asked for one that is not there."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at the answer's status."""
        path = scope["path"]
        kind = timeline.kind_of_file(path)
        if kind is None or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        address, at = self._context.address(scope), self._context.clock()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                name = path.rsplit("/", 1)[-1]
                found = kind if message["status"] < 400 else timeline.MISSING
                node = self._context.documents.at(address)
                owner = (node.stack, node.hostname) if node else None
                self._context.observer.note(FileAsked(at, address, found, name, owner))
            await send(message)

        await self._app(scope, receive, watched)
