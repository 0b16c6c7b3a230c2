"""A real etcd and kube-apiserver on loopback, with the project's own authorities; no machines.

With ``controllers`` the real controller manager runs, too: namespaces go away, deployments make
pods, which no kubelet ever starts.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kindling.models.credentials import Authorities
from kindling.pki.authorities import make_authorities
from kindling.pki.brought_in import BroughtIn
from kindling.pki.certificates import make_client
from kindling.pki.kubeconfig import kubeconfig
from tests.fakes.programs import need
from tools.places import BIN

_START = 120.0  # seconds; a busy machine is slow
_STOP = 20.0


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane; ``kubeconfig`` is a file with every right."""

    url: str
    kubeconfig: Path
    authorities: Authorities

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints; asserts that it succeeds."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    def try_kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl, whatever comes of it."""
        return subprocess.run(
            [BIN / "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self.kubeconfig.parent)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def control_plane(folder: Path, *, controllers: bool = False) -> Iterator[ControlPlane]:
    """Run one with its data in ``folder``, until the end of the block."""
    need("etcd", "kube-apiserver", "kubectl", *(["kube-controller-manager"] * controllers))
    now = datetime.now(UTC)
    authorities = make_authorities(BroughtIn(), now)
    with ExitStack() as stack:
        etcd_port, peer_port, port = _free_ports(3)
        etcd = f"http://127.0.0.1:{etcd_port}"
        peer = f"http://127.0.0.1:{peer_port}"
        stack.enter_context(_program(folder, "etcd", _etcd(folder, etcd, peer)))
        _write_keys(folder, authorities)
        arguments = _api_server(folder, etcd, port)
        server = stack.enter_context(_program(folder, "kube-apiserver", arguments))
        made = ControlPlane(f"https://127.0.0.1:{port}", folder / "admin.conf", authorities)
        _wait_until_served(folder, port, server)
        admin = make_client(authorities.kubernetes, "tests", "system:masters", now)
        trust = (folder / "served" / "apiserver.crt").read_text()
        made.kubeconfig.write_text(
            kubeconfig(cluster="tests", server=made.url, certificate=trust, admin=admin)
        )
        _wait_until_ready(folder, made)
        if controllers:
            stack.enter_context(_program(folder, "kube-controller-manager", _manager(folder)))
        yield made


def _etcd(folder: Path, client: str, peer: str) -> Sequence[str]:
    return (
        f"--data-dir={folder}/etcd",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
    )


def _api_server(folder: Path, etcd: str, port: int) -> Sequence[str]:
    keys = folder / "keys"
    return (
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}/served",  # it makes a self-signed certificate there
        f"--client-ca-file={keys}/ca.crt",
        f"--service-account-key-file={keys}/sa.key",
        f"--service-account-signing-key-file={keys}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=Node,RBAC",
        "--service-cluster-ip-range=10.96.0.0/12",
        "--allow-privileged=true",
    )


def _manager(folder: Path) -> Sequence[str]:
    keys = folder / "keys"
    return (
        f"--kubeconfig={folder}/admin.conf",
        f"--service-account-private-key-file={keys}/sa.key",
        f"--root-ca-file={keys}/ca.crt",
        "--leader-elect=false",
        "--secure-port=0",
    )


def _write_keys(folder: Path, authorities: Authorities) -> None:
    keys = folder / "keys"
    keys.mkdir()
    (keys / "ca.crt").write_text(authorities.kubernetes.certificate)
    (keys / "sa.key").write_text(authorities.service_account_key)


@contextmanager
def _program(
    folder: Path, name: str, arguments: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [BIN / name, *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP)


def _wait_until_served(folder: Path, port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        assert server.poll() is None, _tail(folder)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError(f"kube-apiserver does not listen on port {port}:\n{_tail(folder)}")


def _wait_until_ready(folder: Path, made: ControlPlane) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        namespaces = ("get", "namespace", "default", "kube-system", "-o", "name")
        ready = made.try_kubectl("get", "--raw", "/readyz").returncode == 0
        if ready and made.try_kubectl(*namespaces).returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"kube-apiserver is not ready:\n{_tail(folder)}")


def _tail(folder: Path) -> str:
    return (folder / "kube-apiserver.log").read_text()[-3000:]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
