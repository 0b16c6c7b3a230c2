"""Opening the database so that what is committed stays, and that several workers may write."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from kindling.bootserver import schema
from kindling.bootserver.recordsfile import RecordsFile
from kindling.bootserver.upgrades import bring_up_to_date, made_at
from kindling.errors import BootServerError

_WRITES = "kindling_writes"
_BUSY_TIMEOUT = 20_000  # ms that a writer waits for another one


class Database:
    """An engine with two ways in: `reading` sees one snapshot, `writing` is the only writer.

    ``made_at`` is when the database was made: before that it knows nothing.
    """

    def __init__(self, url: str) -> None:
        if url in ("sqlite://", "sqlite:///:memory:"):
            raise BootServerError("the boot records need a file; an SQLite in memory forgets")
        try:
            self._engine = _engine(url)
            self._writers = self._engine.execution_options(**{_WRITES: True})
            self._file = RecordsFile(Path(self.sqlite_file)) if self.sqlite_file else None
            with self._file.opening() if self._file else nullcontext():
                self._open()
        except (ArgumentError, DatabaseError, OSError) as error:
            raise BootServerError(
                f"the boot records cannot be opened: {_reason(error)}; check --database, and that"
                " this user may write there"
            ) from error

    def _open(self) -> None:
        if self._file:
            # First of all: a connection to another file must not touch what belongs to this one.
            sa.event.listen(self._engine, "connect", lambda *_: self.verify(), insert=True)
        with self.writing() as connection:
            schema.metadata.create_all(connection)
            bring_up_to_date(connection)
            self.made_at = made_at(connection)

    @property
    def sqlite_file(self) -> str | None:
        """The file of an SQLite database; None for any other."""
        url = self._engine.url
        return url.database if url.get_backend_name() == "sqlite" else None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for reading only."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is durable when the block ends, and undone when it raises.

        Raises `RecordsLost` when what was committed is in no file that a restart would find.
        """
        self.verify()
        with self._explained(), self._writers.begin() as connection:
            yield connection
        self.verify()

    def verify(self) -> None:
        """Raises `RecordsLost` when the database's file is not the one that was opened."""
        if self._file:
            self._file.verify()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Of a file that is gone SQLite may only say `disk I/O error`."""
        try:
            yield
        except DatabaseError:
            self.verify()
            raise

    def check(self) -> None:
        """Raises `BootServerError` when a transaction cannot be written."""
        try:
            with self.writing() as connection:  # takes SQLite's write lock, and writes nothing
                connection.execute(_secret("schema"))
        except DatabaseError as error:
            raise BootServerError(
                f"the boot records cannot be written: {_reason(error)}"
            ) from error

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def keep_secret(database: Database, name: str) -> bytes:
    """The server's own secret of that name: made once, the same for every worker and restart."""
    with database.reading() as connection:
        found = connection.scalar(_secret(name))
    while found is None:
        try:
            with database.writing() as connection:
                found = connection.scalar(_secret(name))
                if found is None:
                    found = secrets.token_hex(32)
                    connection.execute(sa.insert(schema.meta).values(name=name, value=found))
        except IntegrityError:  # another server was faster (PostgreSQL); take its secret
            found = None
    return bytes.fromhex(found)


def _secret(name: str) -> sa.Select[str]:
    return sa.select(schema.meta.c.value).where(schema.meta.c.name == name)


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: `installed` is answered after the commit, and must survive a power cut right then.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE: a transaction that reads and then writes would fail as busy, and not wait.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
