from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kindling.models.assets import AssetFile

CHECKOUT = Path(__file__).parents[3]
SIZE = 160 * 1024 * 1024
LIMIT = 64 * 1024  # kB
FETCH = """
import resource, sys
from kindling.artifacts.download import fetch
from kindling.models.assets import AssetFile
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fetch(AssetFile.model_validate_json(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
SERVE = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def hole(tmp_path: Path) -> Path:
    """A large file that takes no room."""
    path = tmp_path / "hole"
    with path.open("wb") as stream:
        stream.truncate(SIZE)
    return path


def memory_of_fetching(url: str) -> int:
    digest = hashlib.sha256()
    for _ in range(SIZE >> 20):
        digest.update(bytes(1 << 20))
    file = AssetFile(path="assets/hole", url=url, sha256=digest.hexdigest(), size=SIZE)
    argv = [sys.executable, "-c", FETCH, file.model_dump_json()]
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=dict(os.environ), stdout=subprocess.PIPE, check=True
    )
    return int(done.stdout)


def test_a_large_file_is_fetched_by_http_in_little_memory(hole: Path) -> None:
    argv = [sys.executable, "-c", SERVE, str(hole.parent)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            assert memory_of_fetching(f"http://127.0.0.1:{port}/hole") < LIMIT
        finally:
            server.kill()


def test_a_large_local_file_is_copied_in_little_memory(hole: Path) -> None:
    assert memory_of_fetching(f"file://{hole}") < LIMIT
