"""``GET live/<mac>``: what a node needs to know and what may change while it runs (decision 10)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import orjson
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.addresses import normalise_mac
from kindling.bootserver.answers import refusal
from kindling.bootserver.bodies import bearer
from kindling.bootserver.context import Context
from kindling.bootserver.door import generations_of, no_status_token, wrong_status_token
from kindling.bootserver.stages import may_join
from kindling.models.documents import NodeDocument
from kindling.stores.http import content_digest

_MOMENT = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class _Held:
    """Whether any machine of a cluster may join, of some version of records and documents."""

    version: str
    at: float
    any_armed: bool


class LiveDocuments:
    """The route's handler."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: dict[tuple[str, str], _Held] = {}

    async def get(self, request: Request) -> Response:
        """The node's live document, for a holder of one of its status tokens."""
        mac = normalise_mac(request.path_params["mac"])
        document = self._context.documents.node(mac) if mac else None
        if document is None:
            return refusal(404, "no published node has this MAC address")
        token = bearer(request.headers.get("authorization"))
        if not token:
            return no_status_token()
        if not generations_of(document, token):
            return wrong_status_token()
        body = orjson.dumps(self._document(document))
        digest = content_digest(sha256(body).hexdigest())
        headers = {"Content-Digest": digest, "Cache-Control": "no-store"}
        return Response(body, headers=headers, media_type="application/json")

    def _document(self, document: NodeDocument) -> dict[str, object]:
        return {
            "schemaVersion": 1,
            "host": document.hostname,
            "cluster": document.cluster,
            "generation": document.generation,
            "anyArmed": self._any_armed(document),
            "files": document.live,
            "digests": {
                name: sha256(text.encode()).hexdigest() for name, text in document.live.items()
            },
        }

    def _any_armed(self, document: NodeDocument) -> bool:
        """Whether any machine of the cluster may need a credential to join.

        Every machine asks every two minutes: for a moment the answer is the same for all of them.
        """
        context, key = self._context, (document.stack, document.cluster)
        now, version = context.clock(), f"{context.mirror.pulse()}.{context.documents.revision}"
        held = self._held.get(key)
        if held is None or held.version != version or not held.at <= now < held.at + _MOMENT:
            found = any(
                may_join(context.record_of(other), other, now)
                for other in context.cluster_of(document)
            )
            held = self._held[key] = _Held(version, now, found)
        return held.any_armed
