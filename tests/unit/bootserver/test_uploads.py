"""The operator's door, spoken to in raw HTTP: what it takes, what it refuses, what it leaves."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kindling.models.architecture import Architecture
from kindling.models.documents import BootValues, NodeDocument, SiteDocument
from kindling.stores.http import content_digest
from tests.fakes.server import TOKEN, Server, running_server

BODY = b"the bytes of an artifact"
NODE = "nodes/52-54-00-00-00-01.json"
IGNITION = "nodes/52-54-00-00-00-01.ign"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tree = tmp_path_factory.mktemp("boot") / "tree"
    with running_server(tree, max_upload=400_000_000, max_document=100_000) as running:
        yield running


def document(**changes: Any) -> dict[str, Any]:
    made = NodeDocument(
        stack="prod",
        cluster="prod",
        hostname="cp1.example.net",
        macs=("52:54:00:00:00:01",),
        arch=Architecture.X86_64,
        role="control-plane",
        generation=1,
        digest="0" * 64,
        ignition_digest="0" * 64,
        boot=BootValues(base_url="http://boot", kernel="k", initrds=("i",), arguments=()),
    )
    return {**json.loads(made.to_json()), **changes}


def headers_for(body: bytes, **changes: str | None) -> dict[str, str]:
    made: dict[str, str | None] = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Digest": content_digest(sha256(body).hexdigest()),
        "Kindling-Owner": "prod",
        "Content-Length": str(len(body)),
    }
    made |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in made.items() if value is not None}


def ask(
    server: Server, method: str, path: str, body: bytes = b"", **changes: str | None
) -> tuple[int, dict[str, str], bytes]:
    """One request with the path exactly as given: no client in between tidies it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers_for(body, **changes).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def error(body: bytes) -> str:
    return str(json.loads(body)["error"])


def private(server: Server, name: str) -> list[Path]:
    return list((server.directory / ".kindling" / name).iterdir())


def published(server: Server) -> list[str]:
    files = (f.relative_to(server.directory) for f in server.directory.rglob("*") if f.is_file())
    return sorted(str(f) for f in files if not str(f).startswith(".kindling"))


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that happens soon; only a broken server makes this fail."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_upload_is_answered_with_what_is_published(server):
    status, _, body = ask(server, "PUT", "/store/assets/a", BODY)
    assert (status, json.loads(body)) == (
        200,
        {
            "path": "assets/a",
            "size": len(BODY),
            "sha256": sha256(BODY).hexdigest(),
            "owners": ["prod"],
        },
    )


def test_head_tells_size_tag_digest_and_owners_without_a_body(server):
    ask(server, "PUT", "/store/assets/head", BODY)
    status, headers, body = ask(server, "HEAD", "/store/assets/head")
    assert (status, body) == (200, b"")
    wanted = sha256(BODY)
    assert headers["content-length"] == str(len(BODY))
    assert headers["etag"] == f'"{wanted.hexdigest()}"'
    assert headers["content-digest"] == f"sha-256=:{base64.b64encode(wanted.digest()).decode()}:"
    assert headers["kindling-owners"] == "prod"


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE", "POST"])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"],
)
def test_without_the_operators_token_every_method_is_401(server, method, authorization):
    status, headers, _ = ask(server, method, "/store/assets/x", BODY, Authorization=authorization)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert "assets/x" not in published(server)


def test_a_server_without_a_token_is_closed_and_says_how_to_open_it(tmp_path):
    with running_server(tmp_path / "tree", token=None) as closed:
        status, _, body = ask(closed, "PUT", "/store/assets/x", BODY)
    assert status == 403
    assert "KINDLING_STORE_TOKEN or --token-file" in error(body)


