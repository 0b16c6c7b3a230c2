"""The store in memory answers as the real one does, so tests that use it prove something."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kindling.errors import DigestMismatch, StoreError, StoreFull, StoreRefused
from kindling.stores.base import Store
from kindling.stores.directory import DirectoryStore
from tests.fakes.stores import FailingStore, MemoryStore

SHARED = "assets/image"
OWN = "boot.ipxe"
MACHINE = "nodes/52-54-00-00-00-01.json"


def outcome(store: Store, method: str, *given: Any) -> Any:
    """The answer, or the kind of error."""
    try:
        if method == "put":
            path, body, digest, owner = given
            return store.put(path, body, sha256=digest, owner=owner)
        if method == "delete":
            return store.delete(given[0], owner=given[1])
        return getattr(store, method)(*given)
    except (StoreError, DigestMismatch) as error:
        return type(error)


def put(path: str, body: bytes, owner: str = "prod") -> tuple[Any, ...]:
    return ("put", path, body, sha256(body).hexdigest(), owner)


STEPS: list[tuple[Any, ...]] = [
    ("stat", SHARED),
    ("read", SHARED),
    ("delete", SHARED, "prod"),
    ("put", SHARED, b"torn", "0" * 64, "prod"),
    put(SHARED, b"one"),
    put(SHARED, b"one"),
    put(SHARED, b"one", "staging"),
    put(SHARED, b"two"),
    ("put", SHARED, b"torn", "0" * 64, "prod"),
    put(OWN, b"script"),
    put(OWN, b"another script", "staging"),
    put(OWN, b"another script", "prod/boot"),
    put(OWN, b"another script", "staging/boot"),
    put(MACHINE, b"{}", "prod/n1"),
    put(MACHINE, b"{}", "staging/n1"),
    put(MACHINE, b"{ }", "prod/n2"),
    ("list",),
    ("list", "assets/"),
    ("delete", SHARED, "other"),
    ("delete", SHARED, "prod"),
    put(SHARED, b"two", "staging"),
    ("read", SHARED),
    ("delete", SHARED, "staging"),
    ("stat", SHARED),
    put("../outside", b"x"),
    put("elsewhere/x", b"x"),
    put(OWN, b"script", "not an owner"),
    ("put", OWN, b"script", "no digest", "prod"),
    ("list",),
]


def test_the_same_steps_have_the_same_outcomes(tmp_path: Path):
    memory, directory = MemoryStore(), DirectoryStore(tmp_path)
    outcomes = [(outcome(memory, *step), outcome(directory, *step)) for step in STEPS]
    assert [fake for fake, _ in outcomes] == [real for _, real in outcomes]
    assert {StoreRefused, DigestMismatch} <= {o for o, _ in outcomes if isinstance(o, type)}


def test_the_store_that_fails_fails_with_what_it_was_given():
    store = FailingStore(StoreFull("full"))
    for step in STEPS[:4]:
        assert outcome(store, *step) is StoreFull
    with pytest.raises(StoreError, match="is the boot server running"):
        FailingStore().list()
