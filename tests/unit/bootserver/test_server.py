"""The running boot server: its start, its end, its address, TLS, several workers."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kindling.bootserver.server import _end_with, serve
from kindling.bootserver.settings import Settings
from kindling.errors import BootServerError
from tests.fakes.published import HOST, Published, digest_of, node_document, token_of
from tests.fakes.server import TOKEN, Server, running_server


def test_it_says_its_address_once_and_no_secret(tmp_path):
    with running_server(tmp_path / "tree") as server:
        assert server.log.count(f"boot server at {server.url}") == 1
        assert TOKEN not in server.log
        arguments = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        assert TOKEN.encode() not in arguments


def test_a_request_under_way_is_finished_after_the_signal_to_stop(tmp_path):
    with running_server(tmp_path / "tree") as server:
        (tmp_path / "tree" / "assets").mkdir()
        with (tmp_path / "tree" / "assets" / "large").open("wb") as file:
            file.truncate(60_000_000)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/assets/large")
        answer = connection.getresponse()
        codes: list[int] = []
        stopping = threading.Thread(target=lambda: codes.append(server.stop()))
        stopping.start()
        assert len(answer.read()) == 60_000_000
        connection.close()
        stopping.join()
        assert codes == [0]
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/healthz", timeout=5)


def test_an_address_in_use_is_refused_and_not_shared(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(directory=tmp_path, host="127.0.0.1", port=port)
        with pytest.raises(BootServerError, match=f"127.0.0.1:{port} cannot be used"):
            serve(settings)


def test_a_second_server_on_the_same_address_is_refused(tmp_path):
    with running_server(tmp_path / "one") as first:
        settings = Settings(directory=tmp_path / "two", host="127.0.0.1", port=first.port)
        with pytest.raises(BootServerError, match="choose another"):
            serve(settings)


def test_with_a_certificate_it_speaks_https(tmp_path):
    cert, key = certificate(tmp_path)
    with running_server(tmp_path / "tree", tls_cert=cert, tls_key=key) as server:
        assert server.url.startswith("https://")
        assert requests.get(f"{server.url}/healthz", verify=str(cert), timeout=60).ok


def test_all_workers_show_the_same_files_and_count_together(tmp_path):
    with running_server(tmp_path / "tree", workers=2) as server:
        assert len(server.pids) == 3
        body = b"#!ipxe\n"
        digest = sha256(body).hexdigest()
        server.store().put("boot.ipxe", body, sha256=digest, owner="prod")
        for _ in range(40):  # new connections: the kernel deals them out
            assert requests.get(f"{server.url}/boot.ipxe", timeout=60).content == body
        text = requests.get(f"{server.url}/metrics", timeout=60).text
        line = r'kindling_http_requests_total\{route="boot.ipxe",status="200"\} (\S+)'
        assert [float(n) for n in re.findall(line, text)] == [40.0]
        assert f"kindling_uploaded_bytes_total {float(len(body))}" in text


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "boot")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = (directory / "cert.pem", directory / "key.pem")
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def test_a_killed_main_process_leaves_no_worker_that_keeps_the_port(tmp_path):
    with running_server(tmp_path / "tree") as first:
        workers = first.pids[1:]
        first.kill_leader()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        with running_server(tmp_path / "tree", port=first.port) as second:
            assert requests.get(f"{second.url}/healthz", timeout=60).ok


def test_a_worker_whose_main_process_is_gone_before_it_can_be_watched_ends():
    with pytest.raises(SystemExit):
        _end_with(os.getppid() + 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_installed_that_was_acknowledged_after_the_database_was_deleted_is_kept(
    tmp_path, workers
):
    """Whoever asks too early is told to ask again; the server opens a new database by itself."""
    with running_server(tmp_path / "tree", workers=workers) as first:
        Published(first.directory).publish(node_document())
        assert report(first, "installing") == 200
        for file in (first.directory / ".kindling").glob("records.sqlite*"):
            file.unlink()
        until(lambda: report(first, "installed") == 200)
        until(lambda: "deleted or replaced" in first.log)
        assert first.stop() == 0
    with running_server(tmp_path / "tree") as second:
        assert installed_generation(second) == 1


def test_a_database_whose_companions_were_left_behind_is_begun_anew(tmp_path):
    with running_server(tmp_path / "tree") as first:
        Published(first.directory).publish(node_document())
        (first.directory / ".kindling" / "records.sqlite").unlink()
        until(lambda: report(first, "installed") == 200)
        first.kill()
    with running_server(tmp_path / "tree") as second:
        assert installed_generation(second) == 1


def report(server: Server, state: str) -> int:
    """The status of the answer to a report of the default node; 0 for none."""
    address = f"{server.url}/status/52-54-00-00-00-01"
    body = {"state": state, "generation": 1, "digest": digest_of("g1")}
    headers = {"Authorization": f"Bearer {token_of(HOST, 1)}"}
    try:
        found = requests.post(address, json=body, headers=headers, timeout=60).status_code
    except requests.ConnectionError:  # between two workers
        return 0
    assert found in (200, 429, 503)
    return found


def installed_generation(server: Server) -> int | None:
    """What the default node's record says."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.get(f"{server.url}/api/nodes/{HOST}", headers=headers, timeout=60)
    found: int | None = answer.json()["installedGeneration"]
    return found


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that happens soon; only a broken server makes this fail."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)
