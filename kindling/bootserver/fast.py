"""The outermost layer: counts answers, and takes hot requests past Starlette's routing.

Routing, middleware and request objects cost as much as sending a 30 kB document from memory. The
first part of the path picks the handler here; everything else goes to the application.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kindling.bootserver.answers import unavailable
from kindling.bootserver.metrics import Metrics
from kindling.errors import RecordsLost


class FastPath:
    """GET and HEAD of ``/<part>`` and ``/<part>/...`` to ``handlers[part]``, the rest to ``app``.

    Handlers are ASGI applications; they find what follows in ``path_params`` as ``path`` and as
    ``mac``. They should also be routes of ``app``, where other methods get their 405.
    """

    def __init__(self, app: ASGIApp, handlers: Mapping[str, ASGIApp], metrics: Metrics) -> None:
        self.app = app
        self._handlers = dict(handlers)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over one request, or the server's life span."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        handler = self.app
        if scope["method"] in ("GET", "HEAD"):
            first, _, rest = path[1:].partition("/")
            if fast := self._handlers.get(first):
                handler = fast
                scope["path_params"] = {"path": rest, "mac": rest}

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count(path, message["status"])
            await send(message)

        try:
            await handler(scope, receive, counted)
        except RecordsLost as error:  # nothing was sent: what is answered is stored first
            await unavailable(str(error))(scope, receive, counted)
