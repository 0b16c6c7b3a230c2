"""Snapshots of real etcd: taken, pruned, copied to a real S3 server, and restored from."""

import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from kindling.models.credentials import S3Keys
from tests.fakes.etcd_machines import ROOT, Ground, provide, site, until
from tests.fakes.server import free_port

TIMEOUT = pytest.mark.timeout(240)
KEYS = S3Keys(access_key="reader-and-writer", secret_key='a "secret" \\ of + signs/')


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    provide("etcd", "versitygw")
    return Ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def stand(tmp_path, ground):
    with site(tmp_path / "site", ground) as made:
        yield made


def boot(*machines):
    for each in machines:
        each.boot()
    until(lambda: all(each.settled for each in machines), "every member votes")


def names(*machines):
    return {each.name for each in machines}


def snapshots(machine):
    return sorted(machine.folder.joinpath("var/lib/kindling/snapshots").glob("*.db"))


def taken(machine):
    done = machine.run("snapshot")
    assert done.returncode == 0, done.stdout
    return snapshots(machine)[-1]


def value(machine, key):
    return machine.etcdctl("get", key, "--print-value-only")


def warning(machine, name):
    path = machine.folder / "run/kindling/warnings" / name
    return path.read_text() if path.exists() else ""


@TIMEOUT
def test_a_snapshot_is_verified_named_by_time_and_readable_by_root_alone(stand):
    (first,) = stand.make(1)
    boot(first)
    made = taken(first)
    assert re.fullmatch(rf"test-{first.name}-\d{{8}}T\d{{6}}Z\.db", made.name)
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in made.parent.iterdir()] == [made.name]


@TIMEOUT
def test_the_newest_few_are_kept_and_nobody_elses_is_touched(stand):
    (first,) = stand.make(1, etcd={"snapshots": {"keep": 2}})
    boot(first)
    folder = first.folder / "var/lib/kindling/snapshots"
    folder.mkdir(parents=True)
    for name in (f"test-{first.name}-20200101T000000Z.db", "mine.db", ".taking", ".taking.part"):
        (folder / name).touch()
    one = taken(first)
    time.sleep(1.1)  # names have seconds
    two = taken(first)
    assert set(folder.iterdir()) == {one, two, folder / "mine.db"}


@TIMEOUT
def test_a_snapshot_that_cannot_be_taken_is_a_warning_until_one_can(stand):
    (first,) = stand.make(1)
    boot(first)
    first.power_off()
    assert first.run("snapshot").returncode != 0
    assert "etcd does not answer" in warning(first, "snapshot")
    assert not snapshots(first)
    boot(first)
    taken(first)
    assert not warning(first, "snapshot")


