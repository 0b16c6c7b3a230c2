"""A real container registry (distribution) on loopback, small images in it, and a token server."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kindling.pki.certificates import make_authority
from tests.fakes.programs import need
from tools.places import BIN

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_START = 60.0  # seconds


def digest_of(body: bytes) -> str:
    """As registries write it."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass(frozen=True)
class RunningRegistry:
    """``host`` is what stands before the first slash of an image's name; ``storage`` its files."""

    host: str
    storage: Path
    log: Path

    def push(self, repository: str, tag: str, *architectures: str, size: int = 4000) -> str:
        """An index with an image per architecture; returns the index's digest."""
        made = [self._image(repository, each, size) for each in architectures]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": made}
        return str(self._manifest(repository, tag, json.dumps(index).encode(), INDEX)["digest"])

    def push_single(self, repository: str, tag: str, architecture: str) -> str:
        """One image without an index."""
        body = self._image_manifest(repository, architecture, 1000)
        return str(self._manifest(repository, tag, body, MANIFEST)["digest"])

    def blob_file(self, digest: str) -> Path:
        """Where the registry keeps a blob."""
        value = digest.removeprefix("sha256:")
        root = self.storage / "docker/registry/v2/blobs/sha256"
        return root / value[:2] / value / "data"

    def manifest(self, repository: str, wanted: str) -> dict[str, Any]:
        """A manifest as it is served."""
        url = f"http://{self.host}/v2/{repository}/manifests/{wanted}"
        answer = requests.get(url, headers={"Accept": f"{INDEX}, {MANIFEST}"}, timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _image(self, repository: str, architecture: str, size: int) -> dict[str, Any]:
        body = self._image_manifest(repository, architecture, size)
        made = self._manifest(repository, digest_of(body), body, MANIFEST)
        return made | {"platform": {"architecture": architecture, "os": "linux"}}

    def _image_manifest(self, repository: str, architecture: str, size: int) -> bytes:
        content = hashlib.shake_256(f"{repository} {architecture}".encode()).digest(size)
        layer = gzip.compress(content, mtime=0)
        rootfs = {"type": "layers", "diff_ids": [digest_of(content)]}
        config = {"architecture": architecture, "os": "linux", "rootfs": rootfs, "config": {}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(repository, json.dumps(config).encode(), CONFIG),
            "layers": [self._blob(repository, layer, LAYER)],
        }
        return json.dumps(manifest).encode()

    def _blob(self, repository: str, body: bytes, media_type: str) -> dict[str, Any]:
        uploads = f"http://{self.host}/v2/{repository}/blobs/uploads/"
        place = requests.post(uploads, timeout=10).headers["Location"]
        digest = digest_of(body)
        put = requests.put(place, params={"digest": digest}, data=body, timeout=10)
        put.raise_for_status()
        return {"mediaType": media_type, "digest": digest, "size": len(body)}

    def _manifest(self, repository: str, wanted: str, body: bytes, kind: str) -> dict[str, Any]:
        url = f"http://{self.host}/v2/{repository}/manifests/{wanted}"
        put = requests.put(url, data=body, headers={"Content-Type": kind}, timeout=10)
        put.raise_for_status()
        return {"mediaType": kind, "digest": digest_of(body), "size": len(body)}


@contextmanager
def registry(folder: Path, auth: dict[str, Any] | None = None) -> Iterator[RunningRegistry]:
    """Run one over ``folder``; two may share a folder, one with and one without ``auth``."""
    need("registry")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": host},
    }
    if auth is not None:
        settings["auth"] = {"token": auth}
    file, log = folder / f"{host}.yaml", folder / f"{host}.log"
    file.write_text(yaml.safe_dump(settings))
    with log.open("w") as stream:
        process = subprocess.Popen(
            [BIN / "registry", "serve", str(file)], stdout=stream, stderr=stream
        )
    try:
        _wait_for(host, process, log)
        yield RunningRegistry(host, folder / "storage", log)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    name, _, port = host.partition(":")
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection((name, int(port)), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the registry does not answer:\n{log.read_text()}")


@dataclass
class TokenServer:
    """Gives tokens for pulling to anybody, or only to those with ``password`` (user:password)."""

    url: str
    bundle: Path
    key: rsa.RSAPrivateKey
    certificate: str
    password: str | None = None
    asked: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What the registry has to know."""
        return {
            "realm": f"{self.url}/token",
            "service": "registry",
            "issuer": "tests",
            "rootcertbundle": str(self.bundle),
        }

    def token_for(self, scope: str) -> str:
        """A signed token (distribution, docs/spec/auth/jwt.md)."""
        kind, name, actions = scope.split(":")
        now = int(datetime.now(UTC).timestamp())
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        claims: dict[str, Any] = {
            "iss": "tests",
            "aud": "registry",
            "sub": "",
            "jti": "1",
            "access": access,
        }
        claims |= {"iat": now - 10, "nbf": now - 10, "exp": now + 300}
        der = x509.load_pem_x509_certificate(self.certificate.encode()).public_bytes(
            serialization.Encoding.DER
        )
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{_segment(header)}.{_segment(claims)}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"


@contextmanager
def token_server(folder: Path, password: str | None = None) -> Iterator[TokenServer]:
    """Run one on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = make_authority("tokens", datetime.now(UTC))
    key = serialization.load_pem_private_key(pair.key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    (folder / "bundle.pem").write_text(pair.certificate)
    made = TokenServer("", folder / "bundle.pem", key, pair.certificate, password)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked += 1
            wanted = base64.b64encode((made.password or "").encode()).decode()
            if made.password and self.headers.get("Authorization") != f"Basic {wanted}":
                self.send_error(401)
                return
            scope = parse_qs(urlsplit(self.path).query)["scope"][0]
            body = json.dumps({"token": made.token_for(scope)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _segment(data: dict[str, Any]) -> str:
    return _base64(json.dumps(data).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
