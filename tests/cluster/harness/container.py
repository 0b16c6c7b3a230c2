"""A machine while it is on: systemd-nspawn, and what can be asked from outside."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kindling.errors import CommandError
from kindling.process import run
from tests.cluster.harness import workarounds
from tests.cluster.harness.commands import wait_until
from tests.cluster.harness.groups import Groups, only_unified

REBOOT = 133  # systemd-nspawn's exit code when the system asked for it, with --keep-unit
_POWER_OFF = signal.SIGRTMIN + 4  # systemd(1)
_START = 60.0
# Enters the control groups and becomes systemd-nspawn.
_LAUNCH = """
set -eu
while [ "$1" != -- ]; do echo $$ >"$1"; shift; done
shift
exec "$@"
"""


class Container:
    """A running systemd-nspawn over ``root``; made by `start`."""

    def __init__(self, process: subprocess.Popen[bytes], groups: Groups) -> None:
        self.process = process
        self._groups = groups
        self.leader = 0  # the machine's first process, as the host counts

    @classmethod
    def start(
        cls, name: str, root: Path, namespace: str, binds: Sequence[str], console: Path
    ) -> Container:
        """Start the system in ``root``; returns when its systemd answers."""
        groups = Groups(name)
        groups.make()
        procs = [str(path / "cgroup.procs") for path in groups.paths]
        command = _nspawn(name, root, namespace, binds)
        with console.open("ab") as output:
            process = subprocess.Popen(
                ["sh", "-c", _LAUNCH, "sh", *procs, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,  # an interrupt at the keyboard is the test's to handle
            )
        container = cls(process, groups)
        try:
            container._wait_for_systemd(console)
        except BaseException:
            container.kill()
            raise
        return container

    def enter(self, *argv: str) -> list[str]:
        """The command that runs ``argv`` inside."""
        return ["nsenter", f"--target={self.leader}", "--all", "--", *argv]

    @property
    def running(self) -> bool:
        """Whether the machine is on."""
        return self.process.poll() is None

    def power_off(self, timeout: float) -> bool:
        """Ask for an orderly end and wait for it; tell whether it came in time."""
        with suppress(ProcessLookupError):
            os.kill(self.leader, _POWER_OFF)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End everything at once, as a power cut does. What was written stays."""
        if self.leader:
            with suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        self._groups.remove()
        self.process.wait()

    def _wait_for_systemd(self, console: Path) -> None:
        def answers() -> bool:
            if not self.running:
                said = console.read_text(errors="replace")[-2000:]
                raise CommandError(f"systemd-nspawn ended, code {self.process.returncode}:\n{said}")
            self.leader = self.leader or _leader(self.process.pid)
            asked = self.enter("systemctl", "show", "--property=Version")
            return self.leader != 0 and run(asked).returncode == 0

        wait_until(f"systemd's answer (see {console})", answers, _START, every=0.05)


def _leader(supervisor: int) -> int:
    """The process that is number 1 inside; 0 while it is not there yet."""
    with suppress(OSError):
        for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
            lines = Path(f"/proc/{child}/status").read_text().splitlines()
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            if fields["NSpid"].split()[-1:] == ["1"] and fields["Name"].strip() == "systemd":
                return int(child)
    return 0


def _nspawn(name: str, root: Path, namespace: str, binds: Sequence[str]) -> list[str]:
    return [
        "systemd-nspawn",
        f"--directory={root}",
        "--boot",
        "--register=no",
        "--keep-unit",
        f"--machine={name}",
        f"--network-namespace-path={namespace}",
        "--console=passive",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        *(f"--bind={bind}" for bind in binds),
        *workarounds.arguments(),
    ]


def _environment() -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    unified = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if only_unified() else "0"}
    return kept | unified | workarounds.environment()
