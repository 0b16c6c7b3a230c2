"""All that machines may be told, joined from what the stack keeps."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kindling.models.credentials import Authorities, Credentials, S3Keys
from kindling.pki.certificates import authority_digest

# Lengths of the random texts that the stack keeps.
TOKEN_LENGTH = 22  # lower-case letters and digits
PASSWORD_LENGTH = 43  # letters and digits; 62**43 is more than 2**256
VRRP_LENGTH = 8  # letters and digits; VRRP compares no more (keepalived.conf(5), auth_pass)


def join_credentials(
    *,
    stack: str,
    authorities: Authorities,
    token: str,
    encryption: str,
    vrrp: str,
    s3: S3Keys | None,
) -> Credentials:
    """``stack`` and ``encryption`` are passwords, ``token`` the bootstrap token without its dot."""
    return Credentials(
        stack=stack,
        bootstrap_token=bootstrap_token(token),
        authority_digest=authority_digest(authorities.kubernetes.certificate),
        authorities=authorities,
        etcd_authority=authorities.etcd,
        encryption_key=encryption_key(encryption),
        vrrp_password=vrrp,
        s3=s3,
    )


def bootstrap_token(characters: str) -> str:
    """``[a-z0-9]{6}.[a-z0-9]{16}``, as Kubernetes' reference page on bootstrap tokens says."""
    return f"{characters[:6]}.{characters[6:TOKEN_LENGTH]}"


def encryption_key(password: str) -> str:
    """32 bytes as base64: the password's 256 bits of chance, spread over as many bits."""
    derived = HKDF(
        algorithm=hashes.SHA256(), length=32, salt=None, info=b"kindling\0encryption-key"
    )
    return base64.b64encode(derived.derive(password.encode())).decode()
