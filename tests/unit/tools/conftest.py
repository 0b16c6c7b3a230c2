"""What the tests of the tools share: our plugins in a Pulumi of their own, and a real sshd."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.plugin_archive import plugin_archive
from tools.plugins.versions import VERSIONS

ROOT = Path(__file__).resolve().parents[3]
SSHD = "/usr/sbin/sshd"
Pulumi = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def pulumi_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PULUMI_HOME with the offline plugins, installed by the real command line."""
    home = tmp_path_factory.mktemp("pulumi-home")
    for name, version in VERSIONS.items():
        archive = home / f"{name}.tar.gz"
        archive.write_bytes(plugin_archive(name, Path(sys.executable)))
        run_pulumi(home, "plugin", "install", "resource", name, version, "--file", str(archive))
    return home


@pytest.fixture
def pulumi(pulumi_home: Path, tmp_path: Path) -> Pulumi:
    """Run Pulumi in a project folder of this test, against a state folder of this test."""
    state = tmp_path / "state"
    state.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: plugins\nruntime: python\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_pulumi(
            pulumi_home, *arguments, cwd=project, PULUMI_BACKEND_URL=f"file://{state}"
        )

    return run


def run_pulumi(
    home: Path, *arguments: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    bins = [str(Path(sys.executable).parent), str(ROOT / ".tools" / "bin")]
    environment = os.environ | {
        "PATH": os.pathsep.join([*bins, os.environ["PATH"]]),
        "PULUMI_HOME": str(home),
        "PULUMI_CONFIG_PASSPHRASE": "plugins",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Without network, asking for plugins that are not there must not take long.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        **variables,
    }
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"pulumi {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class RemoteMachine:
    """A running sshd: how to reach it, and the keys that fit and that do not."""

    port: int
    user: str
    key: str
    locked_key: str
    locked_key_password: str
    foreign_key: str
    host_key: str
    foreign_host_key: str

    def connection(self, **changes: object) -> dict[str, object]:
        base = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "privateKey": self.key,
            "hostKey": self.host_key,
            "dialErrorLimit": 10,
            "perDialTimeout": 5,
        }
        return {name: value for name, value in (base | changes).items() if value is not None}


@pytest.fixture(scope="session")
def remote_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteMachine]:
    """A real OpenSSH server on a loopback port, with keys made for this run."""
    if not shutil.which(SSHD):
        pytest.fail(f"{SSHD} is missing; apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("sshd")
    for name, password in (("host", ""), ("other", ""), ("user", ""), ("foreign", "")):
        _make_key(folder / name, password)
    _make_key(folder / "locked", "sesame")
    fitting = [(folder / f"{name}.pub").read_text() for name in ("user", "locked")]
    (folder / "authorized_keys").write_text("".join(fitting))
    with _sshd(folder) as port:
        yield RemoteMachine(
            port=port,
            user=os.environ.get("USER") or "root",
            key=(folder / "user").read_text(),
            locked_key=(folder / "locked").read_text(),
            locked_key_password="sesame",
            foreign_key=(folder / "foreign").read_text(),
            host_key=(folder / "host.pub").read_text(),
            foreign_host_key=(folder / "other.pub").read_text(),
        )


def _make_key(path: Path, password: str) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", password, "-f", str(path)]
    subprocess.run(command, check=True)


@contextlib.contextmanager
def _sshd(folder: Path) -> Iterator[int]:
    port = _free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"AllowTcpForwarding yes\nSubsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")],
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        _wait_for(port, server, folder / "log")
        yield port
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert server.poll() is None, f"sshd did not start:\n{log.read_text()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"sshd does not answer on port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
