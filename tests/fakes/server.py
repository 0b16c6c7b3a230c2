"""The real boot server, in processes of its own on a free loopback port, for any test."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling.stores.http import HttpStore

TOKEN = "operator-token-of-the-tests"
ROOT = Path(__file__).resolve().parents[2]

# The settings, with the token, arrive on standard input: nothing secret in an argument list.
_MAIN = """
import logging, sys
from kindling.bootserver.server import serve
from kindling.bootserver.settings import Settings
logging.basicConfig(level=logging.INFO)
serve(Settings.model_validate_json(sys.stdin.read()))
"""
_START = 90.0  # seconds; a noisy machine is slow to import
_STOP = 30.0


@dataclass
class Server:
    """A running boot server. ``directory`` is its published tree, ``log`` what it printed."""

    url: str
    port: int
    directory: Path
    token: str | None
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        """What the server printed so far."""
        return self.log_file.read_text()

    @property
    def pids(self) -> list[int]:
        """The main process and its workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def store(self, **options: Any) -> HttpStore:
        """An HTTP store on this server, with the operator's token."""
        return HttpStore(self.url, options.pop("token", self.token), **options)

    def stop(self) -> int:
        """SIGTERM, as an operator stops it; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP)

    def kill_leader(self) -> None:
        """SIGKILL to the main process alone, as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait(_STOP)

    def kill(self) -> None:
        """SIGKILL to the server and its workers, as a power failure stops it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_STOP)


@contextmanager
def running_server(
    directory: Path, *, token: str | None = TOKEN, port: int | None = None, **settings: Any
) -> Iterator[Server]:
    """The boot server over ``directory`` until the end of the block.

    ``settings`` are fields of `Settings`. The block begins once it takes connections.
    """
    directory.mkdir(parents=True, exist_ok=True)
    server = _start(directory, token, port, settings)
    try:
        yield server
    finally:
        _end(server)


def free_port() -> int:
    """A port that nobody listens on, outside the range that the kernel gives to clients."""
    while True:
        port = random.randint(12_000, 31_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _start(directory: Path, token: str | None, port: int | None, settings: Any) -> Server:
    for _ in range(5):
        chosen = port or free_port()
        options = {"host": "127.0.0.1", "port": chosen, "token": token, **settings}
        server = _spawn(directory, {"directory": str(directory), **options}, chosen)
        try:
            if _answers(server):
                return server
        except BaseException:
            _end(server)
            raise
        _end(server)
        if port or "cannot be used" not in server.log:
            break
    raise AssertionError(f"the boot server did not start:\n{server.log}")


def _spawn(directory: Path, options: dict[str, Any], port: int) -> Server:
    log_file = directory.parent / f"{directory.name}-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(options, default=str).encode())
    process.stdin.close()
    scheme = "https" if options.get("tls_cert") else "http"
    url = f"{scheme}://127.0.0.1:{port}"
    return Server(url, port, directory, options["token"], process, log_file)


def _answers(server: Server) -> bool:
    deadline = time.monotonic() + _START
    while server.process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=5):
            return True
        time.sleep(0.02)
    return False


def _end(server: Server) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(_STOP)
    # Workers share the group; the leader's end alone would leave one that hangs.
    with suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
