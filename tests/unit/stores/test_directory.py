"""The directory store alone: crashes, full disks, memory, and what it keeps beside the files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest

from kindling.errors import StoreError, StoreFull
from kindling.stores import directory, staging
from kindling.stores.directory import DirectoryStore
from kindling.stores.sidecar import Sidecars

PATH = "assets/image.bin"
CHECKOUT = Path(__file__).resolve().parents[3]


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "tree")


def put(store: DirectoryStore, body: bytes, path: str = PATH, owner: str = "prod"):
    return store.put(path, body, sha256=digest(body), owner=owner)


def tree(store: DirectoryStore) -> list[str]:
    return sorted(
        str(f.relative_to(store.root))
        for f in store.root.rglob("*")
        if f.is_file() and f.name != "lock"
    )


class Disk:
    """The operating system as `staging` uses it, with one call that fails after some uses.

    Only that module sees it: the test runner writes to its own files at the same time.
    """

    def __init__(self, call: str, code: int, *, works: int = 0) -> None:
        self._call, self._code, self._works = call, code, works

    def __getattr__(self, name: str):
        return self._failing if name == self._call else getattr(os, name)

    def _failing(self, fd: int, *rest):
        if self._works == 0:
            raise OSError(self._code, os.strerror(self._code))
        self._works -= 1
        return os.write(fd, rest[0][: 64 * 1024])


def test_a_full_disk_in_the_middle_of_a_put_says_so_and_leaves_nothing(store, monkeypatch):
    monkeypatch.setattr(staging, "os", Disk("write", errno.ENOSPC, works=2))
    with pytest.raises(StoreFull, match="disk is full"):
        put(store, b"x" * 1_000_000)
    monkeypatch.undo()
    assert tree(store) == []


def test_a_full_disk_leaves_the_published_file_as_it_was(store, monkeypatch):
    put(store, b"before")
    kept = tree(store)
    monkeypatch.setattr(staging, "os", Disk("fsync", errno.EDQUOT))
    with pytest.raises(StoreFull):
        put(store, b"after")
    monkeypatch.undo()
    assert tree(store) == kept
    assert store.read(PATH) == b"before"
    assert store.stat(PATH).sha256 == digest(b"before")


def test_another_error_of_the_disk_is_a_store_error_and_leaves_nothing(store, monkeypatch):
    monkeypatch.setattr(staging, "os", Disk("write", errno.EIO))
    with pytest.raises(StoreError, match="Input/output error"):
        put(store, b"body")
    monkeypatch.undo()
    assert tree(store) == []


def test_room_is_asked_for_before_anything_is_written(tmp_path):
    store = DirectoryStore(tmp_path / "tree", keep_free=2**60)
    with pytest.raises(StoreFull, match="3 bytes are to be put"):
        put(store, b"abc")
    assert tree(store) == []


def test_a_directory_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        DirectoryStore(tmp_path / "file" / "tree")


def test_a_put_killed_in_the_middle_leaves_nothing_once_the_store_is_opened_again(store):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from kindling.stores.directory import DirectoryStore\n"
        "staged = DirectoryStore(Path(sys.argv[1])).stage(3)\n"
        "staged.write(b'abc')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], cwd=CHECKOUT, check=False)
    assert len(tree(store)) == 1
    DirectoryStore(store.root)
    assert tree(store) == []


def test_opening_the_store_leaves_the_uploads_of_living_writers_alone(store):
    with store.stage(3) as staged:
        staged.write(b"abc")
        DirectoryStore(store.root)
        store.commit(staged, PATH, sha256=digest(b"abc"), owner="prod")
    assert store.read(PATH) == b"abc"


def test_a_crash_between_memory_and_file_leaves_the_old_file_with_its_real_digest(
    store, monkeypatch
):
    put(store, b"before")
    with monkeypatch.context() as patch:
        patch.setattr(staging.Staged, "move_to", lambda self, target: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            put(store, b"after", owner="prod")
    assert store.stat(PATH).sha256 == digest(b"before")
    put(store, b"after")
    assert store.read(PATH) == b"after"


def test_torn_memory_is_computed_again(store):
    put(store, b"body")
    next((store.root / ".kindling" / "meta").iterdir()).write_bytes(b"{torn")
    assert store.stat(PATH).sha256 == digest(b"body")
    assert put(store, b"body").owners == ("prod",)


def test_an_unchanged_file_is_not_hashed_again(store, monkeypatch):
    put(store, b"body")
    monkeypatch.setattr(directory, "new_sha256", lambda: 1 / 0)
    found = DirectoryStore(store.root).stat(PATH)
    assert found is not None and found.sha256 == digest(b"body")


def test_a_changed_file_is_hashed_once_and_remembered(store, monkeypatch):
    put(store, b"body")
    (store.root / PATH).write_bytes(b"other")
    assert store.stat(PATH).sha256 == digest(b"other")
    monkeypatch.setattr(directory, "new_sha256", lambda: 1 / 0)
    assert store.stat(PATH).sha256 == digest(b"other")


def test_a_change_of_the_same_size_right_after_the_put_is_noticed(store):
    for turn in range(50):
        body = f"{turn:04}".encode()
        put(store, body)
        with (store.root / PATH).open("r+b") as file:
            file.write(b"evil")
        assert store.stat(PATH).sha256 == digest(b"evil")
        put(store, body)


def test_public_files_are_readable_for_all_and_private_ones_for_the_owner_only(store):
    put(store, b"#!ipxe", path="boot.ipxe")
    put(store, b"{}", path="nodes/aa.ign")
    assert (store.root / "boot.ipxe").stat().st_mode & 0o777 == 0o644
    assert (store.root / "nodes" / "aa.ign").stat().st_mode & 0o777 == 0o600


def test_every_path_has_memory_of_its_own(tmp_path):
    sidecars = Sidecars(tmp_path)
    paths = ["assets/a", "assets/a.json", "assets/a/b", "assets-a"]
    assert len({sidecars._file(path) for path in paths}) == len(paths)
    assert {sidecars._file(path).parent for path in paths} == {tmp_path}


def test_a_file_of_300_mb_is_put_in_constant_memory(store, tmp_path):
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(300_000_000)
    with source.open("rb") as file:
        wanted = sha256()
        while chunk := file.read(1 << 20):
            wanted.update(chunk)
    tracemalloc.start()
    store.put(PATH, source, sha256=wanted.hexdigest(), owner="prod")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_000_000
    assert (store.root / PATH).stat().st_size == 300_000_000


def test_memory_that_a_killed_writer_did_not_finish_is_removed_when_the_store_is_opened(store):
    put(store, b"body")
    meta = store.root / ".kindling" / "meta"
    (meta / ".assets%2Fimage.bin.json.4711.0badcafe").write_bytes(b"{torn")
    found = DirectoryStore(store.root).stat(PATH)
    assert [file.name for file in meta.iterdir()] == ["assets%2Fimage.bin.json"]
    assert found is not None and found.owners == ("prod",)


def test_opening_the_store_waits_for_a_writer_that_lives(store, monkeypatch):
    """Its unfinished memory is not taken for a killed one's."""
    opened: list[DirectoryStore] = []
    opening = threading.Thread(target=lambda: opened.append(DirectoryStore(store.root)))

    def write(self, path, record, *, durable=True, save=Sidecars.save):
        opening.start()
        opening.join(0.2)
        assert not opened
        save(self, path, record, durable=durable)

    monkeypatch.setattr(Sidecars, "save", write)
    put(store, b"body")
    opening.join()
    found = opened[0].stat(PATH)
    assert found is not None and found.owners == ("prod",)
