"""Strict Jinja2 environments: an unset variable is an error, values are quoted by filters."""

from __future__ import annotations

import json
import shlex
from functools import cache
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def quote_yaml(value: object) -> str:
    """Any JSON value as one line of YAML (JSON is YAML), so no value can break a document."""
    return json.dumps(value, ensure_ascii=False)


def quote_shell(value: object) -> str:
    """A value as one word of a POSIX shell."""
    return shlex.quote(str(value))


@cache
def environment() -> jinja2.Environment:
    """The environment over ``templates/``; one per process, compiled templates are kept."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # texts for machines; pages have an environment of their own
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["yaml"] = quote_yaml
    made.filters["sh"] = quote_shell
    return made


def render(template: str, **values: object) -> str:
    """Render one template of ``templates/``. Raises jinja2's own errors."""
    return environment().get_template(template).render(**values)
