"""The installer's script, run for real: what it writes, when it refuses, what it reports."""

import re
from pathlib import Path

import pytest

from kindling.rendering.text import render_text
from tests.fakes.installing_machine import DIGEST, TOKEN, InstallingMachine, boot_server

OURS = {"host": "node-1.example.com", "stack": "prod", "digest": "e" * 64}


@pytest.fixture
def machine(tmp_path):
    with boot_server() as server:
        yield InstallingMachine(tmp_path, server, render_text("flatcar/install", "test"))


def test_an_empty_disk_is_installed_and_reported_before_the_restart(machine):
    done = machine.install()
    assert done.returncode == 0, done.stdout
    assert machine.server.states == ["installing", "installed"]
    assert machine.server.reports[1]["digest"] == DIGEST
    assert machine.restarted


def test_flatcar_install_is_called_as_the_real_one_wants_it(machine):
    machine.install()
    ignition = machine.opt / "node.ign"
    assert (
        f"flatcar-install -d {machine.disk} -i {ignition} -V 4230.2.3 "
        "-b http://boot.example.com/assets/flatcar/x86-64"
    ) in machine.calls


def test_the_marker_names_host_stack_generation_and_digest(machine):
    machine.install(generation="3")
    expected = {"host": OURS["host"], "stack": "prod", "generation": 3, "digest": DIGEST}
    assert machine.marker == expected


def test_pre_install_runs_before_and_post_install_after_the_disk_is_written(machine):
    machine.install()
    order = [call.split()[0] for call in machine.calls]
    steps = [step for step in order if step in {"pre", "flatcar-install", "post", "systemctl"}]
    assert steps == ["pre", "flatcar-install", "post", "systemctl"]


def test_the_token_authorises_every_report_and_is_no_argument_of_any_program(machine):
    done = machine.install()
    assert machine.server.tokens == [f"Bearer {TOKEN}"] * 2
    assert TOKEN not in done.stdout + done.stderr + "\n".join(machine.calls)
    assert not re.search(r"curl[^|]*Bearer", (machine.opt / "install").read_text())


@pytest.mark.parametrize("installed", [1, 2])
def test_the_same_host_at_an_equal_or_newer_generation_is_reported_and_nothing_is_written(
    machine, installed
):
    machine.have_system(**OURS, generation=installed)
    before = machine.disk.read_bytes()
    done = machine.install(generation="1")
    assert done.returncode == 0, done.stdout
    assert machine.disk.read_bytes() == before
    assert not machine.wrote
    assert machine.restarted
    assert [(r["state"], r["digest"]) for r in machine.server.reports] == [("installed", "e" * 64)]
    assert machine.server.reports[0]["generation"] == 1


def test_the_same_host_at_an_older_generation_is_installed_again(machine):
    machine.have_system(**OURS, generation=1)
    machine.install(generation="2")
    assert machine.wrote
    assert machine.marker is not None
    assert machine.marker["generation"] == 2


@pytest.mark.parametrize(
    "marker",
    [
        {},
        {**OURS, "host": "node-2.example.com", "generation": 1},
        {**OURS, "stack": "staging", "generation": 1},
        {"host": OURS["host"], "stack": "prod", "generation": 1},
    ],
    ids=["no marker", "another host", "another stack", "marker without digest"],
)
def test_any_other_system_on_the_disk_is_refused_and_left_alone(machine, marker):
    machine.have_system(**marker)
    before = machine.disk.read_bytes()
    done = machine.install()
    assert done.returncode != 0
    assert machine.disk.read_bytes() == before
    assert machine.server.states == ["failed"]
    assert "storage.overwrite" in machine.server.reports[0]["message"]
    assert not machine.restarted


def test_a_refusal_says_what_was_found(machine):
    machine.have_system(**{**OURS, "host": "db.example.com"}, generation=4)
    machine.install()
    assert "db.example.com of stack prod, generation 4" in machine.server.reports[0]["message"]


@pytest.mark.parametrize("allowed", [{"overwrite": "true"}, {"generation": "2"}])
def test_a_foreign_system_is_overwritten_when_the_stack_says_so(machine, allowed):
    machine.have_system()
    machine.install(**allowed)
    assert machine.wrote
    assert machine.server.states == ["installing", "installed"]


@pytest.mark.parametrize("trouble", ["oem-unreadable", "disk-unreadable"])
def test_a_disk_that_cannot_be_read_is_not_taken_for_an_empty_one(machine, trouble):
    machine.have_system(**OURS, generation=1)
    if trouble == "disk-unreadable":
        (machine.oem / "kindling.json").unlink()
    (machine.state / trouble).touch()
    machine.install()
    assert not machine.wrote
    assert machine.server.states == ["failed"]


def test_the_restart_waits_until_the_server_has_stored_the_report(machine):
    machine.server.answers = [200, 503, 500]
    machine.install()
    assert machine.server.states == ["installing", "installed", "installed", "installed"]
    assert machine.restarted


@pytest.mark.parametrize("status", [401, 409])
def test_a_server_that_refuses_the_installation_stops_it_before_the_disk_is_touched(
    machine, status
):
    before = machine.disk.read_bytes()
    machine.server.refuses = {"installing": status}
    done = machine.install()
    assert done.returncode != 0
    assert machine.disk.read_bytes() == before
    assert machine.server.states == ["installing", "failed"]