@pytest.mark.parametrize(
    "path",
    [
        "/store/../secret",
        "/store/assets/../../secret",
        "/store/assets/%2e%2e/%2e%2e/secret",
        "/store/assets/%252e%252e/secret",
        "/store/%2Fetc/passwd",
        "/store//etc/passwd",
        "/store/assets//a",
        "/store/assets/",
        "/store/assets/..%5c..%5csecret",
        "/store/assets/a%00b",
        "/store/.kindling/records.sqlite",
        "/store/assets/.hidden",
        "/store/assets/%C3%A4",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_unsafe_paths_are_400_in_every_spelling(server, method, path):
    before = published(server)
    status, _, body = ask(server, method, path, BODY)
    assert status == 400
    assert "not allowed" in error(body)
    assert published(server) == before


@pytest.mark.parametrize("path", ["index.html", "other/x", "boot.ipxe/x", "node/x", "boot/x"])
def test_paths_outside_the_tree_are_403_and_the_tree_is_named(server, path):
    status, _, body = ask(server, "PUT", f"/store/{path}", BODY)
    assert status == 403
    assert "boot.ipxe, sites/, nodes/, assets/, dnsmasq/" in error(body)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"Content_Digest": None}, 400, "send Content-Digest: sha-256=:BASE64:"),
        ({"Content_Digest": "sha-256=abc"}, 400, "send Content-Digest"),
        ({"Content_Digest": "sha-512=:AAAA:"}, 400, "send Content-Digest"),
        ({"Content_Digest": content_digest("0" * 64)}, 422, "nothing was stored"),
        ({"Kindling_Owner": None}, 400, "send Kindling-Owner"),
        ({"Kindling_Owner": "a b"}, 400, "owner"),
        ({"Content_Length": None}, 411, "Content-Length"),
    ],
)
def test_what_is_missing_or_wrong_is_refused_with_the_remedy(server, change, status, said):
    answer = ask(server, "PUT", "/store/assets/refused", BODY, **change)
    assert answer[0] == status
    assert said in error(answer[2])
    assert "assets/refused" not in published(server)
    assert private(server, "incoming") == []


def test_a_digest_among_others_is_found(server):
    both = f"sha-512=:{'A' * 86}==:, {content_digest(sha256(BODY).hexdigest())}"
    assert ask(server, "PUT", "/store/assets/two", BODY, Content_Digest=both)[0] == 200


def test_bodies_over_the_limit_are_413_and_documents_have_a_lower_one(server):
    status, _, body = ask(server, "PUT", "/store/assets/huge", b"", Content_Length="400000001")
    assert (status, "400000000" in error(body)) == (413, True)
    document_body = b"x" * 100_001
    for path in (NODE, IGNITION, "sites/prod.json"):
        status, _, body = ask(server, "PUT", f"/store/{path}", document_body)
        assert (status, "100000" in error(body)) == (413, True)
    assert ask(server, "PUT", "/store/assets/fits", document_body)[0] == 200


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        (NODE, b"{", "Invalid JSON"),
        (NODE, document(arch="amd64"), "arch: "),
        (NODE, document(generation=0), "generation: "),
        (NODE, document(surprise=1), "surprise: "),
        (NODE, document(macs=["52:54:00:00:00:02"]), "macs: "),
        (NODE, document(macs=[]), "macs: "),
        ("sites/prod.json", {"stack": "prod"}, "cluster: "),
        (IGNITION, b"{", "Invalid JSON"),
        (IGNITION, [], "ignition.version"),
        (IGNITION, {"ignition": {}}, "ignition.version"),
        (IGNITION, {"ignition": {"version": 3}}, "ignition.version"),
        ("nodes/cp1.ign", {"ignition": {"version": "3.4.0"}}, "MAC address"),
        ("nodes/AA-00-00-00-00-01.ign", {"ignition": {"version": "3.4.0"}}, "lower case"),
    ],
)
def test_documents_that_the_server_could_not_use_are_422_with_the_field(
    server, path, content, said
):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    status, headers, answer = ask(server, "PUT", f"/store/{path}", body)
    assert (status, headers["kindling-problem"]) == (422, "document")
    assert said in error(answer)
    assert path not in published(server)


