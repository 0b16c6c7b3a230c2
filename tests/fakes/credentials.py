"""Credentials that are told apart at a glance: what a machine got can be looked for."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kindling.models.credentials import Authorities, Credentials, KeyPair, S3Keys

TOKEN = "abcdef.0123456789abcdef"
DIGEST = f"sha256:{'ab' * 32}"
VRRP_PASSWORD = "vrrppass"
ENCRYPTION_KEY = "ZW5jcnlwdGlvbi1rZXktZW5jcnlwdGlvbi1rZXktMDE="
S3 = S3Keys(access_key="s3-access-key", secret_key="s3-secret-key")


def pair(name: str) -> KeyPair:
    """An authority by name: `certificate of NAME`, `key of NAME`."""
    return KeyPair(certificate=f"certificate of {name}\n", key=f"key of {name}\n")


@cache
def service_account_key() -> str:
    """A real private key: its public half is computed."""
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        .decode()
    )


def make_credentials() -> Credentials:
    """Every credential of a cluster, before any role's part is taken."""
    return Credentials(
        stack="the-stacks-one-secret",
        bootstrap_token=TOKEN,
        authority_digest=DIGEST,
        authorities=Authorities(
            kubernetes=pair("kubernetes"),
            front_proxy=pair("front-proxy"),
            etcd=pair("etcd"),
            service_account_key=service_account_key(),
        ),
        etcd_authority=pair("etcd"),
        encryption_key=ENCRYPTION_KEY,
        vrrp_password=VRRP_PASSWORD,
        s3=S3,
    )