@contextmanager
def object_store(folder):
    """A real S3 server with a bucket `etcd`; gives its URL and the bucket's folder."""
    bucket, port = folder / "etcd", free_port()
    bucket.mkdir(parents=True)
    place = ("--port", f"127.0.0.1:{port}", "--region", "eu-west-7")
    keys = {"ROOT_ACCESS_KEY": KEYS.access_key, "ROOT_SECRET_KEY": KEYS.secret_key}
    with subprocess.Popen(
        [f"{ROOT}/.tools/bin/versitygw", *place, "posix", str(folder)],
        env=os.environ | keys,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        url = f"http://127.0.0.1:{port}"
        probe = ["curl", "--silent", "--output", "/dev/null", "--noproxy", "*", url]
        until(lambda: subprocess.run(probe, check=False).returncode == 0, "the S3 server answers")
        try:
            yield url, bucket
        finally:
            process.terminate()


def copied_to(url, keys, ground, prefix="clusters/test/"):
    """Settings of a stack that copies its snapshots there; the keys go with the credentials."""
    ground.credentials = ground.credentials.model_copy(update={"s3": keys})
    place = {"endpoint": url, "bucket": "etcd", "prefix": prefix, "region": "eu-west-7"}
    return {"snapshots": {"s3": place}}


@TIMEOUT
def test_the_leaders_snapshot_is_copied_to_the_object_store_and_comes_back(stand, tmp_path, ground):
    with object_store(tmp_path / "s3") as (url, bucket):
        first, second = stand.make(2, etcd=copied_to(url, KEYS, ground))
        boot(first)
        boot(second)
        ours, theirs = taken(first), taken(second)
        there = [path for path in bucket.rglob("*") if path.is_file()]
        assert [path.relative_to(bucket).as_posix() for path in there] == [
            f"clusters/test/{ours.name}"
        ]
        assert there[0].read_bytes() == ours.read_bytes()
        assert theirs.exists()
        ours_before = ours.read_bytes()
        ours.unlink()
        done = first.run("snapshot", "fetch", ours.name)
        assert done.returncode == 0, done.stdout
        assert ours.read_bytes() == ours_before
        assert first.run("snapshot", "fetch", "../../etc/passwd").returncode != 0
        assert first.run("snapshot", "fetch", "not-there.db").returncode != 0


@TIMEOUT
def test_wrong_keys_are_a_warning_and_the_snapshot_is_kept(stand, tmp_path, ground):
    wrong = S3Keys(access_key=KEYS.access_key, secret_key="not the secret")
    with object_store(tmp_path / "s3") as (url, bucket):
        (first,) = stand.make(1, etcd=copied_to(url, wrong, ground))
        boot(first)
        done = first.run("snapshot")
        assert done.returncode != 0
        assert "not copied to the object store: SignatureDoesNotMatch" in warning(first, "snapshot")
        assert len(snapshots(first)) == 1
        assert not [path for path in bucket.rglob("*") if path.is_file()]


@TIMEOUT
def test_the_keys_are_in_a_file_of_roots_and_no_argument(stand, tmp_path, ground):
    with object_store(tmp_path / "s3") as (url, _):
        (first,) = stand.make(1, etcd=copied_to(url, KEYS, ground))
        real, calls = shutil.which("curl"), first.folder / "calls"
        log = f'#!/bin/bash\nprintf "%s\\n" "$*" >>{calls}\nexec {real} "$@"\n'
        first.write("/bin/curl", log, 0o755)
        boot(first)
        taken(first)
        assert "--aws-sigv4" in calls.read_text()
        assert KEYS.secret_key not in calls.read_text()
        file = first.folder / "etc/kindling/snapshot-keys.conf"
        assert file.stat().st_mode & 0o777 == 0o600


@TIMEOUT
def test_after_a_restore_the_data_is_the_snapshots_and_the_others_join_by_themselves(stand):
    first, second, third = stand.make(3)
    boot(first)
    boot(second, third)
    first.etcdctl("put", "before", "kept")
    made = taken(first)
    first.etcdctl("put", "after", "lost")
    revision = int(
        re.findall(r'"Revision" : (\d+)', first.etcdctl("get", "after", "-w", "fields"))[0]
    )
    second.power_off()
    third.power_off()
    done = first.run("restore", "latest")
    assert done.returncode == 0, done.stdout
    assert made.name in done.stdout
    assert (value(first, "before"), value(first, "after")) == ("kept", "")
    assert set(first.members) == {first.name}
    bumped = re.findall(r'"Revision" : (\d+)', first.etcdctl("get", "before", "-w", "fields"))[0]
    assert int(bumped) > revision + 1_000_000
    boot(second, third)
    assert set(third.members) == names(first, second, third)
    assert (value(second, "before"), value(third, "after")) == ("kept", "")
    assert stand.boot_server.granted == [first.name]


@TIMEOUT
def test_a_member_that_ran_on_without_a_majority_joins_the_restored_cluster_at_the_next_check(
    stand,
):
    first, second = stand.make(2)
    boot(first)
    boot(second)
    first.etcdctl("put", "before", "kept")
    taken(first)
    first.power_off()
    done = first.run("restore", "latest")
    assert done.returncode == 0, done.stdout
    assert second.run("etcd", "check").returncode == 0
    until(lambda: second.settled and set(first.members) == names(first, second), "it joined")
    assert second.restarts == 1
    assert value(second, "before") == "kept"


@TIMEOUT
def test_rejoin_gives_up_a_machines_data_and_keeps_a_copy(stand):
    first, second = stand.make(2)
    boot(first)
    boot(second)
    former = first.members[second.name]
    until(lambda: second.run("etcd", "rejoin").returncode == 0, "it joined again")
    assert first.members[second.name] != former
    assert second.data.joinpath("member.aside").is_dir()
    first.power_off()
    alone = second.run("etcd", "rejoin")
    assert alone.returncode != 0
    assert "no other member of etcd answers" in alone.stdout


@TIMEOUT
def test_a_cluster_that_has_a_majority_is_not_restored_unless_forced(stand):
    (first,) = stand.make(1)
    boot(first)
    taken(first)
    first.etcdctl("put", "after", "still there")
    refused = first.run("restore", "latest")
    assert refused.returncode != 0
    assert "etcd has a majority" in refused.stdout
    assert value(first, "after") == "still there"
    forced = first.run("restore", "latest", "--force")
    assert forced.returncode == 0, forced.stdout
    assert value(first, "after") == ""


@TIMEOUT
def test_a_damaged_snapshot_is_refused_before_anything_is_stopped(stand):
    (first,) = stand.make(1)
    boot(first)
    made = taken(first)
    with made.open("r+b") as file:
        file.seek(made.stat().st_size // 2)
        file.write(b"damage" * 100)
    refused = first.run("restore", str(made), "--force")
    assert refused.returncode != 0
    assert first.settled
    assert first.run("restore", "not-there.db", "--force").returncode != 0


@TIMEOUT
def test_a_restore_that_was_cut_off_is_run_again_and_etcd_waits_for_it(stand):
    first, second = stand.make(2)
    boot(first)
    boot(second)
    first.etcdctl("put", "before", "kept")
    made = taken(first)
    second.power_off()
    first.power_off()
    first.write("/var/lib/kindling/etcd-restoring", f"{made}\n")
    first.boot()
    until(lambda: "was interrupted" in warning(first, "etcd"), "it says what to do")
    assert not first.settled
    done = first.run("restore", str(made))
    assert done.returncode == 0, done.stdout
    assert value(first, "before") == "kept"
    assert set(first.members) == {first.name}


@TIMEOUT
def test_the_api_server_is_stopped_before_a_restore_and_started_after_it(stand):
    (first,) = stand.make(1)
    boot(first)
    taken(first)
    pod = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    first.write(pod, "kind: Pod\n")
    first.stops_before = "settle"
    with ThreadPoolExecutor() as pool:
        restoring = pool.submit(first.run, "restore", "latest", "--force")
        assert first.stopped.wait(60)
        assert not Path(f"{first.folder}{pod}").exists()
        first.power_off()
        restoring.exception()
    first.stops_before = ""
    boot(first)
    assert Path(f"{first.folder}{pod}").read_text() == "kind: Pod\n"
