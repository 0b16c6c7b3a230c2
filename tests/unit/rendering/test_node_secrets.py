"""Tokens: one per stack, host and generation, from one secret."""

import base64
import hashlib

from kindling.models.credentials import Credentials
from kindling.rendering.secrets import NodeSecrets, status_token_digests
from tests.fakes.plans import make_plan


def token(secret="s", host="a.example.com", generation=1):
    return NodeSecrets.derive(Credentials(stack=secret), host, generation).status_token


def test_a_token_is_32_bytes_as_base64url():
    assert len(base64.urlsafe_b64decode(token() + "=")) == 32


def test_tokens_differ_by_secret_host_and_generation():
    assert len({token(), token(secret="t"), token(host="b.example.com"), token(generation=2)}) == 4


def test_a_token_is_the_same_whenever_it_is_derived():
    # Machines in the field hold tokens; a changed derivation would shut them all out.
    assert token() == "q3TXKzZLs0a0mSMsciXDS7ClmTOQPyEn5-uzhlGO8SQ"


def test_digests_cover_the_published_generation_and_seven_before():
    assert list(status_token_digests("s", "a.example.com", 3)) == [1, 2, 3]
    assert list(status_token_digests("s", "a.example.com", 12)) == list(range(5, 13))
    expected = hashlib.sha256(token(generation=3).encode()).hexdigest()
    assert status_token_digests("s", "a.example.com", 3)[3] == expected


def test_a_placeholder_has_the_shape_of_a_token_and_is_known_as_none():
    placeholder = NodeSecrets.placeholder(make_plan())
    assert len(placeholder.status_token) == len(token())
    assert not placeholder.known
