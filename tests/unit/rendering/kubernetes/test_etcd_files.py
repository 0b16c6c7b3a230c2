"""What a machine gets for etcd, by its role and by what the stack says."""

import re
import subprocess

import pytest

from kindling.errors import RenderError
from kindling.models.reserved import ETCD
from kindling.rendering.kubernetes.etcd import etcd_live, etcd_part
from kindling.rendering.kubernetes.scripts import common_part
from kindling.rendering.secrets import NodeSecrets
from kindling.templating import TEMPLATES
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.credentials import S3, make_credentials
from tests.fakes.etcd_machines import ROOT, provide
from tests.fakes.field_tools import shellcheck, systemd_verify

CREDENTIALS = make_credentials()
STACKED = (machine("control-plane"), machine("worker"))
APART = (*STACKED, machine("etcd", 1), machine("etcd", 2))
S3_PLACE = {"endpoint": "https://s3.example.com:9000/", "bucket": "backups", "prefix": "prod/"}
MEMBER = {"etcd", "etcd-certificates", "members", "snapshot", "restore", "live.d/etcd-members"}
CLIENT = {"etcd", "etcd-certificates", "members"}


def part_of(plan, credentials=CREDENTIALS):
    return etcd_part(plan, NodeSecrets("token", credentials.of(plan)))


def one(*machines, host="cp1", **keys):
    """The part of one machine of a stack."""
    return part_of(cluster_plans(*machines, **keys)[host])


def file(part, path):
    return next(each for each in part.files if each.path == path)


def variables(part, name):
    lines = file(part, f"/etc/kindling/{name}").content.splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def unit(part, name):
    return next(each for each in part.units if each.name == name)


def programs(part):
    prefix = "/opt/kindling/"
    return {each.path.removeprefix(prefix) for each in part.files if each.path.startswith(prefix)}


@pytest.mark.parametrize(
    ("machines", "host", "expected"),
    [
        (STACKED, "cp1", MEMBER),
        (STACKED, "worker1", set()),
        (APART, "etcd2", MEMBER),
        (APART, "cp1", CLIENT),
        ((*STACKED, machine("load-balancer")), "lb1", set()),
    ],
)
def test_who_runs_etcd_gets_all_of_it_and_who_uses_it_what_a_client_needs(machines, host, expected):
    assert programs(one(*machines, host=host)) == expected


def test_without_a_cluster_there_is_no_part_and_nothing_live():
    plan = cluster_plans(*STACKED, assets={"kubernetes": None})["cp1"]
    assert programs(part_of(plan)) == set()
    assert etcd_live(plan) == {}


def test_the_members_are_live_and_in_no_file():
    machines = [machine("control-plane", number) for number in (1, 2, 3)]
    keys = {"kubernetes": {"endpoint": {"host": "api.example.com"}}}
    plans = cluster_plans(*machines, **keys)
    assert etcd_live(plans["cp1"]) == {
        "etcd-members": "cp1.example.com 192.0.2.11\ncp2.example.com 192.0.2.12\n"
        "cp3.example.com 192.0.2.13\n"
    }
    assert part_of(plans["cp1"]) == part_of(cluster_plans(*machines[:2], **keys)["cp1"])


def test_control_planes_beside_etcd_machines_are_told_where_those_are():
    plans = cluster_plans(*APART)
    assert etcd_live(plans["cp1"]) == {
        "etcd-endpoints": "https://192.0.2.21:2379,https://192.0.2.22:2379\n"
    }
    assert set(etcd_live(plans["etcd1"])) == {"etcd-members"}
    assert etcd_live(plans["worker1"]) == {}


def test_the_live_list_passes_its_own_check(tmp_path):
    plan = cluster_plans(*STACKED)["cp1"]
    hook = tmp_path / "hook"
    hook.write_text(file(part_of(plan), "/opt/kindling/live.d/etcd-members").content)
    given = tmp_path / "etcd-members"

    def accepted(text):
        given.write_text(text)
        return subprocess.run(["bash", hook, "check", given], check=False).returncode == 0

    assert accepted(etcd_live(plan)["etcd-members"])
    assert not accepted("cp1.example.com\n")
    assert not accepted("")


def test_it_listens_at_the_machines_address_and_for_itself_and_measures_for_itself():
    found = variables(one(*STACKED), "etcd.env")
    assert found["ETCD_NAME"] == "cp1.example.com"
    clients = "https://127.0.0.1:2379,https://192.0.2.11:2379"
    assert found["ETCD_LISTEN_CLIENT_URLS"] == clients
    assert found["ETCD_LISTEN_PEER_URLS"] == "https://192.0.2.11:2380"
    assert found["ETCD_LISTEN_METRICS_URLS"] == "http://127.0.0.1:2381"
    assert found["ETCD_CLIENT_CERT_AUTH"] == found["ETCD_PEER_CLIENT_CERT_AUTH"] == "true"
    assert not [name for name in found if name.startswith("ETCD_INITIAL_CLUSTER_STATE")]


@pytest.mark.parametrize(
    ("version", "names"),
    [
        (
            "3.5.26",
            {"EXPERIMENTAL_INITIAL_CORRUPT_CHECK", "EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL"},
        ),
        ("3.6.7", {"FEATURE_GATES", "WATCH_PROGRESS_NOTIFY_INTERVAL"}),
    ],
)
def test_what_has_other_names_in_other_versions_has_the_right_one(version, names):
    found = variables(one(*STACKED, assets={"etcd": version}), "etcd.env")
    varying = {name for name in found if re.search("CORRUPT|PROGRESS|FEATURE", name)}
    assert varying == {f"ETCD_{name}" for name in names}


