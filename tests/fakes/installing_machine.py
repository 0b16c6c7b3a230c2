"""A machine for the installer's and the reporter's scripts: real bash, curl, dd and wipefs on a
file as disk; partitions, mounts, flatcar-install and the restart are small programs on PATH that
write down how they were called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "token-of-this-generation"
DIGEST = "d" * 64
DISK_SIZE = 8 << 20
MASTER_BOOT_RECORD = (
    bytes(446) + bytes([0, 1, 1, 0, 0x83, 2, 2, 2, 1, 0, 0, 0, 9, 0, 0, 0]) + bytes(48)
)
FOREIGN_SYSTEM = MASTER_BOOT_RECORD + b"\x55\xaa"

_PROGRAMS = {
    "lsblk": """
case "$*" in
    *TYPE*) cat "$STATE/disk-type" 2>/dev/null || echo disk ;;
    *PARTLABEL*) echo "$DISK"; [ ! -d "$STATE/oem" ] || echo "$DISK-part6 OEM" ;;
    *) echo "sda 8M Fake" ;;
esac
""",
    "mount": """
[ "$3" = "$DISK-part6" ] || exit 32
[ ! -e "$STATE/oem-unreadable" ] || exit 32
rmdir "$4" && ln -s "$STATE/oem" "$4"
""",
    "umount": 'rm "$1" && mkdir "$1"\n',
    "mountpoint": '[ -L "$2" ]\n',
    "blockdev": 'stat -c %s "$2"\n',
    "wipefs": '[ ! -e "$STATE/disk-unreadable" ] || exit 1\nexec "$WIPEFS" "$@"\n',
    "sleep": "exit 0\n",
    "systemctl": "exit 0\n",
    "flatcar-install": """
echo "Downloading, writing and verifying"
how=$(cat "$STATE/flatcar-install" 2>/dev/null || echo well)
rm -rf "$STATE/oem"
dd if=/dev/zero of="$DISK" bs=1024 count=512 seek=$(($(stat -c %s "$DISK") / 1024 - 512)) \\
    conv=notrunc status=none
dd if="$STATE/image" of="$DISK" conv=notrunc status=none
case $how in
    power-cut) kill -9 0 ;;
    badly)
        for line in $(seq 1 60); do echo "line $line"; done
        echo "GPG signature verification failed"
        dd if=/dev/zero of="$DISK" bs=512 count=1 conv=notrunc status=none
        exit 1
        ;;
esac
mkdir "$STATE/oem"
cp "$4" "$STATE/oem/config.ign"
""",
}


@dataclass
class BootServer:
    """Takes reports and answers with the statuses that it is told, then with 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)  # by state, always
    reports: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def states(self) -> list[str]:
        return [report["state"] for report in self.reports]

    def answer(self, report: dict[str, Any], token: str) -> int:
        self.reports.append(report)
        self.tokens.append(token)
        if report["state"] in self.refuses:
            return self.refuses[report["state"]]
        return self.answers.pop(0) if self.answers else 200


@contextmanager
def boot_server() -> Iterator[BootServer]:
    """A boot server that knows nothing but /status."""
    served = BootServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = served.answer(json.loads(body), self.headers["Authorization"])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"error": "as told"}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/status/52-54-00-00-00-01"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class InstallingMachine:
    """One machine with one disk. ``files`` are what the installer's Ignition puts on it."""

    def __init__(self, directory: Path, server: BootServer, script: str) -> None:
        self.server = server
        self.state = directory / "state"
        self.opt = directory / "opt"
        self.runtime = directory / "run"
        self.programs = directory / "bin"
        self.disk = directory / "disk"
        for made in (self.state, self.opt, self.programs):
            made.mkdir()
        self.disk.write_bytes(bytes(DISK_SIZE))
        (self.state / "image").write_bytes(FOREIGN_SYSTEM + b"flatcar image " * 1000)
        for name, body in _PROGRAMS.items():
            self._program(self.programs / name, f'echo "{name} $*" >>"$STATE/calls"\n{body}')
        self._program(self.opt / "install", script, shebang=False)
        self.commands(pre='echo pre >>"$STATE/calls"', post='echo post >>"$STATE/calls"')
        (self.opt / "status.token").write_text(TOKEN)
        (self.opt / "node.ign").write_text('{"ignition": {"version": "3.4.0"}}')
        self.settings: dict[str, str] = {
            "KINDLING_HOST": "node-1.example.com",
            "KINDLING_STACK": "prod",
            "KINDLING_GENERATION": "1",
            "KINDLING_DIGEST": DIGEST,
            "KINDLING_ARCH": "x86-64",
            "KINDLING_DISK": str(self.disk),
            "KINDLING_VERSION": "4230.2.3",
            "KINDLING_ASSETS_URL": "http://boot.example.com/assets/flatcar/x86-64",
            "KINDLING_STATUS_URL": server.url,
            "KINDLING_OVERWRITE": "false",
            "KINDLING_OEM_ARGUMENTS": "",
        }

    def commands(self, *, pre: str, post: str) -> None:
        for name, line in (("pre-install", pre), ("post-install", post)):
            self._program(self.opt / name, f"set -euo pipefail\n{line}\n")

    def install(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """Boot the installer once."""
        self.settings |= {f"KINDLING_{name.upper()}": value for name, value in settings.items()}
        lines = [f"{name}='{value}'" for name, value in self.settings.items()]
        (self.opt / "install.env").write_text("\n".join(lines) + "\n")
        (self.state / "calls").unlink(missing_ok=True)
        return self._run([str(self.opt / "install")])

    def run_report(self, script: Path, configuration: Path) -> subprocess.CompletedProcess[str]:
        """Boot the installed system, as far as the reporter is concerned."""
        return self._run([str(script)], CONFIGURATION_DIRECTORY=str(configuration))

    def _run(self, argv: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "STATE": str(self.state),
            "DISK": str(self.disk),
            "WIPEFS": shutil.which("wipefs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "",
            "RUNTIME_DIRECTORY": str(self.runtime),
            "KINDLING_OEM": str(self.state / "oem"),
            **more,
        }
        return subprocess.run(
            argv,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,
        )

    @staticmethod
    def _program(path: Path, body: str, *, shebang: bool = True) -> None:
        path.write_text(f"#!/bin/bash\n{body}" if shebang else body)
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        path = self.state / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def wrote(self) -> bool:
        """Whether flatcar-install was run."""
        return any(call.startswith("flatcar-install") for call in self.calls)

    @property
    def restarted(self) -> bool:
        return "systemctl reboot" in self.calls

    @property
    def oem(self) -> Path:
        return self.state / "oem"

    @property
    def marker(self) -> dict[str, Any] | None:
        path = self.oem / "kindling.json"
        return json.loads(path.read_text()) if path.exists() else None

    def have_system(self, **marker: object) -> None:
        """A system is on the disk: Kindling's with a marker, somebody's without."""
        self.disk.write_bytes(FOREIGN_SYSTEM + bytes(DISK_SIZE - len(FOREIGN_SYSTEM)))
        self.oem.mkdir()
        if marker:
            (self.oem / "kindling.json").write_text(json.dumps(marker, indent=1) + "\n")
