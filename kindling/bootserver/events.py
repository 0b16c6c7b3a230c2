"""``/api/events``: server-sent events. Says which nodes changed; the page fetches the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kindling.bootserver.answers import refusal
from kindling.bootserver.api import node_json
from kindling.bootserver.views import Pictures

_INTERVAL = 0.5  # seconds between looks
_TICK = 20.0  # seconds after which ages are worth drawing again; also keeps proxies awake
_LONGEST = 10 * 60.0  # seconds of one stream; the browser connects again by itself
_MOST = 100  # streams at once
_STOP = 5.0  # seconds that streams get to end

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStreams:
    """The route's handler; streams end when the server does."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._open = 0
        self._ended = asyncio.Event()
        self._quiet = asyncio.Event()

    async def get(self, request: Request) -> Response:
        """Stream ``changed`` events with the changed nodes, and a ``tick`` now and then."""
        if self._open >= _MOST:
            return refusal(503, "too many event streams are open", {"Retry-After": "30"})
        return StreamingResponse(self._stream(), headers=_HEADERS, media_type="text/event-stream")

    async def end(self) -> None:
        """End every stream, before what they read from is closed."""
        self._ended.set()
        self._quiet.clear()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), _STOP)

    async def _stream(self) -> AsyncIterator[bytes]:
        self._open += 1
        try:
            async for chunk in self._events():
                yield chunk
        finally:
            self._open -= 1
            if not self._open:
                self._quiet.set()

    async def _events(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began = ticked = loop.time()
        version, known = "", await self._nodes()
        yield _event("hello", {"count": len(known)}, retry=2000)
        while not self._ended.is_set() and loop.time() - began < _LONGEST:
            found = self._pictures.version()
            if found != version:
                nodes = await self._nodes()
                changed = [node for key, node in nodes.items() if _differ(node, known.get(key))]
                gone = [key for key in known if key not in nodes]
                # The first look only tells what is new since `hello`.
                if version or changed or gone:
                    yield _event("changed", {"nodes": changed, "gone": gone})
                version, known = self._pictures.version(), nodes
            elif loop.time() - ticked >= _TICK:
                ticked = loop.time()
                yield _event("tick", {})
            await self._pause()

    async def _nodes(self) -> dict[str, dict[str, Any]]:
        picture = await run_in_threadpool(self._pictures.newest)
        return {f"{v.document.stack}/{v.document.hostname}": node_json(v) for v in picture.nodes}

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._ended.wait(), _INTERVAL)
        except TimeoutError:
            return


def _differ(node: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Whether there is more to tell than that a machine repeated itself; ages come with ticks."""
    return before is None or node != {**before, "lastSeen": node["lastSeen"]}


def _event(name: str, data: Any, retry: int | None = None) -> bytes:
    lines = f"retry: {retry}\n" if retry is not None else ""
    return f"{lines}event: {name}\ndata: {orjson.dumps(data).decode()}\n\n".encode()
