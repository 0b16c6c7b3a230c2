"""The two stores behind one fixture: a directory, and the real boot server over another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kindling.stores.base import Store
from kindling.stores.directory import DirectoryStore
from tests.fakes.server import Server, running_server


@dataclass(frozen=True)
class Place:
    """A store under test and the directory behind it, for what happens behind its back."""

    kind: str
    store: Store
    root: Path

    def published(self) -> list[str]:
        """Every file of the published tree, as the disk has it."""
        files = (f.relative_to(self.root) for f in self.root.rglob("*") if f.is_file())
        return sorted(str(f) for f in files if not str(f).startswith("."))

    def incoming(self) -> list[str]:
        """Uploads under way, or left over."""
        return [f.name for f in (self.root / ".kindling" / "incoming").iterdir()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("boot") / "tree") as running:
        yield running


@pytest.fixture(params=["directory", "http"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "directory":
        yield Place("directory", DirectoryStore(tmp_path / "tree"), tmp_path / "tree")
        return
    server: Server = request.getfixturevalue("server")
    yield Place("http", server.store(patience=5.0), server.directory)
    _empty(server.directory)


def _empty(root: Path) -> None:
    for entry in root.iterdir():
        if entry.name != ".kindling":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for sidecar in (root / ".kindling" / "meta").iterdir():
        sidecar.unlink()
