"""The page at ``/``: rendered on the server, readable without JavaScript."""

from __future__ import annotations

from functools import cache

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.artifacts import Artifact, list_artifacts
from kindling.bootserver.context import Context
from kindling.bootserver.pages import HEADERS, HERE, render_page
from kindling.bootserver.timeline import TITLES
from kindling.bootserver.views import Picture, Pictures

_TYPES = {"page.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Page:
    """The handlers of the page and of its parts."""

    def __init__(self, context: Context, pictures: Pictures) -> None:
        self._context = context
        self._pictures = pictures

    async def whole(self, request: Request) -> Response:
        """The page."""
        return await self._render("page.html")

    async def fragment(self, request: Request) -> Response:
        """What changes on the page; the script puts it into place."""
        return await self._render("fragment.html")

    async def _render(self, template: str) -> Response:
        # In a thread: with a thousand nodes it takes long enough to keep machines waiting.
        return await run_in_threadpool(self._rendered, template)

    def _rendered(self, template: str) -> Response:
        picture, artifacts = self._look()
        return render_page(
            template,
            picture=picture,
            artifacts=artifacts,
            now=self._context.clock(),
            sites=self._context.documents.sites(),
            public=self._context.documents.public,
            titles=TITLES,
        )

    def _look(self) -> tuple[Picture, list[Artifact]]:
        return self._pictures.newest(), list_artifacts(self._context.settings)


async def static(request: Request) -> Response:
    """The page's style, script and icon."""
    name = request.path_params["name"]
    if name not in _TYPES:
        return Response("there is no such file\n", 404, media_type="text/plain")
    return Response(
        _static(name), headers={**HEADERS, "Cache-Control": "max-age=300"}, media_type=_TYPES[name]
    )


@cache
def _static(name: str) -> bytes:
    return (HERE / name).read_bytes()
