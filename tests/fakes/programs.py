"""Real programs that tests start, made available where they are missing."""

from __future__ import annotations

from tools.catalog import TOOLS
from tools.install import provide
from tools.places import BIN


def need(*names: str) -> None:
    """See to it that `.tools/bin` has them.

    What is there stays: a test that works with another cache must not build it anew into that, and
    lead the link there.
    """
    for name in names:
        if not (BIN / name).exists():
            provide(TOOLS[name])
