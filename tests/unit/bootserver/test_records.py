"""The boot records: durable, right under concurrency, and never silently of another version."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from kindling.bootserver.database import Database, keep_secret
from kindling.bootserver.mirror import Mirror
from kindling.bootserver.observer import Observer
from kindling.bootserver.records import KEPT_AUDIT, KEPT_EVENTS, Audit, Event, Records
from kindling.bootserver.schema import VERSION, meta, metadata
from kindling.bootserver.states import Record
from kindling.bootserver.transitions import Refusal, published
from kindling.errors import BootServerError, RecordsLost
from tests.fakes.published import HOST, boot_server, node_document


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'records.sqlite'}"


@pytest.fixture
def database(url):
    opened = Database(url)
    yield opened
    opened.close()


def count_up(record: Record | None) -> Record:
    known = record or Record("test", HOST)
    return replace(known, failures=known.failures + 1)


def test_a_record_reads_back_as_it_was_written(database):
    records = Records(database)
    record = replace(
        published(None, node_document(), 1_000_000.25),
        installed_generation=3, installed_digest="a" * 64, installed_at=1.5, held="why \N{SNOWMAN}",
    )  # fmt: skip
    stored = records.change("test", HOST, lambda _: record)
    assert records.get("test", HOST) == stored == replace(record, revision=1)


def test_a_commit_waits_for_the_disk_and_readers_do_not_wait_for_writers(database):
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        with database.writing() as writer:
            writer.execute(sa.update(meta).values(value="9"))
            wanted = sa.select(meta.c.value).where(meta.c.name == "schema")
            assert connection.scalar(wanted) == str(VERSION)


def test_an_unchanged_record_is_not_written_again(database):
    records = Records(database)
    first = records.change("test", HOST, count_up)
    assert records.change("test", HOST, lambda record: record or Record("", "")) == first


def test_a_refused_change_stores_only_the_hold_and_notes_who_held(database):
    records = Records(database)
    held = replace(Record("test", HOST), held="two addresses", held_at=5.0)
    event = Event("test", HOST, 5.0, "failed")
    found = records.change("test", HOST, lambda _: Refusal(403, "no", held), event=event, now=5.0)
    assert found == Refusal(403, "no", held)
    assert records.timelines() == {}
    (entry,) = records.trail()
    assert (entry.who, entry.what, entry.detail) == ("boot server", "hold", "two addresses")


def test_an_error_while_deciding_undoes_everything(database):
    records = Records(database)

    def fail(record: Record | None) -> Record:
        raise ValueError("no decision")

    with pytest.raises(ValueError, match="no decision"):
        records.change("test", HOST, fail, entry=Audit("test", HOST, 1.0, "ada", "arm"))
    assert records.get("test", HOST) is None and records.trail() == []


def test_many_threads_of_two_servers_lose_no_change(url, database):
    """Each decides from the record as the one before it left it."""
    second = Database(url)
    both = [Records(database), Records(second)]

    def work(records: Records) -> None:
        for _ in range(15):
            records.change("test", HOST, count_up)

    threads = [threading.Thread(target=work, args=(both[n % 2],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = both[0].get("test", HOST)
    assert found is not None and (found.failures, found.revision) == (90, 90)
    second.close()


def test_a_mirror_shows_what_another_process_committed_at_once(url, database):
    mirror = Mirror(Records(database))
    assert mirror.get("test", HOST) is None
    second = Database(url)
    for failures in (1, 2, 3):
        Records(second).change("test", HOST, count_up)
        found = mirror.get("test", HOST)
        assert found is not None and found.failures == failures
    second.close()
    mirror.close()


def test_the_secret_is_made_once_for_every_worker_and_restart(url, database):
    first = keep_secret(database, "secret")
    second = Database(url)
    assert keep_secret(second, "secret") == first and len(first) == 32
    assert keep_secret(database, "other") != first
    second.close()


def test_records_of_another_version_are_refused_and_left_alone(url, database):
    with database.writing() as connection:
        connection.execute(sa.update(meta).where(meta.c.name == "schema").values(value="99"))
    with pytest.raises(BootServerError, match="version 99"):
        Database(url)


def test_a_file_that_is_no_database_is_an_error_in_one_sentence(tmp_path):
    file = tmp_path / "records.sqlite"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(BootServerError, match="cannot be opened"):
        Database(f"sqlite:///{file}")
    with pytest.raises(BootServerError, match="cannot be opened"):
        Database("nonsense")
    with pytest.raises(BootServerError, match="in memory forgets"):
        Database("sqlite://")


def test_the_health_check_notices_records_that_cannot_be_written(tmp_path, database):
    database.check()
    with sqlite3.connect(tmp_path / "records.sqlite") as other:
        other.execute("DROP TABLE meta")
    with pytest.raises(BootServerError, match="cannot be written"):
        database.check()


def test_the_tables_can_be_made_in_postgresql():
    """Only the statements are checked here; nothing in them is SQLite's own."""
    dialect = sa.create_mock_engine("postgresql://", lambda *_: None).dialect
    for table in metadata.sorted_tables:
        text = str(sa.schema.CreateTable(table).compile(dialect=dialect))
        assert "CREATE TABLE" in text


