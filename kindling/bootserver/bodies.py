"""Reading request bodies from strangers: bounded, and without trust in Content-Length."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request


async def read_bounded(request: Request, most: int) -> bytes | None:
    """The body, or None when it has more than ``most`` bytes or the client went away."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        return None
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


def bearer(authorization: str | None) -> str:
    """The token of an ``Authorization: Bearer`` header; empty when there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
