"""The programs and units of a cluster's machines, checked by the tools of their field."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kindling.errors import RenderError
from kindling.rendering.kubernetes.scripts import (
    certificates_part,
    common_part,
    control_plane_part,
    etcd_place,
    worker_part,
)
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.plans import make_plan

PLANS = cluster_plans(machine("control-plane"), machine("worker"), machine("etcd"))
PART = common_part(PLANS["cp1"]) + control_plane_part(PLANS["cp1"])
PROGRAMS = [file for file in PART.files if file.mode == 0o755]
SERVICES = [unit for unit in PART.units if unit.contents]


def environment(part):
    return next(file.content for file in part.files if file.path.endswith("cluster.env"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda file: file.path)
def test_shellcheck_finds_nothing(program, tmp_path):
    for file in PART.files:
        (tmp_path / Path(file.path).name).write_text(file.content)
    shellcheck = Path(sys.executable).with_name("shellcheck")  # from PyPI, beside this Python
    options = ("--shell=bash", "--external-sources", f"--source-path={tmp_path}")
    done = subprocess.run(
        [str(shellcheck), *options, str(tmp_path / Path(program.path).name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit, tmp_path):
    verify(tmp_path, {each.name: each.contents for each in SERVICES}, unit.name)


def test_systemd_accepts_the_kubelets_unit_with_ours_over_the_extensions(tmp_path):
    kubelet = next(unit for unit in PART.units if unit.name == "kubelet.service")
    [(name, text)] = kubelet.dropins
    folder = tmp_path / "kubelet.service.d"
    folder.mkdir()
    extension = "[Service]\nExecStartPre=/usr/bin/cp -r /usr/local/bin/cni/. /opt/cni/bin/\n"
    (folder / "10-kubeadm.conf").write_text(extension)
    (folder / name).write_text(text.replace("/usr/bin/kubelet", "/bin/true"))
    verify(tmp_path, {"kubelet.service": "[Service]\nExecStart=/bin/true\n"}, "kubelet.service")
    assert name > "10-kubeadm.conf"
    assert "ExecStartPre=\n" in text


def verify(folder, units, name):
    for each, text in units.items():
        # The programs are there on the machine; what is verified here is the unit.
        (folder / each).write_text(text.replace("/opt/kindling/", f"{folder}/"))
    for program in PROGRAMS:
        (folder / Path(program.path).name).write_text("#!/bin/bash\n")
        (folder / Path(program.path).name).chmod(0o755)
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is missing; install systemd"
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(folder / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if name in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_no_program_puts_a_token_on_a_command_line():
    lines = [line for program in PROGRAMS for line in program.content.splitlines()]
    assert not [line for line in lines if line.lstrip().startswith("curl") and "token" in line]


def test_every_timer_has_its_service_and_is_enabled():
    names = {unit.name: unit for unit in PART.units}
    timers = [name for name in names if name.endswith(".timer")]
    assert timers
    for timer in timers:
        assert names[timer].enabled
        assert timer.replace(".timer", ".service") in names


def test_no_unit_is_there_twice():
    names = [unit.name for unit in PART.units]
    assert len(names) == len(set(names))


def test_the_first_live_document_is_fetched_at_boot_and_a_restart_only_on_request():
    enabled = {unit.name: unit.enabled for unit in PART.units}
    assert enabled["kindling-live.service"] is True
    assert enabled["kindling-reboot.service"] is None


def test_the_kubelet_is_not_started_by_its_extension():
    links = {link.path: link.target for link in PART.links}
    folder = "/etc/systemd/system/multi-user.target.d"
    assert links[f"{folder}/10-kubelet-service.conf"] == "/dev/null"


def test_a_machine_is_told_where_it_is_and_whom_to_ask():
    text = environment(common_part(PLANS["cp1"]))
    for line in (
        "KINDLING_ROLE=control-plane",
        "KINDLING_ARCH=x86-64",
        "KINDLING_ADDRESS=192.0.2.11",
        "KINDLING_SHORT_NAME=cp1",
        "KINDLING_ENDPOINT=192.0.2.11:6443",
        "KINDLING_KUBERNETES_VERSION=1.33.6",
        "KINDLING_CLAIM_URL=https://boot.example.com/claim/52-54-00-00-00-0b",
        "KINDLING_LIVE_URL=https://boot.example.com/live/52-54-00-00-00-0b",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("machines", "keys", "expected"),
    [
        ((machine("control-plane"),), {}, "local"),
        ((machine("control-plane"),), {"etcd": {"mode": "static-pod"}}, "static-pod"),
        ((machine("control-plane"), machine("etcd")), {}, "external"),
    ],
)
def test_a_control_plane_knows_where_etcd_is(machines, keys, expected):
    assert etcd_place(cluster_plans(*machines, **keys)["cp1"]) == expected


def test_where_etcd_is_for_the_other_roles():
    assert etcd_place(PLANS["etcd1"]) == "local"
    assert etcd_place(PLANS["worker1"]) == "none"


def test_a_worker_has_nothing_that_is_for_the_whole_cluster():
    names = {
        file.path for file in (common_part(PLANS["worker1"]) + worker_part(PLANS["worker1"])).files
    }
    assert names.isdisjoint(
        {
            "/opt/kindling/reconcile",
            "/opt/kindling/certificates",
            "/opt/kindling/live.d/etcd-endpoints",
        }
    )


def test_an_etcd_machine_renews_its_certificates():
    assert [unit.name for unit in certificates_part(PLANS["etcd1"]).units] == [
        "kindling-certificates.service",
        "kindling-certificates.timer",
    ]


def test_a_machine_without_a_cluster_has_no_part_in_one():
    with pytest.raises(RenderError, match="has no cluster"):
        common_part(make_plan())
