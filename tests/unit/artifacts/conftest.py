"""What several tests of this room use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kindling.artifacts.cache import Cache
from kindling.artifacts.progress import Lines
from kindling.artifacts.web import Patience
from tests.fakes.artifacts import BODY
from tests.fakes.web import Web


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the user's cache, proxies or netrc."""
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache, the same as `Cache()` in this test."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def web() -> Iterator[Web]:
    """A server that has `BODY` at ``/file``."""
    with Web({"/file": BODY}) as server:
        yield server


@pytest.fixture
def waits() -> list[float]:
    """The pauses (seconds) that `patience` was asked to make; none is really made."""
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    """Gives up as in earnest, but without waiting."""
    return Patience(attempts=3, first_wait=1.0, longest_wait=20.0, sleep=waits.append)


@pytest.fixture
def said() -> list[str]:
    """What `report` told the user."""
    return []


@pytest.fixture
def report(said: list[str]) -> Lines:
    """Collects every line."""
    return Lines(said.append, every=0.0)
