"""Rendering of the page: templates that escape everything, and headers that allow no more."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from starlette.responses import Response

from kindling.bootserver.durations import age

HERE = Path(__file__).resolve().parent

# No inline script or style, nothing from elsewhere, no frames around it.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@cache
def environment() -> jinja2.Environment:
    """The environment of the pages: strict, and everything is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["age"] = age
    made.filters["clock"] = _clock
    made.filters["iso"] = _iso
    made.filters["size"] = _size
    made.filters["words"] = _words
    return made


def render_page(template: str, status: int = 200, **values: object) -> Response:
    """One page as an answer."""
    body = environment().get_template(template).render(**values)
    return Response(body, status, HEADERS, media_type="text/html; charset=utf-8")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _words(text: str) -> Markup:
    """Escaped text in which `this` is shown as code."""
    parts = [escape(part) for part in text.split("`")]
    shown = [Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts)]
    return Markup("").join(shown)


def _size(count: int) -> str:
    """Bytes as people say them, in powers of ten."""
    for limit, unit in ((1e3, "B"), (1e6, "kB"), (1e9, "MB")):
        if count < limit:
            return f"{count / (limit / 1e3):.0f} {unit}"
    return f"{count / 1e9:.1f} GB"
