"""Which renderer this is: two runs with the same digest render equal plans to equal bytes."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from kindling import templating

_PACKAGE = Path(templating.__file__).resolve().parent


@cache
def renderer_digest() -> str:
    """SHA-256 (hex) over the templates and the code that renders; computed once per process."""
    digest = hashlib.sha256()
    for path in renderer_files():
        body = path.read_bytes()
        name = path.relative_to(_PACKAGE.parent).as_posix()
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    return digest.hexdigest()


def renderer_files() -> list[Path]:
    """Every file whose change may change what is rendered, in a fixed order."""
    code = [*(_PACKAGE / "rendering").rglob("*.py"), *(_PACKAGE / "models").glob("*.py")]
    templates = [path for path in templating.TEMPLATES.rglob("*") if path.is_file()]
    return sorted([_PACKAGE / "templating.py", *code, *templates])
