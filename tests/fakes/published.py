"""A published tree and its boot server in this process, with a clock that tests turn."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from starlette.testclient import TestClient

from kindling.bootserver.app import create_app
from kindling.bootserver.settings import Settings
from kindling.models.architecture import Architecture
from kindling.models.documents import (
    BootValues,
    NodeDocument,
    Publication,
    SiteDocument,
    path_of_ignition,
    path_of_node,
)

OPERATOR = "operator-token-of-the-tests"
BASE_URL = "http://boot.example:8080"
MAC = "52:54:00:00:00:01"
HOST = "n1.example"


def digest_of(text: str) -> str:
    """Any SHA-256, told by a word."""
    return sha256(text.encode()).hexdigest()


def token_of(host: str, generation: int) -> str:
    """The status token of a node's generation, as the stack would derive it."""
    return f"status-token-{host}-{generation}"


def node_document(host: str = HOST, mac: str = MAC, **values: Any) -> NodeDocument:
    """A node's document; generation 1, digest `digest_of("g1")`, tokens up to its generation."""
    generation = values.setdefault("generation", 1)
    values.setdefault("digest", digest_of(f"g{generation}"))
    values.setdefault(
        "history",
        tuple(
            Publication(generation=g, digest=digest_of(f"g{g}")) for g in range(1, generation + 1)
        ),
    )
    values.setdefault(
        "status_tokens",
        {g: digest_of(token_of(host, g)) for g in range(1, generation + 1)},
    )
    arch = Architecture(values.setdefault("arch", Architecture.X86_64))
    folder = f"assets/flatcar/{arch}/4230.2.3"
    values.setdefault(
        "boot",
        BootValues(
            base_url=BASE_URL,
            kernel=f"{folder}/flatcar_production_pxe.vmlinuz",
            initrds=(f"{folder}/flatcar_production_pxe_image.cpio.gz",),
            arguments=("flatcar.first_boot=1",),
        ),
    )
    values.setdefault("macs", (mac,))
    values.setdefault("role", "worker")
    return NodeDocument(
        stack="test", cluster="test", hostname=host, ignition_digest=digest_of("ignition"), **values
    )


def cluster_documents(**roles: str) -> list[NodeDocument]:
    """Documents of a cluster, by role of each host: ``cp1="control-plane"``, ``w1="worker"``."""
    return [
        node_document(f"{name}.example", f"52:54:00:00:01:{number:02x}", role=role)
        for number, (name, role) in enumerate(roles.items(), start=1)
    ]


@dataclass
class Clock:
    """Seconds since the epoch, as the server sees them."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += seconds


@dataclass
class Published:
    """A boot server over ``directory``; ``machine`` is a client at the address 10.0.0.1."""

    directory: Path
    clock: Clock = field(default_factory=Clock)
    settings: dict[str, Any] = field(default_factory=dict)
    app: Any = None
    machine: TestClient = field(init=False)

    def publish(self, document: NodeDocument, ignition: bytes = b'{"ignition":{}}') -> NodeDocument:
        """Write a node's documents as a directory store would."""
        (self.directory / "nodes").mkdir(exist_ok=True)
        self._write(path_of_ignition(document.macs[0]), ignition)
        self._write(path_of_node(document.macs[0]), document.to_json())
        return document

    def publish_site(self, **values: Any) -> None:
        """Write the stack's site document."""
        site = SiteDocument(stack="test", cluster="test", base_url=BASE_URL, **values)
        (self.directory / "sites").mkdir(exist_ok=True)
        self._write("sites/test.json", site.to_json())

    def remove(self, document: NodeDocument) -> None:
        """Delete a node's documents, as a destroyed stack does."""
        (self.directory / path_of_node(document.macs[0])).unlink()
        (self.directory / path_of_ignition(document.macs[0])).unlink()

    def _write(self, path: str, body: bytes) -> None:
        new = self.directory / f"{path}.new"
        new.write_bytes(body)
        new.rename(self.directory / path)

    def at(self, address: str) -> TestClient:
        """A client at another address."""
        return TestClient(self.app, client=(address, 40_000), follow_redirects=False)

    def boot(self, mac: str = MAC, *, arch: str = "x86_64", at: str = "", **query: str) -> str:
        """The script that a machine gets."""
        client = self.at(at) if at else self.machine
        answer = client.get(f"/boot/{mac.replace(':', '-')}", params={"arch": arch, **query})
        assert answer.status_code == 200
        return str(answer.text)

    def attempt(self) -> str:
        """The machine gets its script and fetches its Ignition: an attempt to install begins."""
        script = self.boot()
        if url := re.search(r"ignition\.config\.url=https?://[^/]+(\S+)", script):
            self.machine.get(url[1])
        return script

    def report(
        self, state: str, generation: int = 1, *, mac: str = MAC, token: str = "", **more: Any
    ) -> Any:
        """Post a status; the token is that of the generation unless given."""
        if state in ("installed", "booted"):
            more.setdefault("digest", digest_of(f"g{generation}"))
        return self.machine.post(
            f"/status/{mac}",
            json={"state": state, "generation": generation, **more},
            headers={"Authorization": f"Bearer {token or token_of(HOST, generation)}"},
        )

    def install(self, generation: int = 1) -> None:
        """One whole installation of the default node, up to its first boot."""
        assert self.boot().count("ignition.config.url=")
        for state in ("installing", "installed", "booted"):
            assert self.report(state, generation).status_code == 200

    def claim(
        self, host: str = HOST, purpose: str = "kubernetes", *, generation: int = 1, **more: Any
    ) -> Any:
        """Ask for the claim to initialise, as the node ``host``; the answer's JSON."""
        mac = next(d.macs[0] for d in self.documents if d.hostname == host)
        answer = self.machine.post(
            f"/claim/{mac}",
            json={"purpose": purpose, "generation": generation, **more},
            headers={"Authorization": f"Bearer {token_of(host, generation)}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tell(self, state: str, host: str = HOST, generation: int = 1, **more: Any) -> Any:
        """Post a status as the node ``host``; the answer's JSON."""
        mac = next(d.macs[0] for d in self.documents if d.hostname == host)
        token = token_of(host, generation)
        answer = self.report(state, generation, mac=mac, token=token, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def documents(self) -> list[NodeDocument]:
        """Every published node document."""
        files = (self.directory / "nodes").glob("*.json")
        return [NodeDocument.model_validate_json(file.read_bytes()) for file in files]

    def operator(
        self, method: str, path: str, body: dict[str, str] | None = None, **headers: str
    ) -> Any:
        """A request with the operator's token."""
        headers["Authorization"] = f"Bearer {OPERATOR}"
        return self.machine.request(method, path, headers=headers, json=body)

    def node(self, host: str = HOST) -> Any:
        """A node as ``/api`` shows it."""
        answer = self.operator("GET", f"/api/nodes/{host}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def state(self, host: str = HOST) -> str:
        """A node's state as ``/api`` shows it."""
        return str(self.node(host)["state"])


@contextmanager
def boot_server(
    directory: Path, clock: Clock | None = None, **settings: Any
) -> Iterator[Published]:
    """A boot server over ``directory`` in this process, until the end of the block."""
    directory.mkdir(exist_ok=True)
    made = Settings(directory=directory, token=SecretStr(OPERATOR), **settings)
    made.prepare()
    server = Published(directory, clock or Clock())
    server.app = create_app(made, clock=server.clock)
    with TestClient(server.app, client=("10.0.0.1", 40_000), follow_redirects=False) as machine:
        server.machine = machine
        yield server