def test_good_documents_are_taken(server):
    site = SiteDocument(stack="prod", cluster="prod", base_url="http://boot").to_json()
    assert ask(server, "PUT", f"/store/{NODE}", json.dumps(document()).encode())[0] == 200
    assert ask(server, "PUT", "/store/sites/prod.json", site)[0] == 200
    ignition = b'{"ignition": {"version": "3.4.0"}}'
    assert ask(server, "PUT", f"/store/{IGNITION}", ignition)[0] == 200
    status, _, body = ask(
        server, "PUT", f"/store/{IGNITION}", ignition, Kindling_Owner="staging/cp1@1"
    )
    assert (status, "also published by prod" in error(body)) == (409, True)


def test_adopting_needs_the_bytes_that_are_there(server):
    ask(server, "PUT", "/store/assets/adopted", BODY)
    tag = f'"{sha256(BODY).hexdigest()}"'
    status, _, body = ask(
        server, "POST", "/store/assets/adopted", If_Match=tag, Kindling_Owner="staging"
    )
    assert (status, json.loads(body)["owners"]) == (200, ["prod", "staging"])
    assert ask(server, "POST", "/store/assets/none", If_Match=tag)[0] == 412
    assert ask(server, "POST", "/store/assets/adopted", If_Match="no digest")[0] == 409


def test_a_client_that_leaves_in_the_middle_leaves_nothing(server):
    body = b"x" * 8_000_000
    lines = [f"{name}: {value}" for name, value in headers_for(body).items()]
    request = "\r\n".join(["PUT /store/assets/left HTTP/1.1", "Host: boot", *lines, "", ""])
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request.encode() + body[:5_000_000])
        until(lambda: any(f.stat().st_size > 0 for f in private(server, "incoming")))
    until(lambda: private(server, "incoming") == [])
    assert "assets/left" not in published(server)


def test_a_server_killed_in_the_middle_leaves_nothing_once_it_runs_again(tmp_path):
    body = b"x" * 8_000_000
    lines = [f"{name}: {value}" for name, value in headers_for(body).items()]
    request = "\r\n".join(["PUT /store/assets/left HTTP/1.1", "Host: boot", *lines, "", ""])
    with running_server(tmp_path / "tree") as first:
        ask(first, "PUT", "/store/assets/kept", BODY)
        # Not sooner: the server closes a connection that says nothing for 30 s.
        with socket.create_connection(("127.0.0.1", first.port)) as connection:
            connection.sendall(request.encode() + body[:5_000_000])
            until(lambda: any(f.stat().st_size > 0 for f in private(first, "incoming")))
            first.kill()
            assert len(private(first, "incoming")) == 1
    with running_server(tmp_path / "tree") as second:
        assert private(second, "incoming") == []
        assert published(second) == ["assets/kept"]
        assert ask(second, "PUT", "/store/assets/left", body)[0] == 200


def test_a_file_of_300_mb_is_taken_and_sent_in_constant_memory(server, tmp_path):
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(300_000_000)
    with source.open("rb") as file:
        wanted = sha256()
        while chunk := file.read(1 << 20):
            wanted.update(chunk)
    before = peak_memory(server)
    server.store().put("assets/sparse", source, sha256=wanted.hexdigest(), owner="prod")
    assert received(server, "/assets/sparse", {}) == (200, 300_000_000)
    assert received(server, "/assets/sparse", {"Range": "bytes=1-"}) == (206, 299_999_999)
    assert peak_memory(server) - before < 64_000_000


def received(server: Server, path: str, headers: dict[str, str]) -> tuple[int, int]:
    """Status and number of bytes of an answer that is thrown away."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    size = 0
    while chunk := answer.read(1 << 20):
        size += len(chunk)
    connection.close()
    return answer.status, size


def peak_memory(server: Server) -> int:
    """The highest resident size that any of the server's processes ever had, in bytes."""
    lines = (Path(f"/proc/{pid}/status").read_text().splitlines() for pid in server.pids)
    peaks = [line.split()[1] for lines_of in lines for line in lines_of if "VmHWM" in line]
    return max(map(int, peaks)) * 1024


def test_the_token_is_in_no_log(server):
    assert TOKEN not in server.log
