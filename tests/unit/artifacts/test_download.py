from __future__ import annotations

import email.utils
import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest

from kindling.artifacts.cache import Cache
from kindling.artifacts.download import check_space, fetch, fetch_all
from kindling.artifacts.progress import Lines
from kindling.artifacts.web import Patience
from kindling.errors import DownloadExhausted, LockError, NoSpace
from kindling.models.assets import AssetFile
from tests.fakes.artifacts import BODY, PATH, pinned, sha256
from tests.fakes.web import AlwaysFails, Answer, Web

Usage = namedtuple("Usage", "total used free")
RELATIVE = PATH.removeprefix("assets/")


def fill_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(free, 0, free))


def test_a_fetched_file_is_verified_read_only_and_fetched_once(web: Web) -> None:
    file = pinned(f"{web.url}/file")
    first, second = fetch(file), fetch(file)
    assert first == second
    assert first.read_bytes() == BODY
    assert first.stat().st_mode & 0o222 == 0
    assert len(web.requests()) == 1


def test_an_unpinned_file_is_never_fetched(web: Web) -> None:
    with pytest.raises(LockError, match="is not pinned; run `python -m kindling lock`"):
        fetch(AssetFile(path=PATH, url=f"{web.url}/file"))
    assert web.seen == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(web: Web, status: int, patience: Patience) -> None:
    web.script["/file"] = [Answer(status=status), Answer(status=status)]
    assert fetch(pinned(f"{web.url}/file"), patience=patience).read_bytes() == BODY
    assert len(web.requests()) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_lasting_refusal_is_not_tried_again(web: Web, status: int, patience: Patience) -> None:
    web.script["/file"] = [Answer(status=status)]
    with pytest.raises(DownloadExhausted, match=f"HTTP {status}"):
        fetch(pinned(f"{web.url}/file"), patience=patience)
    assert len(web.requests()) == 1


def test_pauses_grow_between_attempts(patience: Patience, waits: list[float]) -> None:
    with AlwaysFails() as web, pytest.raises(DownloadExhausted, match="HTTP 500"):
        fetch(pinned(f"{web.url}/file"), patience=patience)
    assert len(waits) == patience.attempts - 1
    assert 1.0 <= waits[0] <= 2.0 <= waits[1] <= 3.0


def test_a_server_says_by_retry_after_how_long_to_wait_within_bounds(
    web: Web, patience: Patience, waits: list[float]
) -> None:
    in_an_hour = email.utils.formatdate(time.time() + 3600, usegmt=True)
    web.script["/file"] = [
        Answer(status=429, headers={"Retry-After": "7"}),
        Answer(status=503, headers={"Retry-After": in_an_hour}),
    ]
    fetch(pinned(f"{web.url}/file"), patience=patience)
    assert waits == [7.0, patience.longest_wait]


def test_mirrors_are_asked_before_upstream_in_their_order(tmp_path: Path, web: Web) -> None:
    with Web() as empty, Web({f"/copies/{RELATIVE}": BODY}) as mirror:
        mirrors = (str(tmp_path / "none"), empty.url, f"{mirror.url}/copies/")
        assert fetch(pinned(f"{web.url}/file"), mirrors=mirrors).read_bytes() == BODY
        assert [seen.path for seen in empty.seen] == [f"/{RELATIVE}"]
        assert len(mirror.requests()) == 1
    assert web.seen == []


def test_wrong_bytes_are_one_failed_source_and_the_next_is_asked(
    web: Web, said: list[str], report: Lines
) -> None:
    wrong = bytes(len(BODY))
    with Web({f"/{RELATIVE}": wrong}) as mirror:
        path = fetch(pinned(f"{web.url}/file"), mirrors=(mirror.url,), report=report)
        assert path.read_bytes() == BODY
        told = f"{mirror.url}/{RELATIVE}: sha256 is {sha256(wrong)}, expected {sha256(BODY)}"
    assert any(told in line for line in said)


def test_a_wrong_size_is_seen_before_the_body_is_fetched(web: Web, cache: Cache) -> None:
    file = pinned(f"{web.url}/file").model_copy(update={"size": 5})
    with pytest.raises(DownloadExhausted, match=f"size is {len(BODY)} bytes, expected 5"):
        fetch(file)
    assert not cache.part_of(sha256(BODY)).exists()


def test_more_bytes_than_expected_end_an_answer_without_a_length(web: Web) -> None:
    web.script["/file"] = [Answer(chunked=True)]
    file = pinned(f"{web.url}/file").model_copy(update={"size": 5})
    with pytest.raises(DownloadExhausted, match="size is more than the expected 5 bytes"):
        fetch(file)


