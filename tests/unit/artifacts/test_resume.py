from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kindling.artifacts.cache import Cache
from kindling.artifacts.download import fetch, obtain
from kindling.artifacts.parts import Part
from kindling.artifacts.sources import Source
from kindling.artifacts.transfer import Manner, Wanted
from kindling.artifacts.web import Patience
from kindling.errors import DownloadExhausted, NoSpace
from tests.fakes.artifacts import BODY, PATH, pinned, sha256
from tests.fakes.web import Answer, Web

CHECKOUT = Path(__file__).parents[3]
FETCH = """
import sys
from kindling.artifacts.download import fetch
from kindling.artifacts.progress import Lines
from kindling.models.assets import AssetFile
told = Lines(lambda line: print(line, flush=True))
print(fetch(AssetFile.model_validate_json(sys.argv[1]), report=told))
"""


def fetch_elsewhere(url: str) -> subprocess.Popen[str]:
    """The same fetch in a process of its own, with this test's cache."""
    argv = [sys.executable, "-c", FETCH, pinned(url).model_dump_json()]
    return subprocess.Popen(
        argv, cwd=CHECKOUT, env=dict(os.environ), text=True, stdout=subprocess.PIPE
    )


def eventually(condition: Callable[[], bool]) -> None:
    """Waits for another process; the deadline is only for a test that fails."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def leave_part(cache: Cache, body: bytes) -> Path:
    """What a run that was killed leaves."""
    path = cache.part_of(sha256(BODY))
    path.parent.mkdir(parents=True)
    path.write_bytes(body)
    return path


def test_a_broken_body_is_continued_where_it_broke(web: Web, patience: Patience) -> None:
    web.script["/file"] = [Answer(truncate_at=1_000_000)]
    assert fetch(pinned(f"{web.url}/file"), patience=patience).read_bytes() == BODY
    first, second = web.requests()
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=1000000-"


def test_a_source_that_always_brings_something_is_not_given_up(
    web: Web, patience: Patience
) -> None:
    web.script["/file"] = [Answer(truncate_at=100_000)] * 30
    assert fetch(pinned(f"{web.url}/file"), patience=patience).read_bytes() == BODY
    assert len(web.requests()) == 31


def test_the_rest_is_asked_for_only_of_the_same_version(web: Web, patience: Patience) -> None:
    web.etags["/file"] = '"v1"'
    web.script["/file"] = [Answer(truncate_at=1_000_000)]
    fetch(pinned(f"{web.url}/file"), patience=patience)
    assert web.requests()[1].headers["if-range"] == '"v1"'


def test_a_weak_etag_is_no_condition(web: Web, patience: Patience) -> None:
    web.etags["/file"] = 'W/"v1"'
    web.script["/file"] = [Answer(truncate_at=1_000_000)]
    fetch(pinned(f"{web.url}/file"), patience=patience)
    assert "if-range" not in web.requests()[1].headers


def test_a_server_without_ranges_is_read_from_the_beginning(web: Web, patience: Patience) -> None:
    web.script["/file"] = [Answer(truncate_at=1_000_000), Answer(ignore_range=True)]
    assert fetch(pinned(f"{web.url}/file"), patience=patience).read_bytes() == BODY


def test_a_body_without_a_length_is_judged_by_the_pinned_size(web: Web, patience: Patience) -> None:
    web.script["/file"] = [Answer(truncate_at=1_000_000, chunked=True)]
    assert fetch(pinned(f"{web.url}/file"), patience=patience).read_bytes() == BODY
    assert len(web.requests()) == 2


def test_what_a_killed_run_left_is_used(web: Web, cache: Cache) -> None:
    leave_part(cache, BODY[:2_000_000])
    assert fetch(pinned(f"{web.url}/file")).read_bytes() == BODY
    assert [seen.headers["range"] for seen in web.requests()] == ["bytes=2000000-"]


def test_a_part_that_was_complete_needs_no_request(web: Web, cache: Cache) -> None:
    leave_part(cache, BODY)
    assert fetch(pinned(f"{web.url}/file")).read_bytes() == BODY
    assert web.seen == []


@pytest.mark.parametrize("rest", [b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 1)])
def test_a_damaged_part_is_dropped_and_fetched_anew(web: Web, cache: Cache, rest: bytes) -> None:
    part = leave_part(cache, rest)
    assert fetch(pinned(f"{web.url}/file")).read_bytes() == BODY
    assert not part.exists()


def test_a_part_that_is_longer_than_the_file_there_is_dropped(
    web: Web, cache: Cache, patience: Patience
) -> None:
    leave_part(cache, b"x" * (len(BODY) + 1))
    file = pinned(f"{web.url}/file").model_copy(update={"size": None})
    assert fetch(file, patience=patience).read_bytes() == BODY


def test_half_a_mirror_and_half_upstream_make_one_file(web: Web, patience: Patience) -> None:
    with Web({f"/{PATH.removeprefix('assets/')}": BODY}) as mirror:
        mirror.script[f"/{PATH.removeprefix('assets/')}"] = [
            Answer(truncate_at=1_000_000),
            *[Answer(status=503)] * 10,
        ]
        file = pinned(f"{web.url}/file")
        assert fetch(file, mirrors=(mirror.url,), patience=patience).read_bytes() == BODY
    assert web.requests()[0].headers["range"] == "bytes=1000000-"


def test_pieces_of_an_unverified_file_are_not_put_together(
    web: Web, cache: Cache, patience: Patience
) -> None:
    web.script["/file"] = [Answer(truncate_at=1_000_000)]
    source = Source(url=f"{web.url}/file")
    got = obtain(Wanted(PATH), [source], cache, Manner(patience=patience))
    assert got.sha256 == sha256(BODY)
    assert all("range" not in seen.headers for seen in web.requests())


def test_the_origin_of_a_part_is_noted_without_its_url(
    web: Web, cache: Cache, patience: Patience
) -> None:
    web.files["/file?token=geheim"] = BODY
    web.script["/file?token=geheim"] = [Answer(truncate_at=1000), *[Answer(status=500)] * 5]
    with pytest.raises(DownloadExhausted):
        fetch(pinned(f"{web.url}/file?token=geheim"), patience=patience)
    note = cache.part_of(sha256(BODY)).with_name(f"{sha256(BODY)}.json").read_text()
    assert json.loads(note).keys() == {"source", "etag"}
    assert "geheim" not in note


def test_two_processes_fetch_a_file_once(web: Web) -> None:
    web.script["/file"] = [Answer(stall_at=1_000_000)]
    first = fetch_elsewhere(f"{web.url}/file")
    eventually(lambda: bool(web.requests()))
    second = fetch_elsewhere(f"{web.url}/file")
    assert second.stdout is not None
    assert "another run is fetching it; waiting" in second.stdout.readline()
    web.release()
    paths = {process.communicate(timeout=60)[0].splitlines()[-1] for process in (first, second)}
    assert [first.returncode, second.returncode] == [0, 0]
    assert len(paths) == 1
    assert len(web.requests()) == 1


def test_a_fetch_that_is_killed_is_continued_by_the_next(web: Web, cache: Cache) -> None:
    web.script["/file"] = [Answer(stall_at=1_000_000)]
    process = fetch_elsewhere(f"{web.url}/file")
    part = cache.part_of(sha256(BODY))
    eventually(lambda: part.exists() and part.stat().st_size == 1_000_000)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert fetch(pinned(f"{web.url}/file")).read_bytes() == BODY
    assert web.requests()[1].headers["range"] == "bytes=1000000-"


def test_a_disk_that_fills_up_is_told_and_left_as_it_was(
    web: Web, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = os.write, [1]

    def until_full(handle: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        room.pop()
        return write(handle, data)

    monkeypatch.setattr("kindling.artifacts.parts.os.write", until_full)
    with pytest.raises(NoSpace, match="the disk is full; make room there"):
        fetch(pinned(f"{web.url}/file"))
    assert cache.part_of(sha256(BODY)).stat().st_size == 0


def test_a_part_digests_what_it_finds_and_what_it_gets(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(BODY[:1000])
    with Part(path, ["sha256", "sha512"]) as part:
        part.append(BODY[1000:])
        assert part.digests()["sha256"] == sha256(BODY)
        assert part.position == len(BODY)
        part.restart()
        part.append(b"anew")
        assert part.digests()["sha256"] == sha256(b"anew")
