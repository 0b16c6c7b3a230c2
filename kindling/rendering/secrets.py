"""What a node must know and nobody else: derived from the stack's one secret."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kindling.errors import RenderError
from kindling.models.credentials import Credentials
from kindling.models.plan import NodePlan

# How many generations back a machine may still speak: the published one and the seven before it.
REMEMBERED_GENERATIONS = 8
_SALT = b"kindling/1"


@dataclass(frozen=True)
class NodeSecrets:
    """The secrets of one node in one generation. ``known`` is False for placeholders."""

    status_token: str = field(repr=False)  # 32 bytes as base64url without padding: 43 characters
    credentials: Credentials
    known: bool = True

    @classmethod
    def derive(cls, credentials: Credentials, hostname: str, generation: int) -> NodeSecrets:
        """HKDF-SHA256 (RFC 5869) of the stack's secret over purpose, host and generation.

        A generation's token says nothing about another's. Raises `RenderError` for an empty secret.
        """
        token = _derived(credentials.stack, "status-token", hostname, generation)
        return cls(status_token=token, credentials=credentials)

    @classmethod
    def placeholder(cls, plan: NodePlan) -> NodeSecrets:
        """Stands in while the stack's secrets are not known: same shape, and never published."""
        return cls(
            status_token="0" * 43, credentials=Credentials.placeholder().of(plan), known=False
        )


def status_token_digests(stack_secret: str, hostname: str, generation: int) -> dict[int, str]:
    """SHA-256 (hex) of the status tokens of this generation and of the seven before it."""
    oldest = max(1, generation - REMEMBERED_GENERATIONS + 1)
    tokens = {
        each: _derived(stack_secret, "status-token", hostname, each)
        for each in range(oldest, generation + 1)
    }
    return {each: hashlib.sha256(token.encode()).hexdigest() for each, token in tokens.items()}


@lru_cache(maxsize=4096)
def _derived(stack_secret: str, purpose: str, hostname: str, generation: int) -> str:
    if not stack_secret:
        raise RenderError(f"{hostname}: the stack's secret is empty; no token can be derived")
    # Zero bytes separate: neither a purpose nor a host name can hold one.
    info = "\0".join(("kindling", purpose, hostname, str(generation))).encode()
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=_SALT, info=info)
    made = key.derive(stack_secret.encode())
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()
