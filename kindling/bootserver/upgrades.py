"""Bringing the tables of an older server to this one's version, without losing a record.

Runs in the transaction that opens the database, where nobody else writes: all of it, or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from kindling.bootserver import schema
from kindling.errors import BootServerError

_MADE = "made"  # in `meta`: when the database was made, seconds since the epoch


def bring_up_to_date(connection: sa.Connection) -> None:
    """Note the version of a new database, or upgrade an older one.

    Raises `BootServerError` for the database of a newer server.
    """
    wanted = sa.select(schema.meta.c.value).where(schema.meta.c.name == "schema")
    # Locked: another server that starts now upgrades after this one, and finds nothing to do.
    found = connection.scalar(wanted.with_for_update())
    if found is None:
        _note(connection, "schema", str(schema.VERSION))
        _note(connection, _MADE, repr(time.time()))
        return
    version = int(found) if found.isdecimal() else 0
    while version in _UPGRADES:
        _UPGRADES[version](connection)
        version += 1
    if version != schema.VERSION:
        raise BootServerError(
            f"the boot records have version {found}, this server writes {schema.VERSION}; start the"
            " server that made them, or move the database away: the disks' markers rebuild it"
        )
    if found != str(version):
        mine = schema.meta.c.name == "schema"
        connection.execute(sa.update(schema.meta).where(mine).values(value=str(version)))


def made_at(connection: sa.Connection) -> float:
    """When the database was made (seconds since the epoch); 0.0 for one that knows it not."""
    found = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.name == _MADE))
    return float(found) if found else 0.0


def _note(connection: sa.Connection, name: str, value: str) -> None:
    connection.execute(sa.insert(schema.meta).values(name=name, value=value))


def _to_2(connection: sa.Connection) -> None:
    """Stages of the cluster, restarts and claims; the new table was made with the others."""
    of_nodes = (
        *("written_generation", "stage", "stage_at", "stage_message", "stage_log"),
        *("stage_generation", "stage_incarnation", "joined_at", "reboot_at", "reboot_by"),
    )
    for name in of_nodes:
        _add(connection, schema.nodes.c[name])
    _add(connection, schema.sightings.c.reported_at)


_UPGRADES: dict[int, Callable[[sa.Connection], None]] = {1: _to_2}


def _add(connection: sa.Connection, column: sa.Column[object]) -> None:
    """Add one column; rows that are there get the empty value of its kind."""
    made = str(CreateColumn(column).compile(dialect=connection.dialect))
    if not column.nullable:
        made += " DEFAULT 0" if isinstance(column.type, sa.BigInteger) else " DEFAULT ''"
    connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {made}")
