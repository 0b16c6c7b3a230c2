"""The keys that a machine is given, by role; all else is made on the machine from these."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives import serialization

from kindling.models.credentials import KeyPair
from kindling.rendering.parts import SystemFile
from kindling.rendering.secrets import NodeSecrets

PKI = "/etc/kubernetes/pki"
_ORIGIN = "the cluster's authorities"


def credential_files(secrets: NodeSecrets) -> tuple[SystemFile, ...]:
    """Certificates and keys of the authorities that the node's credentials hold."""
    return tuple(_files(secrets))


def _files(secrets: NodeSecrets) -> Iterator[SystemFile]:
    credentials = secrets.credentials
    if authorities := credentials.authorities:
        yield from _pair("ca", authorities.kubernetes)
        yield from _pair("front-proxy-ca", authorities.front_proxy)
        yield from _pair("etcd/ca", authorities.etcd)
        key = authorities.service_account_key
        yield _file("sa.key", key, 0o600)
        yield _file("sa.pub", _public_key(key) if secrets.known else "not known yet\n", 0o644)
    elif credentials.etcd_authority:
        yield from _pair("etcd/ca", credentials.etcd_authority)


def _pair(name: str, pair: KeyPair) -> Iterator[SystemFile]:
    yield _file(f"{name}.crt", pair.certificate, 0o644)
    yield _file(f"{name}.key", pair.key, 0o600)


def _file(name: str, text: str, mode: int) -> SystemFile:
    return SystemFile(f"{PKI}/{name}", text, _ORIGIN, mode, secret=True)


def _public_key(private: str) -> str:
    """The public half of a private key, PEM (SPKI), as kubeadm writes sa.pub."""
    key = serialization.load_pem_private_key(private.encode(), password=None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()
