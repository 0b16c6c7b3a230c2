"""The boot server against nginx: the same bytes, the same number of workers and connections."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kindling.stores.opening import open_store
from tools.bench.machines import Machines, publish_machines
from tools.bench.measuring import Aim, Figure, Machine, compared, in_turns, seconds
from tools.bench.problems import NotMeasured, program, require
from tools.bench.servers import Server, boot_server, nginx
from tools.bench.sizes import Sizes

_READERS = 4
_ASSET = "assets/flatcar/x86-64/1/image"
_PATIENCE = 900.0  # seconds for one reader of large files
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
_TROUBLE = re.compile(r"^\s*(Non-2xx or 3xx responses|Socket errors): .*$", re.MULTILINE)


def measure(sizes: Sizes, folder: Path) -> list[Figure]:
    """Requests per second of small documents, megabytes per second of large files."""
    require("wrk", "nginx", "curl")
    workers = Machine.now().cores
    static = folder / "static"
    with (
        boot_server(folder / "served", workers) as ours,
        nginx(static, folder / "nginx", workers) as baseline,
    ):
        machines = publish_machines(ours)
        _write(static / machines.script_path.partition("?")[0], machines.script)
        _write(static / machines.ignition_path.partition("?")[0], machines.ignition)
        _write(static / _ASSET, os.urandom(sizes.asset))
        _publish(ours, static / _ASSET)
        return [*_small(ours, baseline, machines, sizes), _large(ours, baseline, sizes)]


def _small(ours: Server, baseline: Server, machines: Machines, sizes: Sizes) -> list[Figure]:
    script, ignition = len(machines.script), len(machines.ignition) / 1000
    cases = (
        (f"boot script of an installed node, {script} bytes", machines.script_path, 0.45),
        (f"Ignition, {ignition:.0f} kB, with a ticket", machines.ignition_path, 0.35),
    )
    note = (
        f"serving: {sizes.connections} connections by wrk on the same machine; as many workers on"
        " both sides as there are cores; nginx serves the same bytes from a file"
    )
    figures = []
    for name, path, least in cases:
        sides = {side: _wrk(server, path, sizes) for side, server in _named(ours, baseline)}
        taken = in_turns(sides, sizes.turns)
        aim = Aim("at least", least)
        title = f"{name} / nginx"
        figures.append(
            compared("serving", title, "req/s", taken["ours"], taken["nginx"], aim, note)
        )
    return figures


def _large(ours: Server, baseline: Server, sizes: Sizes) -> Figure:
    sides = {side: partial(_read, server, sizes) for side, server in _named(ours, baseline)}
    taken = in_turns(sides, sizes.turns)
    title = f"assets of {sizes.asset / 1e6:.0f} MB, {_READERS} readers / nginx"
    aim = Aim("at least", 0.8)
    return compared("serving", title, "MB/s", taken["ours"], taken["nginx"], aim)


def _named(ours: Server, baseline: Server) -> tuple[tuple[str, Server], ...]:
    return ("ours", ours), ("nginx", baseline)


def _wrk(server: Server, path: str, sizes: Sizes) -> Callable[[], float]:
    """Requests per second that wrk gets answered; any error makes the figure worthless."""
    threads = min(Machine.now().cores, sizes.connections)
    command = [program("wrk"), "-t", str(threads), "-c", str(sizes.connections)]
    command += ["-d", f"{sizes.duration}s", f"{server.url}/{path}"]

    def ask() -> float:
        shown = _run(command)
        found = _RATE.search(shown)
        if found is None or (trouble := _TROUBLE.search(shown)):
            said = trouble[0].strip() if found and trouble else shown
            raise NotMeasured(f"wrk on {path.partition('?')[0]}: {said}")
        return float(found[1])

    return ask


def _read(server: Server, sizes: Sizes) -> float:
    """Megabytes per second that all readers get together, each reading the file some times."""
    url = f"{server.url}/{_ASSET}"
    # One curl reads the file again and again on one connection, as installers in a row would.
    command = [program("curl"), "-sSf", *(["-o", os.devnull, url] * sizes.rounds)]

    def work() -> None:
        readers = [subprocess.Popen(command) for _ in range(_READERS)]
        codes = [reader.wait(_PATIENCE) for reader in readers]
        if any(codes):
            raise NotMeasured(f"curl could not read {url}")

    return sizes.asset * sizes.rounds * _READERS / 1e6 / seconds(work)


def _publish(server: Server, file: Path) -> None:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    store = open_store({"http": server.url}, server.token)
    store.put(_ASSET, file, sha256=digest, owner="bench/serving")


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode:
        raise NotMeasured(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
