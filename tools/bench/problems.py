"""What keeps a benchmark from being run."""

from __future__ import annotations

import os
import shutil

from kindling.errors import CommandError
from tools.places import BIN

_PACKAGES = {
    "wrk": "wrk",
    "nginx": "nginx-light",
    "curl": "curl",
    "openssl": "openssl",
    "tee": "coreutils",
    "xargs": "findutils",
}
# nginx is a daemon: its folder is not on everybody's PATH.
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"


class NotMeasured(CommandError):
    """A benchmark could not be run; the message says why and what to do."""


def search_path() -> str:
    """PATH with the checkout's own tools first and the system's daemons last."""
    return os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath), _SYSTEM])


def program(name: str) -> str:
    """Where a program is. Raises `NotMeasured` when it is missing."""
    found = shutil.which(name, path=search_path())
    if found is None:
        raise NotMeasured(_how_to_get((name,)))
    return found


def require(*names: str) -> None:
    """Raise `NotMeasured`, in one sentence, for all programs that are missing."""
    missing = tuple(name for name in names if shutil.which(name, path=search_path()) is None)
    if missing:
        raise NotMeasured(_how_to_get(missing))


def _how_to_get(missing: tuple[str, ...]) -> str:
    packages = [_PACKAGES[name] for name in missing if name in _PACKAGES]
    commands = [f"`apt-get install {' '.join(packages)}`"] if packages else []
    if any(name not in _PACKAGES for name in missing):
        commands.append("`make setup`")
    return f"{', '.join(missing)} not found; {' and '.join(commands)} makes it available"
