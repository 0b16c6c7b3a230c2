"""Claims as they are stored: a row in the database, and a note beside it.

The notes are small files in the server's private directory. They outlive a database that is lost:
what was granted is not granted again. A note is written before its row is committed, so no claim
is answered that has none.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from kindling.bootserver.claims import Claim, Key
from kindling.bootserver.database import Database
from kindling.bootserver.records import Audit, write_audit
from kindling.bootserver.schema import claims
from kindling.errors import BootServerError

log = logging.getLogger(__name__)

_LONGEST_NAME = 200  # bytes; file systems take 255 with the ending

Decide = Callable[[sa.Connection, Claim | None], tuple[Claim | None, Audit | None]]


class Claims:
    """Reading and changing claims. ``notes`` is the directory of the notes."""

    def __init__(self, database: Database, notes: Path) -> None:
        self._database = database
        self._notes = notes

    def change(self, key: Key, decide: Decide) -> Claim | None:
        """Store what ``decide`` makes of the current claim; durable when this returns.

        None from ``decide`` leaves everything as it is. Whoever asks at the same time, here or at
        another server, waits, and decides from what was stored here. Raises `BootServerError` when
        a note cannot be read or written; nothing is stored then.
        """
        try:
            return self._change(key, decide)
        except IntegrityError:  # two servers made the same row at once: decide again
            return self._change(key, decide)

    def _change(self, key: Key, decide: Decide) -> Claim | None:
        with self._database.writing() as connection:
            before = self._stored(connection, key)
            after, entry = decide(connection, before)
            if after is not None and after != before:
                self.write(connection, after)
                if entry is not None:
                    write_audit(connection, entry)
        return after if after is not None else before

    def write(self, connection: sa.Connection, claim: Claim) -> None:
        """Store a claim within a transaction."""
        self._write_row(connection, claim)
        self._write_note(claim)

    def _write_row(self, connection: sa.Connection, claim: Claim) -> None:
        values = asdict(claim)
        if not connection.execute(sa.update(claims).where(_of(claim.key)).values(values)).rowcount:
            connection.execute(sa.insert(claims).values(values))

    def get(self, connection: sa.Connection, key: Key) -> Claim | None:
        """A claim within a transaction."""
        return self._stored(connection, key)

    def remove(self, key: Key, check: Callable[[Claim | None], Audit]) -> None:
        """Forget a claim; ``check`` raises what forbids it, and says what the audit trail gets."""
        with self._database.writing() as connection:
            entry = check(self._stored(connection, key))
            connection.execute(sa.delete(claims).where(_of(key)))
            write_audit(connection, entry)
            self._note_of(key).unlink(missing_ok=True)

    def all(self) -> list[Claim]:
        """Every claim in the database, sorted."""
        wanted = sa.select(claims).order_by(*claims.primary_key.columns)
        with self._database.reading() as connection:
            return [_claim(row) for row in connection.execute(wanted).mappings()]

    def _stored(self, connection: sa.Connection, key: Key) -> Claim | None:
        """The row; or the note where that knows more, of a lost database or of an older copy."""
        wanted = sa.select(claims).where(_of(key)).with_for_update()
        row = connection.execute(wanted).mappings().first()
        found, noted = _claim(row) if row else None, self._read_note(key)
        if noted is None or (found is not None and (found.done_at or not noted.done_at)):
            return found
        log.warning("the claim of %s is taken over from its note", "/".join(map(str, key)))
        self._write_row(connection, noted)
        return noted

    def _note_of(self, key: Key) -> Path:
        name = quote("/".join(map(str, key)), safe="")
        if len(name) > _LONGEST_NAME:
            name = sha256(name.encode()).hexdigest()
        return self._notes / f"{name}.json"

    def _read_note(self, key: Key) -> Claim | None:
        path = self._note_of(key)
        try:
            return Claim(**orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise BootServerError(
                f"the note of a claim cannot be read ({error}): {path}; if the cluster is not"
                " initialised, remove it"
            ) from error

    def _write_note(self, claim: Claim) -> None:
        path = self._note_of(claim.key)
        try:
            self._notes.mkdir(mode=0o700, exist_ok=True)
            _write_durably(path, orjson.dumps(asdict(claim)))
        except OSError as error:
            raise BootServerError(f"the note of a claim cannot be written: {error}") from error


def holders(found: Iterable[Claim]) -> dict[tuple[str, str], list[Claim]]:
    """Claims by stack and holder."""
    by_holder: dict[tuple[str, str], list[Claim]] = {}
    for claim in found:
        by_holder.setdefault((claim.stack, claim.holder), []).append(claim)
    return by_holder


def _of(key: Key) -> sa.ColumnElement[bool]:
    columns = (claims.c.stack, claims.c.cluster, claims.c.purpose, claims.c.incarnation)
    return sa.and_(*(column == value for column, value in zip(columns, key, strict=True)))


def _claim(row: Any) -> Claim:
    return Claim(**{str(name): value for name, value in row.items()})


def _write_durably(path: Path, body: bytes) -> None:
    """Whole or not at all, and there after a power cut."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".claim-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
