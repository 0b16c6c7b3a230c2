"""``GET live/<mac>``: what a node needs to know and what may change while it runs (decision 10)."""

from __future__ import annotations

from hashlib import sha256

import orjson
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.addresses import normalise_mac
from kindling.bootserver.answers import refusal
from kindling.bootserver.bodies import bearer
from kindling.bootserver.context import Context
from kindling.bootserver.states import may_install
from kindling.bootserver.status import generations_of, no_status_token, wrong_status_token
from kindling.models.documents import NodeDocument
from kindling.stores.http import content_digest


class LiveDocuments:
    """The route's handler."""

    def __init__(self, context: Context) -> None:
        self._context = context

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
        }

    def _any_armed(self, document: NodeDocument) -> bool:
        context, now = self._context, self._context.clock()
        return any(
            may_install(context.record_of(other), other, now)
            for other in context.documents.all()
            if (other.stack, other.cluster) == (document.stack, document.cluster)
        )
