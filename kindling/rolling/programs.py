"""Where the programs are that a roll starts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kindling.errors import RollError

_TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"


def program(name: str) -> str:
    """The program on PATH, else the one that tools/install.py made. Raises `RollError`."""
    found = shutil.which(name) or shutil.which(name, path=str(_TOOLS))
    if found is None:
        raise RollError(
            f"{name} is neither on PATH nor in .tools/bin; install it, or build it with:"
            f" python tools/install.py {name}"
        )
    return found


def proxies() -> dict[str, str]:
    """The environment's proxies, for programs that ask over the network."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
    both = [*names, *(name.lower() for name in names)]
    return {name: os.environ[name] for name in both if name in os.environ}
