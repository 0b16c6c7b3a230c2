"""Credentials of no stack: real ones, made for the moment."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime

from kindling.models.credentials import Credentials, S3Keys
from kindling.pki.authorities import make_authorities
from kindling.pki.brought_in import BroughtIn
from kindling.pki.credentials import (
    PASSWORD_LENGTH,
    TOKEN_LENGTH,
    VRRP_LENGTH,
    join_credentials,
)

_SMALL = string.ascii_lowercase + string.digits
_ALL = string.ascii_letters + string.digits


def sample_credentials(stack: str | None = None, *, now: datetime | None = None) -> Credentials:
    """Everything that a stack would make, new each time and kept nowhere.

    ``stack`` is the stack's secret, where that is known: then the machines' tokens are its own.
    Keys cannot be made from a seed; who needs the same twice keeps the result.
    """
    authorities = make_authorities(BroughtIn(), now or datetime.now(UTC))
    return join_credentials(
        stack=stack or _random(_ALL, PASSWORD_LENGTH),
        authorities=authorities,
        token=_random(_SMALL, TOKEN_LENGTH),
        encryption=_random(_ALL, PASSWORD_LENGTH),
        vrrp=_random(_ALL, VRRP_LENGTH),
        s3=S3Keys(access_key="no-access-key", secret_key="no-secret-key"),
    )


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
