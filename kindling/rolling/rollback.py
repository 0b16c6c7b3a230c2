"""The way back as a patch that a person reviews, applies and publishes; nothing here applies it.

A generation never goes down: a machine that was installed again with the newer versions gets the
earlier ones by one more installation.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kindling.artifacts.lock import LockFile
from kindling.rolling import yamltext
from kindling.rolling.record import GoodState, git
from kindling.rolling.stackfile import StackFile


@dataclass(frozen=True)
class WayBack:
    """``patch`` for `git apply` in ``folder``; ``raised`` are the generations in it, by host."""

    patch: str
    folder: Path
    raised: Mapping[str, int]


def way_back(file: StackFile, good: GoodState) -> WayBack | None:
    """From the files as they are to the versions of ``good``; None when these are the same."""
    text, pins = file.text(), LockFile.load(file.lock).artifacts
    before = yamltext.with_section(text, file.keys, good.assets, file.file.name)
    if file.assets(before) == file.assets(text) and pins.items() >= good.pins.items():
        return None
    raised = {
        node.hostname: node.generation + 1
        for node in file.cluster_of(text).nodes
        if node.generation > good.generations.get(node.hostname, node.generation)
    }
    after = file.raised(before, raised)
    folder = _root(file.file)
    lock = LockFile(artifacts={**pins, **good.pins})
    parts = [
        f"Back to the versions that were {good.origin}.\n",
        *_note(file.lock, pins.items() >= good.pins.items(), folder),
        "\n",
        *_diff(file.file, text, after, folder),
        *_lock_diff(file.lock, lock, folder),
    ]
    return WayBack("".join(parts), folder, raised)


def _note(lock: Path, complete: bool, folder: Path) -> Iterator[str]:
    if not complete and not lock.resolve().is_relative_to(folder):
        yield f"{lock} is not in this repository: put its earlier entries back there as well.\n"


def _lock_diff(lock: Path, wanted: LockFile, folder: Path) -> Iterator[str]:
    if not lock.resolve().is_relative_to(folder):
        return
    before = lock.read_text(encoding="utf-8") if lock.exists() else ""
    with TemporaryDirectory(prefix="kindling-") as made:
        wanted.save(Path(made, lock.name))
        after = Path(made, lock.name).read_text(encoding="utf-8")
    if LockFile.load(lock) != wanted:
        yield from _diff(lock.resolve(), before, after, folder)


def _diff(file: Path, before: str, after: str, folder: Path) -> Iterator[str]:
    """A unified difference, with the last line's missing newline as git writes it."""
    name = file.relative_to(folder).as_posix()
    made = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    for line in made:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _root(file: Path) -> Path:
    """Where `git apply` takes names from: the repository's top, else the file's folder."""
    top = git(file.parent, "rev-parse", "--show-toplevel").strip()
    return Path(top).resolve() if top else file.parent
