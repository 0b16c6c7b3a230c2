"""The reporter's script, run for real: what it says at each boot, and what it cleans up."""

import json

import pytest

from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text
from tests.fakes.ignition import file_text
from tests.fakes.installing_machine import DIGEST, TOKEN, InstallingMachine, boot_server
from tests.fakes.plans import make_plan

IP = "ip=192.0.2.5::192.0.2.1:255.255.255.0:node-1:e*:none"


def boot(machine):
    """Boot the installed system, as far as the reporter is concerned."""
    directory = machine.opt.parent
    return machine.run_report(directory / "report", directory / "etc")


@pytest.fixture
def booted(tmp_path):
    with boot_server() as server:
        machine = InstallingMachine(tmp_path, server, "")
        machine.have_system(host="h", stack="s", generation=2, digest=DIGEST)
        (machine.oem / "config.ign").write_text("{}")
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "status.token").write_text(TOKEN)
        settings = {
            "KINDLING_GENERATION": "2",
            "KINDLING_STATUS_URL": server.url,
            "KINDLING_FIRST_BOOT_ARGUMENTS": f"{IP} nameserver=192.0.2.1",
        }
        environment = render_text("flatcar/install.env", "test", settings=settings)
        (tmp_path / "etc" / "node.env").write_text(environment)
        machine._program(tmp_path / "report", render_text("flatcar/report", "t"), shebang=False)
        yield machine


def test_every_boot_reports_the_digest_that_the_marker_names(booted):
    assert boot(booted).returncode == 0
    expected = {"state": "booted", "generation": 2, "digest": DIGEST, "message": "", "log": ""}
    assert booted.server.reports == [expected]
    assert booted.server.tokens == [f"Bearer {TOKEN}"]


def test_a_missing_marker_is_reported_as_an_unknown_digest(booted):
    (booted.oem / "kindling.json").unlink()
    boot(booted)
    assert booted.server.reports[0]["digest"] is None


def test_the_report_is_repeated_until_the_server_took_it(booted):
    booted.server.answers = [500, 403]
    boot(booted)
    assert booted.server.states == ["booted"] * 3


def test_secrets_and_network_arguments_of_the_installation_go_after_the_first_good_answer(booted):
    (booted.oem / "grub.cfg").write_text(
        "# kept\n"
        f'set linux_append="$linux_append {IP} nameserver=192.0.2.1"\n'
        'set linux_console="console=ttyS0"\n'
    )
    boot(booted)
    assert not (booted.oem / "config.ign").exists()
    assert (booted.oem / "grub.cfg").read_text() == ('# kept\nset linux_console="console=ttyS0"\n')
    assert json.loads((booted.oem / "kindling.json").read_text())["digest"] == DIGEST


def test_arguments_that_ignition_joined_to_the_same_line_stay(booted):
    grub = booted.oem / "grub.cfg"
    grub.write_text(f'set linux_append="$linux_append {IP} nameserver=192.0.2.1 quiet x=*"\n')
    boot(booted)
    assert grub.read_text() == 'set linux_append="$linux_append quiet x=*"\n'


def test_an_ip_argument_of_the_nodes_own_stays(booted):
    own = {"shouldExist": ["ip=eno1:dhcp", "quiet"]}
    plan = make_plan(kernelArguments=own)
    rendered = render_node(plan, NodeSecrets.placeholder(plan))
    environment = file_text(rendered.node_ignition, "/etc/kindling/node.env")
    url = f"KINDLING_STATUS_URL={booted.server.url}\n"
    (booted.opt.parent / "etc" / "node.env").write_text(environment + url)
    grub = booted.oem / "grub.cfg"
    grub.write_text('set linux_append="$linux_append ip=eno1:dhcp quiet"\n')
    boot(booted)
    assert not (booted.oem / "config.ign").exists()
    assert grub.read_text() == 'set linux_append="$linux_append ip=eno1:dhcp quiet"\n'


def test_nothing_is_cleaned_up_before_the_server_answered(booted):
    kept = []
    answer = booted.server.answer

    def watch(report, token):
        kept.append((booted.oem / "config.ign").exists())
        return answer(report, token)

    booted.server.answer = watch
    booted.server.answers = [503]
    boot(booted)
    assert kept == [True, True]
    assert not (booted.oem / "config.ign").exists()


def test_a_second_boot_changes_nothing_on_the_oem_partition(booted):
    (booted.oem / "grub.cfg").write_text('set linux_append="$linux_append quiet"\n')
    boot(booted)
    before = {path.name: path.stat().st_mtime_ns for path in booted.oem.iterdir()}
    boot(booted)
    assert {path.name: path.stat().st_mtime_ns for path in booted.oem.iterdir()} == before
