"""From the stack file's ``bootServer.store`` to a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kindling.errors import StoreError
from kindling.stores.base import Store
from kindling.stores.directory import DirectoryStore
from kindling.stores.http import PATIENCE, HttpStore


def open_store(
    location: Mapping[str, str], token: str | None, *, patience: float = PATIENCE
) -> Store:
    """The store at ``{"http": URL}`` or ``{"directory": PATH}``.

    ``token`` is the operator's, for http; ``patience`` the seconds for which an unreachable
    server is tried again. Nothing is contacted yet. Raises `StoreError` for another location.
    """
    match dict(location):
        case {"http": str(url), **rest} if not rest:
            return HttpStore(url, token, patience=patience)
        case {"directory": str(path), **rest} if not rest:
            return DirectoryStore(Path(path))
    raise StoreError(
        f"store location {sorted(location)} is not known; give exactly one of:"
        " http: URL, directory: PATH"
    )
