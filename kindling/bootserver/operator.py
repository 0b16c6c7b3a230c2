"""The operator's bearer token, at the one place where it is compared."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.addresses import short_text
from kindling.bootserver.answers import refusal
from kindling.bootserver.settings import SHORTEST_TOKEN, TOKEN_VARIABLE, Settings

Handler = Callable[[Request], Awaitable[Response]]

_CLOSED = (
    "this boot server was started without an operator's token, so this is closed; set"
    f" {TOKEN_VARIABLE} or --token-file ({SHORTEST_TOKEN} characters or more) and start it again"
)


def operator_refusal(authorization: str | None, token: SecretStr | None) -> Response | None:
    """None when the ``Authorization`` header carries the operator's token, else the refusal.

    403 when the server has no token (never open by omission), 401 when the token is missing or
    wrong. The comparison takes the same time whatever the token.
    """
    if token is None:
        return refusal(403, _CLOSED)
    scheme, _, given = (authorization or "").partition(" ")
    wanted = token.get_secret_value().encode()
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted):
        return None
    said = "the operator's token is wrong" if given else "the operator's token is missing"
    return refusal(
        401,
        f"{said}; send `Authorization: Bearer TOKEN` with the token the server was started with",
        {"WWW-Authenticate": "Bearer"},
    )


def who_of(request: Request) -> str:
    """Who the operator says to be, for the audit trail."""
    return short_text(request.headers.get("kindling-operator", ""), 100) or "operator"


def require_operator(handler: Handler, settings: Settings) -> Handler:
    """``handler``, for the operator only."""

    async def guarded(request: Request) -> Response:
        refused = operator_refusal(request.headers.get("authorization"), settings.token)
        return refused if refused is not None else await handler(request)

    return guarded