def test_events_that_come_with_a_change_are_bounded_for_each_node(database):
    records = Records(database)
    for at in range(KEPT_EVENTS + 5):
        records.change("test", HOST, count_up, event=Event("test", HOST, float(at), "booted"))
    found = [event.at for event in records.timelines()["test", HOST]]
    assert found == [float(at) for at in range(5, KEPT_EVENTS + 5)]


def test_a_repeated_report_that_changes_nothing_is_no_event(database):
    records = Records(database)
    record = Record("test", HOST, failures=1)
    for at in (1.0, 2.0):
        event = Event("test", HOST, at, "installed")
        records.change("test", HOST, lambda stored: stored or record, event=event)
    assert [event.at for event in records.timelines()["test", HOST]] == [1.0]


def test_the_audit_trail_of_one_node_is_bounded_and_pushes_out_no_other_nodes(database):
    records = Records(database)
    other = Audit("test", "other", 0.0, "ada", "arm")
    records.change("test", "other", count_up, entry=other)
    for at in range(KEPT_AUDIT + 5):
        entry = Audit("test", HOST, float(at), "ada", "arm")
        records.change("test", HOST, count_up, entry=entry)
    found = records.trail(limit=10_000)
    assert [e.at for e in found if e.host == HOST][-1] == 5.0
    assert len(found) == KEPT_AUDIT + 1 and found[-1] == other


@pytest.mark.parametrize("folder", ["", "elsewhere"])
def test_the_database_and_its_companions_are_for_the_servers_user_only(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    before = os.umask(0)
    try:
        opened = Database(f"sqlite:///{tmp_path / folder / 'private.sqlite'}")
        keep_secret(opened, "secret")
        files = sorted((tmp_path / folder).glob("private.sqlite*"))
        modes = {file.name: file.stat().st_mode & 0o777 for file in files}
        opened.close()
    finally:
        os.umask(before)
    names = ("private.sqlite", "private.sqlite-shm", "private.sqlite-wal")
    assert modes == dict.fromkeys(names, 0o600)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_deleted_or_replaced_database_is_noticed_before_anything_is_acknowledged(
    tmp_path, url, database, replaced
):
    records = Records(database)
    file = tmp_path / "records.sqlite"

    def lose(record: Record | None) -> Record:
        file.rename(tmp_path / "away")
        if replaced:
            file.write_bytes(b"")
        return count_up(record)

    for decide in (lose, count_up):  # in the middle of a change, and before one
        with pytest.raises(RecordsLost, match="deleted or replaced"):
            records.change("test", HOST, decide)
    with pytest.raises(RecordsLost):
        database.check()
    observer = Observer(database)
    observer.note(Event("test", HOST, 1.0, "booted"))
    observer.flush()  # only a log line: what is observed may be lost
    second = Database(url)
    assert Records(second).change("test", HOST, count_up) == replace(
        Record("test", HOST), failures=1, revision=1
    )
    second.close()


def test_a_connection_to_another_file_is_not_used(tmp_path, database):
    (tmp_path / "records.sqlite").rename(tmp_path / "away")
    with database.reading(), pytest.raises(RecordsLost), database.reading():
        pass


def test_machines_are_told_to_ask_again_while_the_database_is_lost(tmp_path, caplog):
    with boot_server(tmp_path / "store") as server:
        server.publish(node_document())
        (server.directory / ".kindling" / "records.sqlite").unlink()
        script = server.machine.get("/boot/52-54-00-00-00-01", params={"arch": "x86_64"})
        for answer in (script, server.report("installing"), server.machine.get("/healthz")):
            assert answer.status_code == 503
            assert "deleted or replaced" in answer.text
