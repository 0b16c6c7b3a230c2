"""One large file from an HTTP source to the boot server, against `curl | tee | openssl dgst`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kindling.models.assets import AssetFile
from kindling.stores.opening import open_store
from tools.bench.measuring import Aim, Figure, compared, in_turns, seconds
from tools.bench.memory import Growth
from tools.bench.problems import NotMeasured, program, require
from tools.bench.servers import Server, boot_server, nginx
from tools.bench.sizes import Sizes
from tools.catalog import ROOT

_BLOCK = 1 << 20  # bytes
_COPIES = 4  # the source, the cache, the store, and what tee writes
_MEMORY = 64  # MB
_PATIENCE = 1800.0  # seconds for one transfer on a slow disk
_STORE_PATH = "assets/extensions/bench-1-x86-64.raw"

_NOTE = (
    "transfer: Kindling leaves two verified copies (cache and store), both flushed to the disk; "
    "`curl | tee | openssl dgst -sha256` leaves one in the page cache, with sync one on the disk"
)


@dataclass
class Scene:
    """A source, a boot server, and what the last run of each side left behind."""

    folder: Path
    file: AssetFile
    server: Server
    parts: dict[str, list[float]] = field(default_factory=dict)

    def kindling(self) -> float:
        """Source -> cache -> boot server, as an artifact resource does it; seconds."""
        cache = self.folder / "cache"
        growth = Growth.since(self.server.pid)
        told = self._send(cache)
        told["server memory"] = growth.peak()
        for name, value in told.items():
            self.parts.setdefault(name, []).append(value)
        shutil.rmtree(cache)
        store = open_store({"http": self.server.url}, self.server.token)
        store.delete(_STORE_PATH, owner="bench/transfer")
        return told["fetch"] + told["put"]

    def pipeline(self, *, flushed: bool = False) -> float:
        """`curl | tee | openssl dgst -sha256`; seconds. Raises `NotMeasured` on a wrong digest."""
        copy = self.folder / "copy"
        command = 'curl -sSf "$1" | tee "$2" | openssl dgst -sha256'
        command += ' && sync "$2"' if flushed else ""
        shell = [program("sh"), "-c", command, "sh", self.file.url, str(copy)]
        output: list[str] = []
        taken = seconds(lambda: output.append(_run(shell)))
        copy.unlink()
        if str(self.file.sha256) not in output[0]:
            raise NotMeasured(f"the pipeline got other bytes: {output[0]}")
        return taken

    def _send(self, cache: Path) -> dict[str, float]:
        description = self.folder / "file.json"
        description.write_text(self.file.model_dump_json())
        command = [sys.executable, "-m", "tools.bench.sender", str(description), self.server.url]
        secret = {"KINDLING_STORE_TOKEN": self.server.token, "KINDLING_CACHE": str(cache)}
        told: dict[str, float] = json.loads(_run(command, secret))
        return told


def measure(sizes: Sizes, folder: Path) -> list[Figure]:
    """Seconds of the whole way and of fetching alone, and the memory that it takes."""
    require("nginx", "curl", "openssl", "tee")
    _check_room(folder, sizes.transferred)
    source = folder / "source"
    source.mkdir()
    digest = _write_noise(source / "image", sizes.transferred)
    served = folder / "served"
    with nginx(source, folder / "nginx") as origin, boot_server(served) as server:
        file = AssetFile(
            path=_STORE_PATH, url=f"{origin.url}/image", sha256=digest, size=sizes.transferred
        )
        return _figures(Scene(folder, file, server), sizes)


def _figures(scene: Scene, sizes: Sizes) -> list[Figure]:
    sides: dict[str, Callable[[], float]] = {
        "kindling": scene.kindling,
        "pipeline": scene.pipeline,
        "flushed": lambda: scene.pipeline(flushed=True),
    }
    taken = in_turns(sides, sizes.turns)
    fetched, put = tuple(scene.parts["fetch"]), tuple(scene.parts["put"])
    size = f"{sizes.transferred / 1e9:g} GB"
    pipeline, flushed = "curl, tee, openssl", "curl, tee, openssl, then sync"
    return [
        _pair(f"{size} to the boot server / {pipeline}", taken["kindling"], taken["pipeline"], 1.0),
        _pair(f"{size} to the boot server / {flushed}", taken["kindling"], taken["flushed"]),
        _pair(f"{size} into the cache / {pipeline}", fetched, taken["pipeline"]),
        _pair(f"{size} into the cache / {flushed}", fetched, taken["flushed"]),
        Figure(
            "transfer", f"{size} from the cache to the boot server", "s", statistics.median(put)
        ),
        _memory(scene),
    ]


def _pair(
    name: str, ours: tuple[float, ...], baseline: tuple[float, ...], most: float | None = None
) -> Figure:
    aim = Aim("at most", most) if most else None
    return compared("transfer", name, "s", ours, baseline, aim, _NOTE)


def _memory(scene: Scene) -> Figure:
    both = zip(scene.parts["memory"], scene.parts["server memory"], strict=True)
    most = max(sender + server for sender, server in both)
    sender, server = max(scene.parts["memory"]) / 1e6, max(scene.parts["server memory"]) / 1e6
    return Figure(
        "transfer",
        "extra memory of both processes",
        "MB",
        most / 1e6,
        aim=Aim("at most", _MEMORY),
        note=f"transfer: at its peak the sender took {sender:.1f} MB more, the server {server:.1f}",
    )


def _write_noise(path: Path, size: int) -> str:
    """A file that no disk or file system can compress away as a whole; its SHA-256 in hex."""
    block, digest = bytearray(os.urandom(_BLOCK)), hashlib.sha256()
    with path.open("wb", buffering=0) as file:
        for number in range(0, size, _BLOCK):
            block[:8] = number.to_bytes(8, "big")
            piece = memoryview(block)[: min(_BLOCK, size - number)]
            digest.update(piece)
            file.write(piece)
        os.fsync(file.fileno())
    return digest.hexdigest()


def _check_room(folder: Path, size: int) -> None:
    free, needed = shutil.disk_usage(folder).free, _COPIES * size + (1 << 30)
    if free < needed:
        raise NotMeasured(f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} are needed")


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise NotMeasured(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
