"""Machines that no published node claims: listed for the operator, bounded in every way.

Whoever is on the boot network can make these up. So there are at most `MOST` of them, the oldest
go first; fields have a length; an address may add only so many; nothing of theirs is ever put
into a script, and the page escapes it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from kindling.bootserver.database import Database
from kindling.bootserver.records import Sighting
from kindling.bootserver.schema import unknown

MOST = 500  # machines


@dataclass(frozen=True, slots=True)
class Unknown:
    """What an unknown machine said of itself; every field is already short and printable."""

    mac: str
    sighting: Sighting


def write_unknown(connection: sa.Connection, seen: Unknown) -> None:
    """Note one machine, within a transaction; drops the ones not seen for longest."""
    values: dict[str, Any] = asdict(seen.sighting)
    values["last_seen"] = values.pop("at")
    del values["reported_at"]  # it has no token to report with
    mine = unknown.c.mac == seen.mac
    if connection.execute(sa.update(unknown).where(mine).values(values)).rowcount:
        return
    values |= {"mac": seen.mac, "first_seen": seen.sighting.at}
    connection.execute(sa.insert(unknown).values(values))
    over = connection.scalar(
        sa.select(unknown.c.last_seen).order_by(unknown.c.last_seen.desc()).offset(MOST).limit(1)
    )
    if over is not None:
        connection.execute(sa.delete(unknown).where(unknown.c.last_seen <= over))


def list_unknown(database: Database) -> list[dict[str, Any]]:
    """Every unknown machine, the last seen first."""
    wanted = sa.select(unknown).order_by(unknown.c.last_seen.desc())
    with database.reading() as connection:
        rows = connection.execute(wanted).mappings().all()
    # SQLAlchemy's names are a kind of str that JSON writers refuse.
    return [{str(name): value for name, value in row.items()} for row in rows]
