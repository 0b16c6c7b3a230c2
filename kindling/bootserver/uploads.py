"""The operator's door: what is put into the store, given up, and listed, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import asdict

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from kindling.bootserver.answers import json_answer, refusal
from kindling.bootserver.documents import check_ignition, check_node, check_site
from kindling.bootserver.settings import Settings
from kindling.errors import DigestMismatch, StoreError, StoreFull, StoreRefused
from kindling.stores.base import TREE, Stat, checked_owner, checked_path, is_known
from kindling.stores.directory import DirectoryStore
from kindling.stores.staging import Staged

Changed = Callable[[str, int], None]  # store path, size in bytes (0: deleted)

_BATCH = 2 * 1024 * 1024  # bytes gathered before a thread hashes and writes them
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):")
_DRAIN = 64 * 1024 * 1024  # bytes of a refused body that are still read


class Refused(Exception):
    """An answer instead of the work.

    ``drain``: read the rest of the body first, because a client that still sends may miss it.
    """

    def __init__(self, answer: Response, *, drain: bool = False) -> None:
        super().__init__(answer.status_code)
        self.answer = answer
        self.drain = drain


def path_of(request: Request) -> str:
    """The store path of a request; raises `Refused` with 400 or 403."""
    path = str(request.path_params["path"])
    try:
        checked_path(path)
    except StoreRefused as error:
        raise Refused(refusal(400, str(error))) from error
    if not is_known(path):
        tree = ", ".join(TREE)
        raise Refused(refusal(403, f"{path} is not part of the published tree; allowed: {tree}"))
    return path


class Uploads:
    """Handlers of ``store/`` that change something; all are for the operator only."""

    def __init__(self, settings: Settings, store: DirectoryStore, changed: Changed) -> None:
        self._settings = settings
        self._store = store
        self._changed = changed

    async def put(self, request: Request) -> Response:
        """Publish the body: verified against its Content-Digest, atomic, idempotent."""
        try:
            path, owner = path_of(request), _owner(request)
            size, digest = self._size(request, path), _digest(request)
            found = await self._receive(request, path, size, digest, owner)
        except Refused as refused:
            if refused.drain:
                await _drain(request)
            return refused.answer
        except ClientDisconnect:
            return refusal(400, "the upload ended early; nothing was stored")
        self._changed(path, found.size)
        return json_answer(asdict(found))

    async def adopt(self, request: Request) -> Response:
        """Add an owner to a path whose bytes are those of ``If-Match: "<sha256>"``."""
        try:
            path, owner = path_of(request), _owner(request)
            wanted = request.headers.get("if-match", "").strip('"')
            found = await asyncio.to_thread(self._store.adopt, path, sha256=wanted, owner=owner)
        except Refused as refused:
            return refused.answer
        except StoreError as error:
            return _failure(error)
        if found is None:
            return refusal(412, f"{path} does not have SHA-256 {wanted} here; put it")
        return json_answer(asdict(found))

    async def delete(self, request: Request) -> Response:
        """Give up a path; the file goes with its last owner."""
        try:
            path, owner = path_of(request), _owner(request)
            removed = await asyncio.to_thread(self._store.delete, path, owner=owner)
        except Refused as refused:
            return refused.answer
        except StoreError as error:
            return _failure(error)
        if removed:
            self._changed(path, 0)
        return json_answer({"removed": removed})

    async def list(self, request: Request) -> Response:
        """Every file whose path starts with ``?prefix=``."""
        prefix = request.query_params.get("prefix", "")
        try:
            return json_answer(
                [asdict(s) for s in await asyncio.to_thread(self._store.list, prefix)]
            )
        except StoreError as error:
            return _failure(error)

    def _size(self, request: Request, path: str) -> int:
        text = request.headers.get("content-length", "")
        if not text.isdecimal():
            raise Refused(refusal(411, "send Content-Length; the server checks for room first"))
        private = path.startswith(("nodes/", "sites/"))
        most = self._settings.max_document if private else self._settings.max_upload
        if int(text) > most:
            said = f"{path}: {text} bytes are more than the {most} that this server takes"
            raise Refused(refusal(413, said), drain=int(text) <= _DRAIN)
        return int(text)

    async def _receive(
        self, request: Request, path: str, size: int, digest: str, owner: str
    ) -> Stat:
        try:
            with await asyncio.to_thread(self._store.stage, size) as staged:
                await _fill(request, staged)
                if staged.size != size:
                    raise ClientDisconnect
                await asyncio.to_thread(_check_document, path, staged)
                return await asyncio.to_thread(
                    self._store.commit, staged, path, sha256=digest, owner=owner
                )
        except (StoreError, DigestMismatch) as error:
            raise Refused(_failure(error), drain=True) from error


async def _fill(request: Request, staged: Staged) -> None:
    """Write the body. While a thread hashes and writes one batch, the next is received."""
    batch: list[bytes] = []  # of chunks as they came: gathering them in one buffer is a copy more
    gathered = 0
    writing: asyncio.Task[None] | None = None
    try:
        async for chunk in request.stream():
            batch.append(chunk)
            gathered += len(chunk)
            if gathered >= _BATCH:
                if writing:
                    await writing
                writing = asyncio.create_task(asyncio.to_thread(_write, staged, batch))
                batch, gathered = [], 0
    finally:
        # Also on a disconnect: the file must not be closed under the thread that writes to it.
        if writing:
            await writing
    await asyncio.to_thread(_write, staged, batch)


def _write(staged: Staged, chunks: list[bytes]) -> None:
    for chunk in chunks:
        staged.write(chunk)


async def _drain(request: Request) -> None:
    """Read what is left of a refused body: a client that still sends does not see the answer."""
    try:
        async for _ in request.stream():
            pass
    except (ClientDisconnect, RuntimeError):  # gone, or read to its end already
        return


def _check_document(path: str, staged: Staged) -> None:
    """Refuse a document that the boot server could not use, before it is published."""
    try:
        if path.startswith("sites/"):
            check_site(staged.path.read_bytes())
        elif path.startswith("nodes/") and path.endswith(".json"):
            check_node(path, staged.path.read_bytes())
        elif path.startswith("nodes/") and path.endswith(".ign"):
            check_ignition(path, staged.path.read_bytes())
    except ValueError as error:
        raise Refused(refusal(422, f"{path}: {error}", {"Kindling-Problem": "document"})) from error


def _owner(request: Request) -> str:
    owner = request.headers.get("kindling-owner", "")
    if not owner:
        raise Refused(refusal(400, "send Kindling-Owner: the stack that publishes this path"))
    try:
        return checked_owner(owner)
    except StoreRefused as error:
        raise Refused(refusal(400, str(error))) from error


def _digest(request: Request) -> str:
    match = _DIGEST.search(request.headers.get("content-digest", ""))
    if match is None:
        said = "send Content-Digest: sha-256=:BASE64: (RFC 9530) of the body; it is verified"
        raise Refused(refusal(400, said), drain=True)
    try:
        return base64.b64decode(match[1], validate=True).hex()
    except binascii.Error as error:
        raise Refused(refusal(400, "Content-Digest is not valid base64")) from error


def _failure(error: StoreError | DigestMismatch) -> Response:
    match error:
        case StoreFull():
            return refusal(507, str(error))
        case StoreRefused():
            return refusal(409, str(error))
        case DigestMismatch():
            return refusal(422, str(error), {"Kindling-Problem": "digest"})
        case _:
            return refusal(500, str(error))