def test_when_every_source_failed_each_is_named_with_its_reason(
    tmp_path: Path, patience: Patience
) -> None:
    with AlwaysFails() as mirror, Web({"/file": b"other bytes"}) as upstream:
        file = pinned(f"{upstream.url}/file").model_copy(update={"size": None})
        with pytest.raises(DownloadExhausted) as raised:
            fetch(file, mirrors=(str(tmp_path / "copies"), mirror.url), patience=patience)
    first, *reasons = str(raised.value).splitlines()
    assert first == f"{PATH}: downloading options exhausted:"
    assert reasons == [
        f"  - {tmp_path}/copies/{RELATIVE}: No such file or directory",
        f"  - {mirror.url}/{RELATIVE}: HTTP 500 Internal Server Error",
        f"  - {upstream.url}/file: sha256 is {sha256(b'other bytes')}, expected {sha256(BODY)}",
    ]


def test_a_dead_server_is_told_in_words(patience: Patience) -> None:
    with Web() as web:
        dead = web.url
    with pytest.raises(DownloadExhausted, match=r"/file: Connection refused$"):
        fetch(pinned(f"{dead}/file"), patience=patience)


def test_a_silent_server_is_left_after_the_time_out(web: Web, waits: list[float]) -> None:
    web.script["/file"] = [Answer(stall_at=1000)]
    impatient = Patience(attempts=2, read_timeout=0.2, sleep=waits.append)
    assert fetch(pinned(f"{web.url}/file"), patience=impatient).read_bytes() == BODY
    assert len(waits) == 1


def test_credentials_in_a_url_stay_out_of_messages(web: Web, patience: Patience) -> None:
    file = pinned(f"{web.url}/missing?token=geheim")
    with pytest.raises(DownloadExhausted) as raised:
        fetch(file, patience=patience)
    assert "geheim" not in str(raised.value)
    assert f"{web.url}/missing?...: HTTP 404" in str(raised.value)


def test_a_proxy_of_the_environment_is_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["http://upstream.invalid/file"] = BODY
    monkeypatch.setenv("http_proxy", web.url)
    assert fetch(pinned("http://upstream.invalid/file")).read_bytes() == BODY


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_local_file_is_a_source(tmp_path: Path, form: str) -> None:
    source = tmp_path / "with space.raw"
    source.write_bytes(BODY)
    url = form.format(source if form == "{}" else str(source).replace(" ", "%20"))
    assert fetch(pinned(url)).read_bytes() == BODY
    assert source.stat().st_mode & 0o200, "the source itself is not touched"


def test_a_mirror_may_be_a_directory_relative_to_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "mirror" / RELATIVE
    copy.parent.mkdir(parents=True)
    copy.write_bytes(BODY)
    monkeypatch.chdir(tmp_path)
    file = pinned("http://127.0.0.1:9/never-asked")
    assert fetch(file, mirrors=("mirror",)).read_bytes() == BODY


def test_files_are_refused_before_anything_is_fetched_when_they_do_not_fit(
    web: Web, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, free=len(BODY) - 1)
    with pytest.raises(NoSpace, match=r"need 3\.2 MB there, 3\.2 MB are free; make room"):
        fetch_all([pinned(f"{web.url}/file")], cache=cache)
    with pytest.raises(NoSpace, match="set KINDLING_CACHE to a larger place"):
        fetch(pinned(f"{web.url}/file"))
    assert web.seen == []


def test_space_is_not_needed_twice_for_what_is_in_the_cache(
    web: Web, cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = pinned(f"{web.url}/file")
    fetch(file)
    fill_disk(monkeypatch, free=0)
    check_space([file], cache)
    with pytest.raises(NoSpace, match=f"^{tmp_path}/published: "):
        check_space([file], cache, [tmp_path / "published"])


def test_places_on_one_file_system_share_its_room(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = pinned("http://127.0.0.1:9/file").model_copy(update={"size": 1_000_000_000})
    fill_disk(monkeypatch, free=1_500_000_000)
    check_space([file], cache)
    with pytest.raises(NoSpace, match=r"need 2\.00 GB there, 1\.50 GB are free"):
        check_space([file], cache, [tmp_path / "published"])


def test_many_files_are_fetched_at_once_and_returned_by_path() -> None:
    bodies = {f"/{number}": bytes([number]) * 5000 for number in range(12)}
    with Web(bodies) as web:
        files = [pinned(f"{web.url}{name}", body, f"assets{name}") for name, body in bodies.items()]
        got = fetch_all(files, workers=4)
    assert {path: file.read_bytes() for path, file in got.items()} == {
        f"assets{name}": body for name, body in bodies.items()
    }


def test_one_failure_names_itself_and_keeps_what_the_others_got(web: Web, cache: Cache) -> None:
    good = pinned(f"{web.url}/file")
    bad = pinned(f"{web.url}/missing", b"else", "assets/missing")
    worse = pinned(f"{web.url}/gone", b"more", "assets/gone")
    with pytest.raises(DownloadExhausted) as raised:
        fetch_all([good, bad, worse], cache=cache)
    assert "assets/missing: downloading options exhausted" in str(raised.value)
    assert "assets/gone: downloading options exhausted" in str(raised.value)
    assert cache.find(sha256(BODY)) is not None
