"""The HTTP store alone: what it says of servers that are dead, closed, full or something else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kindling.errors import StoreError, StoreFull, StoreRefused, StoreUnreachable
from kindling.stores.directory import DirectoryStore
from kindling.stores.http import HttpStore
from kindling.stores.opening import open_store
from tests.fakes.server import free_port, running_server

PATH = "assets/image.bin"
BODY = b"body"
DIGEST = sha256(BODY).hexdigest()


@contextmanager
def scripted(*answers: int) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """A server that gives these statuses in turn, the last one for ever; and what it was asked."""
    asked: list[tuple[str, int]] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            self.rfile.read(size)
            asked.append((self.command, size))
            self.send_response(answers[min(len(asked), len(answers)) - 1])
            self.send_header("Content-Length", "2")
            self.send_header("ETag", f'"{DIGEST}"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"[]")

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_dead_server_is_named_with_the_question_whether_it_runs():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StoreUnreachable, match=f"{url}.*refused.*is the boot server running"):
        HttpStore(url, "token", patience=0).stat(PATH)


def test_a_passing_failure_is_tried_again():
    with scripted(503, 502, 200) as (url, asked):
        assert HttpStore(url, "token", patience=20).list() == []
    assert len(asked) == 3


def test_an_answer_that_will_not_change_is_not_tried_again():
    with scripted(401) as (url, asked), pytest.raises(StoreRefused):
        HttpStore(url, "token", patience=20).list()
    assert len(asked) == 1


def test_the_attempts_end_when_the_patience_does():
    with scripted(503) as (url, asked), pytest.raises(StoreUnreachable, match="HTTP 503"):
        HttpStore(url, "token", patience=0).list()
    assert len(asked) == 1


def test_another_web_server_is_told_from_a_boot_server():
    with scripted(405) as (url, _), pytest.raises(StoreError, match="a Kindling boot server"):
        HttpStore(url, "token").stat(PATH)


def test_redirects_do_not_carry_the_token_elsewhere():
    with scripted(302) as (url, asked), pytest.raises(StoreError, match="HTTP 302"):
        HttpStore(url, "token").stat(PATH)
    assert len(asked) == 1


@pytest.mark.parametrize("url", ["boot.example.net", "ftp://boot.example.net", "http://", ""])
def test_an_address_that_is_no_web_address_is_refused_at_once(url):
    with pytest.raises(StoreError, match="http"):
        HttpStore(url, None)


def test_a_netrc_file_does_not_take_the_place_of_the_token(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with running_server(tmp_path / "tree") as server:
        assert server.store().list() == []


def test_a_wrong_token_and_a_closed_server_are_refusals_that_name_the_setting(tmp_path):
    with running_server(tmp_path / "tree") as server:
        for token in (None, "wrong-token-wrong-token"):
            with pytest.raises(StoreRefused, match="kindling:storeToken"):
                server.store(token=token).put(PATH, BODY, sha256=DIGEST, owner="prod")
        assert not (server.directory / PATH).exists()
        assert "wrong-token" not in server.log


def test_a_server_without_a_token_refuses_every_token(tmp_path):
    with running_server(tmp_path / "tree", token=None) as server:
        store = server.store(token="any-token-any-token")
        with pytest.raises(StoreRefused, match="kindling:storeToken"):
            store.list()


def test_a_server_without_room_is_full_and_takes_nothing_but_still_reads(tmp_path):
    with running_server(tmp_path / "tree", keep_free=2**60) as server:
        with pytest.raises(StoreFull, match="no room"):
            server.store().put(
                PATH, BODY * 500_000, sha256=sha256(BODY * 500_000).hexdigest(), owner="prod"
            )
        assert server.store().list() == []
        assert list((server.directory / ".kindling" / "incoming").iterdir()) == []


def test_what_the_server_has_is_not_sent_again():
    with scripted(200) as (url, asked), pytest.raises((KeyError, TypeError)):
        HttpStore(url, "token").put(PATH, BODY, sha256=DIGEST, owner="prod")
    assert asked == [("HEAD", 0), ("POST", 0)]


def test_the_stack_files_location_opens_its_store(tmp_path):
    assert isinstance(open_store({"http": "http://127.0.0.1:9"}, "token"), HttpStore)
    assert isinstance(open_store({"directory": str(tmp_path)}, None), DirectoryStore)


@pytest.mark.parametrize(
    "location", [{}, {"s3": "bucket"}, {"http": "http://a", "directory": "/b"}]
)
def test_another_location_is_refused_with_the_known_ones(location):
    with pytest.raises(StoreError, match="http: URL, directory: PATH"):
        open_store(location, None)
