"""A folder for /var/lib/containerd that holds images already: importing once saves every run time.

It stands for what a registry would give.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kindling.process import run
from tests.cluster.harness.commands import call, wait_until
from tools.places import BIN, kept

_TIMEOUT = 600.0


def image_store(archives: Sequence[Path]) -> Path:
    """The folder with these archives imported for Kubernetes; made where it is missing."""
    digest = hashlib.sha256()
    for file in (BIN / "containerd", *sorted(archives)):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return kept(f"cluster-images-{digest.hexdigest()[:16]}", lambda made: _make(made, archives))


def _make(folder: Path, archives: Sequence[Path]) -> None:
    print(f"importing {len(archives)} images", flush=True)
    with tempfile.TemporaryDirectory(prefix="kindling-") as name:
        work = Path(name)
        configuration = work / "config.toml"
        configuration.write_text(
            f'version = 3\nroot = "{folder}"\nstate = "{work}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{work}/containerd.sock"\n'
        )
        # In mounts of its own, which end with it.
        alone = ["unshare", "--mount", "--propagation", "private", "--"]
        argv = [*alone, str(BIN / "containerd"), "--config", str(configuration)]
        with (work / "log").open("wb") as log:
            environment = {"PATH": f"{BIN}:{os.environ['PATH']}"}
            daemon = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
        try:
            _import(work / "containerd.sock", archives)
        finally:
            daemon.terminate()
            daemon.wait()


def _import(socket: Path, archives: Sequence[Path]) -> None:
    ctr = [str(BIN / "ctr"), "--address", str(socket), "--namespace", "k8s.io"]
    wait_until("containerd", lambda: run([*ctr, "version"]).returncode == 0, 60)
    for archive in archives:
        call([*ctr, "images", "import", "--local", str(archive)], timeout=_TIMEOUT)