def test_a_failed_installation_is_reported_with_the_last_log_lines(machine):
    (machine.state / "flatcar-install").write_text("badly")
    done = machine.install()
    assert done.returncode != 0
    assert machine.server.states == ["installing", "failed"]
    log = machine.server.reports[-1]["log"].splitlines()
    assert log[-1] == "GPG signature verification failed"
    assert len(log) == 50
    assert machine.marker is None
    assert not machine.restarted
    assert "INSTALLATION FAILED" in done.stdout


@pytest.mark.parametrize("when", ["pre", "post"])
def test_a_failed_command_of_the_node_ends_the_installation_without_a_marker(machine, when):
    commands = {
        "pre": "true",
        "post": "true",
        when: "echo 'no \"controller\" \\ here'; false; true",
    }
    machine.commands(**commands)
    machine.install()
    assert machine.server.states == ["installing", "failed"]
    assert 'no "controller" \\ here' in machine.server.reports[-1]["log"]
    assert machine.marker is None


def test_after_a_failed_installation_the_next_boot_installs(machine):
    (machine.state / "flatcar-install").write_text("badly")
    machine.install()
    (machine.state / "flatcar-install").write_text("well")
    machine.install()
    assert machine.server.states[-2:] == ["installing", "installed"]


def test_a_power_cut_in_the_middle_leaves_no_marker_and_no_claim(machine):
    (machine.state / "flatcar-install").write_text("power-cut")
    machine.install()
    assert machine.server.states == ["installing"]
    assert machine.marker is None


def test_an_interrupted_installation_is_started_over_without_overwrite(machine):
    (machine.state / "flatcar-install").write_text("power-cut")
    machine.install()
    (machine.state / "flatcar-install").write_text("well")
    done = machine.install()
    assert "starting over" in done.stdout
    assert machine.server.states == ["installing", "installing", "installed"]
    assert machine.marker is not None


def test_the_note_of_an_interrupted_installation_counts_for_its_own_node_only(machine):
    (machine.state / "flatcar-install").write_text("power-cut")
    machine.install()
    (machine.opt / "status.token").write_text("token of somebody else")
    machine.install()
    assert not machine.wrote
    assert machine.server.states[-1] == "failed"


def test_a_finished_installation_leaves_no_note_on_the_disk(machine):
    machine.install()
    tail = machine.disk.read_bytes()[-(3 << 20) :]
    assert tail.strip(b"\0") == b""


@pytest.mark.parametrize("allowed", [{"overwrite": "true"}, {"generation": "2"}])
def test_where_something_may_be_overwritten_no_note_is_put_into_a_partition_that_is_kept(
    machine, allowed
):
    """A partition up to the end of the disk survives: the image only replaces the start."""
    machine.have_system()
    kept = b"kept" * (1 << 18)
    with machine.disk.open("r+b") as disk:
        disk.seek(-(3 << 20), 2)
        disk.write(kept * 2)
    machine.install(**allowed)
    assert machine.wrote
    assert machine.disk.read_bytes()[-(3 << 20) : -(1 << 20)] == kept * 2


@pytest.mark.parametrize("allowed", [{"overwrite": "true"}, {"generation": "2"}])
def test_an_interrupted_installation_that_may_overwrite_starts_over_without_a_note(
    machine, allowed
):
    (machine.state / "flatcar-install").write_text("power-cut")
    machine.install(**allowed)
    (machine.state / "flatcar-install").write_text("well")
    machine.install()
    assert machine.server.states == ["installing", "installing", "installed"]


def test_the_note_is_not_erased_where_a_command_of_the_node_wrote_its_own(machine):
    size = machine.disk.stat().st_size
    data = 'yes data | dd of="$DISK" bs=1M count=2 iflag=fullblock conv=notrunc status=none seek='
    machine.commands(pre="true", post=f"set +o pipefail; {data}{(size >> 20) - 3}")
    machine.install()
    written = machine.disk.read_bytes()[-(3 << 20) : -(1 << 20)]
    assert machine.server.states[-1] == "installed"
    assert b"\0" not in written


def test_the_network_of_the_first_boot_is_told_to_grub(machine):
    machine.install(oem_arguments='ip=192.0.2.5::192.0.2.1:255.255.255.0:n:eth0:none a="b$c"')
    expected = (
        'set linux_append="$linux_append ip=192.0.2.5::192.0.2.1:255.255.255.0:n:eth0:none '
        'a=\\"b\\$c\\""\n'
    )
    assert (machine.oem / "grub.cfg").read_text() == expected


def test_without_kernel_arguments_grub_is_left_alone(machine):
    machine.install()
    assert not (machine.oem / "grub.cfg").exists()


@pytest.mark.parametrize("kind", ["part", "crypt", "raid1", "rom"])
def test_what_is_not_a_whole_disk_is_refused_before_anything_is_reported_as_begun(machine, kind):
    (machine.state / "disk-type").write_text(f"{kind}\n")
    machine.install()
    assert machine.server.states == ["failed"]
    assert f"is not a whole disk ({kind})" in machine.server.reports[0]["message"]
    assert not machine.wrote


def test_a_missing_disk_is_named_together_with_those_that_are_there(machine):
    machine.install(disk="/dev/disk/by-id/not-there")
    message = machine.server.reports[-1]["message"]
    assert "/dev/disk/by-id/not-there" in message
    assert "sda 8M Fake" in message


def test_the_installer_stays_quiet_about_secrets_in_its_runtime_files(machine):
    machine.install()
    kept = [path.read_text() for path in Path(machine.runtime).iterdir() if path.is_file()]
    assert all(TOKEN not in text for text in kept)
