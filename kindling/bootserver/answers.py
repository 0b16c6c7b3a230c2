"""Short answers that several routes give."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response


def json_answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``data`` as JSON."""
    return Response(orjson.dumps(data), status, headers, media_type="application/json")


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """An error as JSON with one sentence that says what was wrong and what to do."""
    return json_answer({"error": sentence}, status, headers)


def unavailable(sentence: str) -> Response:
    """503: nothing was stored, and asking again soon will do."""
    return refusal(503, sentence, {"Retry-After": "2"})
