"""What machines read: public files, whole and in parts, from memory and from the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import requests

from kindling.bootserver.memory import LARGEST, SmallFiles
from kindling.stores.directory import DirectoryStore
from kindling.stores.http import content_digest
from tests.fakes.server import TOKEN, Server, running_server

SMALL = bytes(range(256)) * 4
LARGE = os.urandom(LARGEST + 3_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tree = tmp_path_factory.mktemp("boot") / "tree"
    with running_server(tree) as running:
        store = DirectoryStore(tree)
        for path, body in {
            "assets/small": SMALL,
            "assets/large": LARGE,
            "boot.ipxe": b"#!ipxe\n",
            "dnsmasq/dhcp.conf": b"port=0\n",
            "nodes/52-54-00-00-00-01.ign": b"{}",
            "nodes/52-54-00-00-00-01.json": b"{}",
            "sites/prod.json": b"{}",
        }.items():
            store.put(path, body, sha256=sha256(body).hexdigest(), owner="prod")
        yield running


@dataclass(frozen=True)
class Sample:
    """A published file and its bytes."""

    url: str
    body: bytes

    @property
    def tag(self) -> str:
        return f'"{sha256(self.body).hexdigest()}"'

    def get(self, **headers: str) -> requests.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(self.url, headers=fields, timeout=60)


@pytest.fixture(params=["small", "large"])
def sample(request: pytest.FixtureRequest, server: Server) -> Sample:
    body = {"small": SMALL, "large": LARGE}[request.param]
    return Sample(f"{server.url}/assets/{request.param}", body)


def test_a_whole_file_comes_with_its_tag_and_digest(sample):
    answer = sample.get()
    assert (answer.status_code, answer.content) == (200, sample.body)
    assert answer.headers["content-length"] == str(len(sample.body))
    assert answer.headers["etag"] == sample.tag
    assert answer.headers["content-digest"] == content_digest(sha256(sample.body).hexdigest())
    assert answer.headers["accept-ranges"] == "bytes"


def test_head_is_get_without_the_body(sample):
    whole, head = sample.get(), requests.head(sample.url, timeout=60)
    assert head.content == b""
    for name in ("content-length", "content-type", "etag", "content-digest"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-99", 5, 100),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=3-99999999999", 3, None),
        ("bytes=-99999999999", 0, None),
    ],
)
def test_one_range_is_206_with_exactly_these_bytes(sample, asked, first, end):
    answer = sample.get(Range=asked)
    wanted = sample.body[first:end]
    start = first if first >= 0 else len(sample.body) + first
    assert (answer.status_code, answer.content) == (206, wanted)
    where = f"bytes {start}-{start + len(wanted) - 1}/{len(sample.body)}"
    assert answer.headers["content-range"] == where
    assert answer.headers["content-length"] == str(len(wanted))
    assert "content-digest" not in answer.headers  # it would be that of the whole


@pytest.mark.parametrize("asked", ["bytes=99999999999-", "bytes=-0"])
def test_a_range_outside_the_file_is_416_with_its_size(sample, asked):
    answer = sample.get(Range=asked)
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(sample.body)}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=9-5", "lines=1-2", "bytes=a-b", "bytes=-", "bytes"]
)
def test_several_ranges_and_nonsense_mean_the_whole_file(sample, asked):
    answer = sample.get(Range=asked)
    assert (answer.status_code, answer.content) == (200, sample.body)


def test_a_range_of_another_version_means_the_whole_file(sample):
    assert sample.get(Range="bytes=1-2", If_Range='"old"').status_code == 200
    assert sample.get(Range="bytes=1-2", If_Range=sample.tag).status_code == 206


@pytest.mark.parametrize("form", ["{}", "W/{}", '"old", {}', "*"])
def test_what_the_client_has_is_304_without_a_body(sample, form):
    answer = sample.get(If_None_Match=form.format(sample.tag))
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == sample.tag


def test_another_version_than_the_clients_is_sent(sample):
    assert sample.get(If_None_Match='"old"').content == sample.body


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("boot.ipxe", "text/plain"),
        ("dnsmasq/dhcp.conf", "text/plain"),
        ("assets/small", "application/octet-stream"),
    ],
)
def test_public_files_need_no_token_and_say_what_they_are(server, path, kind):
    answer = requests.get(f"{server.url}/{path}", timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    "path",
    [
        "nodes/52-54-00-00-00-01.json",
        "nodes/52-54-00-00-00-01.ign",
        "sites/prod.json",
        ".kindling/records.sqlite",
        "assets/%2e%2e/sites/prod.json",
        "assets/..%2fsites/prod.json",
        "assets/%2e%2e/nodes/52-54-00-00-00-01.ign",
        "dnsmasq/%2e%2e/sites/prod.json",
        "assets//small",
        "assets/",
        "assets",
        "assets/nothing",
        "boot.ipxe/x",
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_nothing_else_is_public_and_nothing_private_leaks(server, path, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.get(f"{server.url}/{path}", headers=headers, timeout=60)
    assert answer.status_code == 404
    assert b"{}" not in answer.content


def test_public_files_cannot_be_written_on_their_public_path(server):
    for method in ("PUT", "POST", "DELETE"):
        url = f"{server.url}/assets/small"
        assert requests.request(method, url, data=b"x", timeout=60).status_code == 405
    assert requests.get(f"{server.url}/assets/small", timeout=60).content == SMALL


def test_the_operator_reads_private_files_through_the_store(server):
    assert server.store().read("sites/prod.json") == b"{}"
    assert server.store().read("nodes/52-54-00-00-00-01.ign") == b"{}"


@pytest.mark.parametrize("size", [1000, LARGEST + 1000])
def test_a_new_version_is_served_at_once_whoever_published_it(server, size):
    url, store = f"{server.url}/assets/versions", DirectoryStore(server.directory)
    for turn in range(20):
        body = bytes([turn]) * size
        store.put("assets/versions", body, sha256=sha256(body).hexdigest(), owner="prod")
        answer = requests.get(url, timeout=60)
        assert answer.content == body
        assert answer.headers["etag"] == f'"{sha256(body).hexdigest()}"'
    store.delete("assets/versions", owner="prod")
    assert requests.get(url, timeout=60).status_code == 404


def test_a_large_file_put_there_by_hand_has_a_tag_that_changes_with_it(server):
    file = server.directory / "assets" / "by-hand"
    url, tags = f"{server.url}/assets/by-hand", set()
    for turn in range(3):
        new = file.with_name("new")
        new.write_bytes(bytes([turn]) * (LARGEST + 1))
        new.rename(file)
        answer = requests.get(url, timeout=60)
        assert answer.content == bytes([turn]) * (LARGEST + 1)
        assert "content-digest" not in answer.headers
        tags.add(answer.headers["etag"])
    file.unlink()
    assert len(tags) == 3


def test_memory_holds_no_more_than_its_budget(tmp_path: Path):
    for number in range(10):
        (tmp_path / f"{number}").write_bytes(b"x" * 100)
    files = SmallFiles(tmp_path, budget=250, largest=100)
    for number in range(10):
        found = files.get(f"{number}")
        assert found is not None and found.body == b"x" * 100
        assert files._used <= 250
    assert len(files._held) == 2


def test_memory_gives_up_what_became_too_large_or_is_gone(tmp_path: Path):
    files, file = SmallFiles(tmp_path, largest=10), tmp_path / "file"
    file.write_bytes(b"small")
    assert files.get("file") is not None
    file.write_bytes(b"too large now")
    assert files.get("file") is None
    file.unlink()
    assert files.get("file") is None
    assert files._used == 0
