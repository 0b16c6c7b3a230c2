"""Credentials for the tests of this room, made once: keys take their time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kindling.models.credentials import Authorities, Credentials
from kindling.pki.sample import sample_credentials

NOW = datetime.now(UTC)


@pytest.fixture(scope="session")
def credentials() -> Credentials:
    """Everything that a stack makes."""
    return sample_credentials(now=NOW)


@pytest.fixture(scope="session")
def authorities(credentials: Credentials) -> Authorities:
    """The authorities among them."""
    assert credentials.authorities
    return credentials.authorities
