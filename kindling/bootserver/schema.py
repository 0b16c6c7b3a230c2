"""The tables of the boot records. Portable SQL: SQLite now, PostgreSQL for several servers.

Times are seconds since the epoch. A node is known by its stack and host name; what the stack
publishes about it is not in the database.
"""

from __future__ import annotations

import sqlalchemy as sa

VERSION = 2  # of the tables; `meta.schema` holds a database's, `upgrades` brings it here

metadata = sa.MetaData()

# A double, also where FLOAT alone would be single precision.
_Time = sa.Double


def _text(name: str, length: int = 255) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, default="")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, default=0)


def _node_key() -> tuple[sa.Column[str], sa.Column[str]]:
    return (
        sa.Column("stack", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
    )


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

nodes = sa.Table(  # one row per `states.Record`; the columns are its fields
    "nodes",
    metadata,
    *_node_key(),
    _count("generation"),
    sa.Column("armed_at", _Time),
    _text("armed_by"),
    _text("disarmed_by"),
    _text("phase", 16),
    sa.Column("installing_at", _Time),
    _text("fetched_by", 64),
    sa.Column("fetched_at", _Time),
    _count("installed_generation"),
    _count("settled_generation"),
    _text("installed_digest", 64),
    sa.Column("installed_at", _Time),
    sa.Column("booted_at", _Time),
    _text("booted_digest", 64),
    _count("failures"),
    sa.Column("failed_at", _Time),
    sa.Column("failure", sa.Text, nullable=False, default=""),
    sa.Column("failure_log", sa.Text, nullable=False, default=""),
    sa.Column("held", sa.Text, nullable=False, default=""),
    sa.Column("held_at", _Time),
    _count("written_generation"),
    _text("stage", 16),
    sa.Column("stage_at", _Time),
    sa.Column("stage_message", sa.Text, nullable=False, default=""),
    sa.Column("stage_log", sa.Text, nullable=False, default=""),
    _count("stage_generation"),
    _count("stage_incarnation"),
    sa.Column("joined_at", _Time),
    sa.Column("reboot_at", _Time),
    _text("reboot_by"),
    _count("revision"),
    sa.PrimaryKeyConstraint("stack", "host"),
)
sa.Index("nodes_by_revision", nodes.c.revision)

events = sa.Table(  # the timeline; the newest of each node are kept
    "events",
    metadata,
    # SQLite numbers rows by itself only for its own INTEGER type.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    *_node_key(),
    sa.Column("at", _Time, nullable=False),
    _text("kind", 32),
    sa.Column("text", sa.Text, nullable=False, default=""),
    _text("address", 64),
)
sa.Index("events_by_node", events.c.stack, events.c.host, events.c.id)

sightings = sa.Table(  # what each node's machine said of itself when it last asked
    "sightings",
    metadata,
    *_node_key(),
    sa.Column("at", _Time, nullable=False),
    _text("address", 64),
    _text("arch", 32),
    _text("platform", 32),
    _text("manufacturer", 128),
    _text("product", 128),
    _text("serial", 128),
    sa.Column("simulated", sa.Boolean, nullable=False, default=False),
    sa.Column("reported_at", _Time),  # when it last proved with its token who it is
    sa.PrimaryKeyConstraint("stack", "host"),
)

claims = sa.Table(  # who initialises what; one row per `claims.Claim`
    "claims",
    metadata,
    sa.Column("stack", sa.String(255), nullable=False),
    sa.Column("cluster", sa.String(255), nullable=False),
    sa.Column("purpose", sa.String(16), nullable=False),
    sa.Column("incarnation", sa.BigInteger, nullable=False),
    _text("holder"),
    sa.Column("claimed_at", _Time, nullable=False),
    sa.Column("done_at", _Time),
    sa.PrimaryKeyConstraint("stack", "cluster", "purpose", "incarnation"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    *_node_key(),
    sa.Column("at", _Time, nullable=False),
    _text("who"),
    _text("what", 32),
    sa.Column("detail", sa.Text, nullable=False, default=""),
)
sa.Index("audit_by_node", audit.c.stack, audit.c.host, audit.c.id)

unknown = sa.Table(  # machines that no published node claims
    "unknown",
    metadata,
    sa.Column("mac", sa.String(17), primary_key=True),
    sa.Column("first_seen", _Time, nullable=False),
    sa.Column("last_seen", _Time, nullable=False),
    _text("address", 64),
    _text("arch", 32),
    _text("platform", 32),
    _text("manufacturer", 128),
    _text("product", 128),
    _text("serial", 128),
    sa.Column("simulated", sa.Boolean, nullable=False, default=False),
)
