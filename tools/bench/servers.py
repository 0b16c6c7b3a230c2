"""The two servers that are measured: ours, as a user starts it, and nginx on a plain folder."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tools.bench.problems import NotMeasured, program
from tools.catalog import ROOT

_START = 60.0  # seconds that a server may take to answer, on a machine with other work
_STOP = 20.0  # seconds that it may take to end

# What Debian's own nginx.conf has on, plus what makes a static server faster: no access log (ours
# writes none either) and connections that are not closed after 1,000 requests.
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes {workers};
events {{ worker_connections 1024; }}
http {{
    types {{ }}
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root};
    }}
}}
{user}
"""


@dataclass(frozen=True)
class Server:
    """A server that answers at ``url``; ``pid`` is its first process."""

    url: str
    pid: int
    token: str = ""


@contextmanager
def nginx(root: Path, folder: Path, workers: int = 1) -> Iterator[Server]:
    """Serve ``root`` by nginx; ``folder`` holds its configuration and what it writes."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "nginx.conf"
    # Workers of root's nginx are nobody by default and could not read a private folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(
        _NGINX.format(folder=folder, root=root, port=port, workers=workers, user=user)
    )
    command = [program("nginx"), "-p", str(folder), "-e", str(folder / "error.log")]
    url = f"http://127.0.0.1:{port}"
    with _running([*command, "-c", str(configuration)], os.environ, folder / "output") as process:
        _wait_for(url, process, folder / "output")
        yield Server(url, process.pid)


@contextmanager
def boot_server(directory: Path, workers: int = 1) -> Iterator[Server]:
    """The boot server over ``directory``, in processes of its own."""
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    command = [sys.executable, "-m", "kindling", "serve", "--directory", str(directory)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    log = directory.with_name(f"{directory.name}.log")
    url = f"http://127.0.0.1:{port}"
    with _running(command, {**os.environ, "KINDLING_STORE_TOKEN": token}, log) as process:
        _wait_for(f"{url}/healthz", process, log)
        yield Server(url, process.pid, token)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command), cwd=ROOT, env=dict(environment), stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when something answers at ``url``, whatever it says."""
    deadline = time.monotonic() + _START
    while process.poll() is None and time.monotonic() < deadline:
        try:
            requests.get(url, timeout=5)
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    raise NotMeasured(f"the server did not start: {log.read_text(errors='replace')[-500:]}")
