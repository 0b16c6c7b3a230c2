"""Databases of older servers: every record stays, and everything new works on them."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

from kindling.bootserver.database import Database
from kindling.bootserver.records import Records
from kindling.bootserver.schema import VERSION
from kindling.bootserver.states import Record
from kindling.errors import BootServerError
from tests.fakes.published import HOST, Published, boot_server, digest_of, node_document

# The tables as version 1 made them, and what its server had written into them.
VERSION_1 = """
CREATE TABLE meta (name VARCHAR(64) NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
CREATE TABLE nodes (
    stack VARCHAR(255) NOT NULL, host VARCHAR(255) NOT NULL, generation BIGINT NOT NULL,
    armed_at DOUBLE, armed_by VARCHAR(255) NOT NULL, disarmed_by VARCHAR(255) NOT NULL,
    phase VARCHAR(16) NOT NULL, installing_at DOUBLE, fetched_by VARCHAR(64) NOT NULL,
    fetched_at DOUBLE, installed_generation BIGINT NOT NULL, settled_generation BIGINT NOT NULL,
    installed_digest VARCHAR(64) NOT NULL, installed_at DOUBLE, booted_at DOUBLE,
    booted_digest VARCHAR(64) NOT NULL, failures BIGINT NOT NULL, failed_at DOUBLE,
    failure TEXT NOT NULL, failure_log TEXT NOT NULL, held TEXT NOT NULL, held_at DOUBLE,
    revision BIGINT NOT NULL, PRIMARY KEY (stack, host)
);
CREATE INDEX nodes_by_revision ON nodes (revision);
CREATE TABLE events (
    id INTEGER NOT NULL, stack VARCHAR(255) NOT NULL, host VARCHAR(255) NOT NULL,
    at DOUBLE NOT NULL, kind VARCHAR(32) NOT NULL, text TEXT NOT NULL,
    address VARCHAR(64) NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX events_by_node ON events (stack, host, id);
CREATE TABLE sightings (
    stack VARCHAR(255) NOT NULL, host VARCHAR(255) NOT NULL, at DOUBLE NOT NULL,
    address VARCHAR(64) NOT NULL, arch VARCHAR(32) NOT NULL, platform VARCHAR(32) NOT NULL,
    manufacturer VARCHAR(128) NOT NULL, product VARCHAR(128) NOT NULL,
    serial VARCHAR(128) NOT NULL, simulated BOOLEAN NOT NULL, PRIMARY KEY (stack, host)
);
CREATE TABLE audit (
    id INTEGER NOT NULL, stack VARCHAR(255) NOT NULL, host VARCHAR(255) NOT NULL,
    at DOUBLE NOT NULL, who VARCHAR(255) NOT NULL, what VARCHAR(32) NOT NULL,
    detail TEXT NOT NULL, PRIMARY KEY (id)
);
CREATE INDEX audit_by_node ON audit (stack, host, id);
CREATE TABLE unknown (
    mac VARCHAR(17) NOT NULL, first_seen DOUBLE NOT NULL, last_seen DOUBLE NOT NULL,
    address VARCHAR(64) NOT NULL, arch VARCHAR(32) NOT NULL, platform VARCHAR(32) NOT NULL,
    manufacturer VARCHAR(128) NOT NULL, product VARCHAR(128) NOT NULL,
    serial VARCHAR(128) NOT NULL, simulated BOOLEAN NOT NULL, PRIMARY KEY (mac)
);
INSERT INTO meta VALUES ('schema', '1'), ('secret', 'abcdef'), ('revision', '7');
INSERT INTO nodes VALUES (
    'test', 'n1.example', 1, 100.5, '', '', 'idle', NULL, '', NULL, 1, 1, :digest, 200.0, 300.0,
    :digest, 0, NULL, '', '', '', NULL, 7
);
INSERT INTO events VALUES (1, 'test', 'n1.example', 300.0, 'booted', 'generation 1', '10.0.0.1');
INSERT INTO sightings VALUES (
    'test', 'n1.example', 300.0, '10.0.0.1', 'x86_64', 'efi', 'Example', 'Server', 'S1', 0
);
INSERT INTO audit VALUES (1, 'test', 'n1.example', 100.5, 'ada', 'arm', 'generation 1');
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A directory whose server was of version 1."""
    store = tmp_path / "store"
    (store / ".kindling").mkdir(parents=True)
    with sqlite3.connect(store / ".kindling" / "records.sqlite") as connection:
        connection.executescript(VERSION_1.replace(":digest", f"'{digest_of('g1')}'"))
    connection.close()
    return store


def database(store: Path) -> Database:
    return Database(f"sqlite:///{store / '.kindling' / 'records.sqlite'}")


def test_an_older_database_keeps_every_record(old):
    opened = database(old)
    records = Records(opened)
    assert records.get("test", HOST) == Record(
        "test", HOST, generation=1, armed_at=100.5, installed_generation=1, settled_generation=1,
        installed_digest=digest_of("g1"), installed_at=200.0, booted_at=300.0,
        booted_digest=digest_of("g1"), revision=7,
    )  # fmt: skip
    assert [event.kind for event in records.timelines()["test", HOST]] == ["booted"]
    assert records.sightings()["test", HOST].serial == "S1"
    assert [entry.who for entry in records.trail()] == ["ada"]
    opened.close()


def test_a_server_goes_on_with_an_older_database_and_knows_stages_and_claims(old):
    with boot_server(old) as server:
        document = server.publish(node_document(role="control-plane"))
        server.publish_site()
        assert server.state() == "booted"
        assert server.claim(document.hostname)["granted"] is True
        assert server.tell("ready")["state"] == "ready"
    with boot_server(old) as server:
        assert server.state() == "ready" and server.node()["claims"][0]["doneAt"]


def test_an_upgraded_database_has_the_same_columns_as_a_new_one(old, tmp_path):
    database(old).close()
    new = tmp_path / "new"
    (new / ".kindling").mkdir(parents=True)
    database(new).close()
    found = [columns(store) for store in (old, new)]
    assert found[0] == found[1]
    assert {field.name for field in fields(Record)} == set(found[0]["nodes"])


def columns(store: Path) -> dict[str, dict[str, object]]:
    """Type and NOT NULL by table and column."""
    with sqlite3.connect(store / ".kindling" / "records.sqlite") as connection:
        listed = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = [row[0] for row in connection.execute(listed)]
        return {
            table: {
                row[1]: (row[2], row[3])
                for row in connection.execute(f"PRAGMA table_info({table})")
            }
            for table in tables
        }


def test_servers_that_open_an_older_database_at_once_upgrade_it_once(old):
    with ThreadPoolExecutor(4) as pool:
        for opened in list(pool.map(database, [old] * 4)):
            opened.close()
    with sqlite3.connect(old / ".kindling" / "records.sqlite") as connection:
        wanted = "SELECT value FROM meta WHERE name = 'schema'"
        assert connection.execute(wanted).fetchall() == [(str(VERSION),)]


def test_an_upgrade_that_fails_leaves_the_older_database_as_it_was(old):
    file = old / ".kindling" / "records.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE sightings ADD COLUMN reported_at DOUBLE")
    before = columns(old)
    with pytest.raises(BootServerError, match="cannot be opened"):
        database(old)
    assert columns(old) == before
    with sqlite3.connect(file) as connection:
        found = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    assert found == ("1",)


@pytest.mark.parametrize("version", ["99", "0", "nonsense"])
def test_a_database_of_an_unknown_version_is_refused_and_left_alone(old, version):
    with sqlite3.connect(old / ".kindling" / "records.sqlite") as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (version,))
    before = columns(old)
    with pytest.raises(BootServerError, match=f"version {version}"):
        database(old)
    assert columns(old) == before


def test_a_database_knows_when_it_was_made_and_an_older_one_is_old(old, tmp_path):
    opened = database(old)
    assert opened.made_at == 0.0
    opened.close()
    with boot_server(tmp_path / "fresh") as server:
        assert isinstance(server, Published)
    fresh = database(tmp_path / "fresh")
    again = database(tmp_path / "fresh")
    assert fresh.made_at == again.made_at > 1_000_000_000
    fresh.close()
    again.close()
