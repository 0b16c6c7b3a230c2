"""Who may see the page and ``/api``: the operator, unless the stack made the page public.

A program sends the operator's token as a bearer. A browser logs in once with it and gets a cookie
that holds a signed session: the token itself is never stored in the browser.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kindling.bootserver.bodies import read_bounded
from kindling.bootserver.context import Context
from kindling.bootserver.limiter import Limiter
from kindling.bootserver.operator import Handler, operator_refusal
from kindling.bootserver.pages import render_page
from kindling.bootserver.tickets import SESSION_LIFE

COOKIE = "kindling_session"


class Access:
    """Guards of handlers, and the login form."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._attempts = Limiter(burst=10, refill=0.1)  # per address

    def viewer(self, handler: Handler) -> Handler:
        """``handler`` for who may look; 401 or 403 for others. For programs."""

        async def guarded(request: Request) -> Response:
            if self._may_look(request):
                return await handler(request)
            refused = operator_refusal(
                request.headers.get("authorization"), self._context.settings.token
            )
            return refused if refused is not None else await handler(request)

        return guarded

    def page_viewer(self, handler: Handler) -> Handler:
        """``handler`` for who may look; others are sent to the login form. For browsers."""

        async def guarded(request: Request) -> Response:
            if self._may_look(request):
                return await handler(request)
            return RedirectResponse("/login", 303)

        return guarded

    async def form(self, request: Request) -> Response:
        """The login form."""
        return self._form("")

    async def login(self, request: Request) -> Response:
        """Take the operator's token from the form and start a session."""
        if not self._attempts.allows(self._context.address(request.scope)):
            return self._form("Too many attempts. Wait a minute.", 429)
        body = await read_bounded(request, 4096)
        given = parse_qs((body or b"").decode("latin-1")).get("token", [""])[0].strip()
        token = self._context.settings.token
        if token is None:
            return self._form("This server was started without an operator's token.", 403)
        wanted = token.get_secret_value().encode()
        if not hmac.compare_digest(given.encode(), wanted):
            return self._form("This is not the operator's token.", 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            self._context.tickets.open_session(self._context.clock()),
            max_age=SESSION_LIFE,
            httponly=True,
            samesite="strict",
            secure=self._context.settings.scheme == "https",
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session in this browser."""
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    def _form(self, problem: str, status: int = 200) -> Response:
        return render_page("login.html", status, problem=problem)

    def _may_look(self, request: Request) -> bool:
        if self._context.documents.public:
            return True
        if (
            operator_refusal(request.headers.get("authorization"), self._context.settings.token)
            is None
        ):
            return True
        session = request.cookies.get(COOKIE, "")
        return self._context.tickets.is_session(session, self._context.clock())
