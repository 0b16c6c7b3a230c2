"""Make command-line tools available: `python tools/install.py pulumi butane plugins`.

A suitable tool on PATH is used; what is missing is built from its pinned Go module into a cache
outside the checkout. Either way `.tools/bin` holds a link. Needs nothing but Python 3.11.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

# As a script, Python searches only the script's own folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kindling.errors import CommandError, KindlingError
from kindling.process import run
from tools.catalog import TOOLS, Tool
from tools.golang import build
from tools.places import BIN, link, linked, on_path
from tools.plugin_archive import install_plugins

_PLUGINS = "plugins"


def main(arguments: list[str] | None = None) -> int:
    """Make every named tool available; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "names",
        nargs="+",
        choices=[*TOOLS, _PLUGINS],
        metavar="TOOL",
        help=f"one or more of: {', '.join([*TOOLS, _PLUGINS])}",
    )
    names = parser.parse_args(arguments).names
    try:
        for name in names:
            if name != _PLUGINS:
                provide(TOOLS[name])
        if _PLUGINS in names:
            provide(TOOLS["pulumi"])
            install_plugins(BIN / "pulumi")
    except (KindlingError, OSError) as error:
        print(f"tools: {error}", file=sys.stderr)
        return 1
    return 0


def provide(tool: Tool) -> None:
    """Link the user's own tool, or build ours and link that."""
    own = on_path(tool.name)
    if own and linked(tool.name) == own:
        return
    if own and _suits(tool, own):
        for name in tool.companions:
            link(name, _companion(name, own) or own)
        link(tool.name, own)
        return
    folder = build(tool)
    for program in tool.programs:
        link(str(Path(tool.under, program)), folder / program)


def _suits(tool: Tool, own: Path) -> bool:
    """Tell whether an installed tool is new enough and complete."""
    if tool.least is None or any(not _companion(name, own) for name in tool.companions):
        return False
    try:
        done = run([str(own), *tool.version_command], timeout=60)
    except CommandError:
        return False
    match = re.search(rb"v?(\d+)\.(\d+)", done.stdout + done.stderr)
    return match is not None and (int(match[1]), int(match[2])) >= tool.least


def _companion(name: str, own: Path) -> Path | None:
    """Return the program of that name beside a tool, or on PATH."""
    beside = own.resolve().with_name(name)
    return beside if beside.is_file() else on_path(name)


if __name__ == "__main__":
    sys.exit(main())
