"""The door for what machines post: the node's own token first, then the body, both in bounds."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.addresses import normalise_mac
from kindling.bootserver.answers import refusal
from kindling.bootserver.bodies import bearer, read_bounded
from kindling.bootserver.context import Context
from kindling.bootserver.limiter import Limiter
from kindling.models.documents import NodeDocument


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request of a node's machine: its token speaks for the generations ``spoken_for``."""

    document: NodeDocument
    spoken_for: tuple[int, ...]
    body: bytes
    address: str


class Door:
    """Who may post to one route, and how often. ``longest`` is of a body, in bytes."""

    def __init__(self, context: Context, *, longest: int) -> None:
        self._context = context
        self._longest = longest
        self._nodes = Limiter(burst=60, refill=1.0)  # per node
        self._strangers = Limiter(burst=30, refill=0.5)  # per address, of wrong tokens

    async def admit(self, request: Request) -> Admitted | Response:
        """The request when it is the machine's own, else the refusal."""
        mac = normalise_mac(request.path_params["mac"])
        document = self._context.documents.node(mac) if mac else None
        if document is None:
            return refusal(404, "no published node has this MAC address")
        address = self._context.address(request.scope)
        token = bearer(request.headers.get("authorization"))
        spoken_for = generations_of(document, token)
        if not spoken_for:
            return self._stranger(token, address)
        if not self._nodes.allows(document.macs[0]):
            return _later()
        body = await read_bounded(request, self._longest)
        if body is None:
            return refusal(413, f"this takes at most {self._longest} bytes")
        return Admitted(document, spoken_for, body, address)

    def _stranger(self, token: str, address: str) -> Response:
        if not token:
            return no_status_token()
        if not self._strangers.allows(address):
            return _later()
        return wrong_status_token()


def generations_of(document: NodeDocument, token: str) -> tuple[int, ...]:
    """The generations that a status token speaks for; none for a foreign one."""
    digest = sha256(token.encode()).hexdigest()
    return tuple(
        generation
        for generation, expected in document.status_tokens.items()
        if hmac.compare_digest(expected, digest)
    )


def no_status_token() -> Response:
    """401: there is no bearer token."""
    said = "send the node's status token as a bearer"
    return refusal(401, said, {"WWW-Authenticate": "Bearer"})


def wrong_status_token() -> Response:
    """403: the bearer token is not one of this node."""
    return refusal(403, "this is no status token of this node's published generations")


def _later() -> Response:
    return refusal(429, "too many requests of this machine; wait a minute", {"Retry-After": "60"})