def test_etcd_knows_every_setting():
    provide("etcd")
    help_text = subprocess.run(
        [f"{ROOT}/.tools/bin/etcd", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for name in variables(one(*STACKED), "etcd.env"):
        argument = name.removeprefix("ETCD_").lower().replace("_", "-")
        assert f"--{argument} " in help_text, argument


def test_further_arguments_replace_ours_and_are_quoted_for_systemd():
    given = {"snapshot-count": "5000", "listen-metrics-urls": 'http://[::1]:9 "$x" %i \\'}
    part = one(*STACKED, etcd={"extraArgs": given})
    assert "ETCD_SNAPSHOT_COUNT" not in variables(part, "etcd.env")
    assert (
        'ExecStart=/usr/bin/etcd "--listen-metrics-urls=http://[::1]:9 \\"$$x\\" %%i \\\\" '
        '"--snapshot-count=5000"\n'
    ) in unit(part, "etcd.service").contents


def test_the_stack_file_can_change_no_argument_that_membership_or_certificates_depend_on():
    free = {
        "listen-metrics-urls",
        "snapshot-count",
        "feature-gates",
        "watch-progress-notify-interval",
    }
    names = variables(one(*STACKED), "etcd.env")
    ours = {name.removeprefix("ETCD_").lower().replace("_", "-") for name in names}
    assert ours - free <= ETCD.keys()
    assert {"initial-cluster", "initial-cluster-state", "wal-dir", "auto-tls"} <= ETCD.keys()


def test_with_static_pods_there_is_no_service_but_snapshots_and_members():
    part = one(*STACKED, etcd={"mode": "static-pod"})
    assert unit(part, "etcd.service").mask
    assert {"snapshot", "restore", "etcd"} <= programs(part)
    assert not [each for each in part.files if each.path.endswith("etcd.env")]
    assert "kindling-etcd.service" not in {each.name for each in part.units}


def test_the_extension_does_not_start_etcd_by_itself():
    for mode in ("systemd", "static-pod"):
        links = {each.path: each.target for each in one(*STACKED, etcd={"mode": mode}).links}
        assert links == {"/etc/systemd/system/multi-user.target.d/10-etcd.conf": "/dev/null"}


def test_snapshots_are_taken_when_the_stack_says_so_and_can_be_taken_by_hand_otherwise():
    on = one(*STACKED, etcd={"snapshots": {"schedule": "hourly", "keep": 3, "directory": "/b"}})
    assert unit(on, "kindling-snapshot.timer").enabled
    assert "OnCalendar=hourly\n" in unit(on, "kindling-snapshot.timer").contents
    assert variables(on, "snapshot.env") == {
        "KINDLING_SNAPSHOT_DIRECTORY": "/b",
        "KINDLING_SNAPSHOT_KEEP": "3",
    }
    off = one(*STACKED, etcd={"snapshots": {"enabled": False}})
    assert unit(off, "kindling-snapshot.timer").enabled is False
    assert "snapshot" in programs(off)


def test_an_object_stores_place_is_public_and_its_keys_are_secret():
    part = one(*STACKED, etcd={"snapshots": {"s3": S3_PLACE}})
    url = "https://s3.example.com:9000/backups/prod/"
    assert variables(part, "snapshot.env")["KINDLING_SNAPSHOT_URL"] == url
    secret = {each.path: each for each in part.files if each.secret}
    assert set(secret) == {"/etc/kindling/snapshot-keys.conf"}
    keys = secret["/etc/kindling/snapshot-keys.conf"]
    assert keys.mode == 0o600
    assert keys.content == f'user = "{S3.access_key}:{S3.secret_key}"\n'
    others = "".join(each.content for each in part.files if not each.secret)
    assert S3.secret_key not in others


def test_an_object_store_without_keys_names_the_configuration_to_set():
    plan = cluster_plans(*STACKED, etcd={"snapshots": {"s3": S3_PLACE}})["cp1"]
    with pytest.raises(RenderError, match="s3AccessKey and s3SecretKey"):
        part_of(plan, CREDENTIALS.model_copy(update={"s3": None}))


@pytest.mark.parametrize("host", ["cp1", "etcd1"])
def test_shellcheck_finds_nothing(host, tmp_path):
    plan = cluster_plans(*(STACKED if host == "cp1" else APART))[host]
    assert shellcheck(common_part(plan) + part_of(plan), tmp_path) == ""


@pytest.mark.parametrize("mode", ["systemd", "static-pod"])
def test_systemd_accepts_the_units(mode, tmp_path):
    part = one(*STACKED, etcd={"mode": mode, "extraArgs": {"quota-backend-bytes": "8589934592"}})
    assert systemd_verify(part, tmp_path) == ""


def test_programs_are_rendered_as_they_are_written():
    """Bash and Jinja2 share some marks: what looks like a comment to one is code to the other."""
    part = one(*STACKED)
    for name in programs(part):
        written = (TEMPLATES / "kubernetes" / name).read_text()
        assert file(part, f"/opt/kindling/{name}").content == written
