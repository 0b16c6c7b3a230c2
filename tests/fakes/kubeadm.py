"""The real kubeadm on a folder instead of /etc/kubernetes, and openssl's opinion of the result."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kindling.models.credentials import Authorities

# kubeadm's names of what the stack makes, below its folder of certificates.
FILES = {"ca": "kubernetes", "front-proxy-ca": "front_proxy", "etcd/ca": "etcd"}
_WHERE = (
    *("--kubernetes-version", "v1.33.4"),  # without it kubeadm asks the internet
    *("--apiserver-advertise-address", "192.0.2.11"),
    *("--control-plane-endpoint", "192.0.2.10:6443"),
)


def write_authorities(folder: Path, authorities: Authorities) -> None:
    """Lay the authorities down as a control plane finds them, in ``folder``/pki."""
    pki = folder / "pki"
    (pki / "etcd").mkdir(parents=True)
    for name, field in FILES.items():
        pair = getattr(authorities, field)
        (pki / f"{name}.crt").write_text(pair.certificate)
        (pki / f"{name}.key").write_text(pair.key)
    (pki / "sa.key").write_text(authorities.service_account_key)


def make_certificates(folder: Path) -> str:
    """``kubeadm init phase certs all``; what it says."""
    return _kubeadm("init", "phase", "certs", "all", "--cert-dir", f"{folder}/pki", *_WHERE)


def make_kubeconfigs(folder: Path) -> str:
    """``kubeadm init phase kubeconfig all``; what it says."""
    places = ("--cert-dir", f"{folder}/pki", "--kubeconfig-dir", str(folder))
    return _kubeadm("init", "phase", "kubeconfig", "all", *places, "--node-name", "cp1", *_WHERE)


def verify(authority: Path, certificate: Path, purpose: str, *, strict: bool = True) -> None:
    """Fail unless openssl takes the certificate for that purpose."""
    command = ["openssl", "verify", *(["-x509_strict"] if strict else []), "-purpose", purpose]
    _run(*command, "-CAfile", str(authority), str(certificate))


def _kubeadm(*arguments: str) -> str:
    return _run("kubeadm", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
