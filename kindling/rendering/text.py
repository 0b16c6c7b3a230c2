"""Rendering one template for one node, with errors that name node, template and line."""

from __future__ import annotations

import traceback

import jinja2

from kindling import templating
from kindling.errors import RenderError


def render_text(template: str, owner: str, /, **values: object) -> str:
    """The text of a template of ``templates/``.

    ``owner`` is whom the text is for (a host name, or the stack). Raises `RenderError` naming
    owner, template and the template's line.
    """
    try:
        return templating.render(template, **values)
    except jinja2.TemplateError as error:
        name, line = _place(error, template)
        raise RenderError(f"{owner}: templates/{name}, line {line}: {error.message}") from error


def _place(error: jinja2.TemplateError, template: str) -> tuple[str, int | str]:
    """Jinja2 rewrites its tracebacks, so the innermost frame in a template is the place."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.name or template, error.lineno
    root = str(templating.TEMPLATES)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(root):
            return frame.filename.removeprefix(root).lstrip("/"), frame.lineno or "unknown"
    return template, "unknown"
