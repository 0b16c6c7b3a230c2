from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kindling.artifacts.cache import PART_KEPT_FOR, Cache, default_root
from kindling.errors import ArtifactError


def put(cache: Cache, name: str, body: bytes = b"body") -> Path:
    part = cache.part_of(name)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(body)
    return part


def test_the_cache_is_where_the_user_says_else_in_the_users_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "mine"))
    assert default_root() == tmp_path / "mine"
    monkeypatch.delenv("KINDLING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "kindling"


def test_a_file_of_another_size_was_damaged_and_is_dropped(cache: Cache) -> None:
    path = cache.adopt(put(cache, "ab"), "ab")
    assert cache.find("ab", 4) == path
    assert cache.find("ab", 5) is None
    assert not path.exists()


def test_a_discarded_file_is_not_found_again(cache: Cache) -> None:
    cache.adopt(put(cache, "ab"), "ab")
    cache.discard("ab")
    assert cache.find("ab") is None


def test_clearing_removes_files_and_parts_except_those_somebody_works_on(cache: Cache) -> None:
    cache.adopt(put(cache, "done"), "done")
    idle, busy = put(cache, "idle"), put(cache, "busy")
    with cache.locked("busy"):
        cache.clear()
    assert cache.find("done") is None
    assert not idle.exists()
    assert busy.exists()


def test_sweeping_drops_only_parts_that_nobody_came_back_for(cache: Cache) -> None:
    old, new = put(cache, "old"), put(cache, "new")
    long_ago = time.time() - PART_KEPT_FOR - 60
    os.utime(old, (long_ago, long_ago))
    cache.sweep()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_waiting_run_says_that_it_waits(cache: Cache) -> None:
    class Told(Exception):
        """Stands for going on to wait."""

    def waiting() -> None:
        raise Told

    with cache.locked("key"), pytest.raises(Told), cache.locked("key", waiting):
        pytest.fail("two runs hold the same lock")
    with cache.locked("key", waiting):
        pass


def test_a_cache_that_cannot_be_written_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(ArtifactError, match="set KINDLING_CACHE to a directory of yours"),
        Cache(tmp_path / "file").locked("key"),
    ):
        pytest.fail("there is no such directory")
