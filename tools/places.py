"""Where tools are kept: the cache outside the checkout, and the links inside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.catalog import ROOT

BIN = ROOT / ".tools" / "bin"


def cache() -> Path:
    """Return the folder for everything that is slow to get; KINDLING_CACHE names another."""
    if named := os.environ.get("KINDLING_CACHE"):
        return Path(named).expanduser().absolute() / "tools"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "kindling" / "tools"


def kept(entry: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made first where it is missing.

    ``make`` fills a temporary folder that then gets its name at once, so an interrupted run
    leaves nothing that looks complete; parallel runs wait for the first.
    """
    folder = cache() / entry
    if folder.is_dir():
        return folder
    with locked(f".{entry}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".making-", dir=cache()) as name:
                made = Path(name) / entry
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock that only one process of the machine can hold."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def link(name: str, target: Path) -> None:
    """Make `.tools/bin/<name>` lead to a program."""
    if linked(name) == target:
        return
    path = BIN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def linked(name: str) -> Path | None:
    """Return where `.tools/bin/<name>` leads, if it is there and leads to a program."""
    path = BIN / name
    return path.readlink() if path.is_symlink() and path.is_file() else None


def on_path(name: str) -> Path | None:
    """Return a program of that name on PATH that is not one of our own links."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    others = [folder for folder in folders if folder and Path(folder).resolve() != BIN.resolve()]
    found = shutil.which(name, path=os.pathsep.join(others))
    return Path(found).absolute() if found else None
