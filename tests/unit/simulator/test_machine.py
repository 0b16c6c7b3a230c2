"""A simulated machine follows what is served from power-on to booted, and survives each mishap."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kindling.simulator.architecture import Architecture
from kindling.simulator.console import Console
from kindling.simulator.disk import Contents, Disk, Image, Marker
from kindling.simulator.faults import Faults, Point
from kindling.simulator.firmware import FirmwareKind
from kindling.simulator.machine import Machine, Segment, said_to_be_simulated
from kindling.simulator.outcome import Outcome, State
from kindling.simulator.patience import Patience
from tests.fakes.boot_segment import EXTENSION, IMAGE, BootSegment, PlayedNode, file

MAC = "52:54:00:ab:cd:01"
FULL = ["installing", "installed", "booted"]


class Rack:
    """One machine on a played segment, with its disk and its console lines."""

    def __init__(self, segment: BootSegment, disks: Path, **options: Any) -> None:
        self.segment = segment
        self.disk = Disk.of(disks, MAC)
        self.lines: list[str] = []
        arch = options.pop("arch", Architecture.X86_64)
        self.machine = Machine(
            [MAC],
            arch,
            self.disk,
            Console(MAC, self.lines.append),
            Segment(segment.url, patience=Patience(attempts=3, wait=0)),
            **options,
        )

    def power_on(self) -> Outcome:
        return self.machine.power_on()

    def said(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]


def own_disk(disk: Disk, generation: int, host: str = "cp1.example.net") -> None:
    marker = Marker(host=host, stack="demo", generation=generation, digest="a" * 64)
    disk.install(marker, Image(url="u", size=1, sha256="0" * 64), "{}", "")


@pytest.mark.parametrize("kind", list(FirmwareKind))
@pytest.mark.parametrize("arch", list(Architecture))
def test_an_armed_machine_is_installed_once_and_boots(
    tmp_path: Path, arch: Architecture, kind: FirmwareKind
) -> None:
    node = PlayedNode(MAC, arch=str(arch))
    with BootSegment(node) as segment:
        if kind is FirmwareKind.BIOS and arch is Architecture.ARM64:
            kind = FirmwareKind.EFI  # there is no BIOS on arm64
        rack = Rack(segment, tmp_path, arch=arch, kind=kind)
        outcome = rack.power_on()
    assert (outcome.state, outcome.boots, outcome.disk_writes) == (State.BOOTED, 2, 1)
    assert (outcome.host, outcome.generation) == (node.host, 1)
    assert segment.states() == FULL
    digest = hashlib.sha256(node.node_ignition(segment.url)).hexdigest()
    assert [report["digest"] for report in segment.reports] == [None, digest, digest]
    assert outcome.digest == digest
    image = rack.disk.state.image
    assert image is not None
    assert (image.size, image.sha256) == (len(IMAGE), hashlib.sha256(IMAGE).hexdigest())


def test_everything_that_shows_says_simulated(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path)
        assert rack.power_on().simulated
    assert all(line.startswith("[simulated] ") for line in rack.lines)
    assert all(report["simulated"] is True for report in segment.reports)
    assert all(report["message"].startswith("[simulated] ") for report in segment.reports)
    scripts = segment.asked("boot/52-54")
    assert scripts
    assert all("simulated=1" in path for path in scripts)
    assert json.loads(rack.disk.path.read_text())["simulated"] is True


def test_the_boot_query_alone_is_marked() -> None:
    marked = "http://x/kindling/boot/52-54-00-00-00-01"
    assert said_to_be_simulated(f"{marked}?arch=arm64") == f"{marked}?arch=arm64&simulated=1"
    assert said_to_be_simulated(marked) == f"{marked}?simulated=1"
    assert said_to_be_simulated("http://x/boot.ipxe") == "http://x/boot.ipxe"


def test_image_and_signature_are_asked_for_by_head_before_get(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        Rack(segment, tmp_path).power_on()
    methods = [how for how, path, _ in segment.requests if path.endswith("image.bin.bz2")]
    signature = [how for how, path, _ in segment.requests if path.endswith(".sig")]
    assert methods == signature == ["HEAD", "GET"]


def test_an_image_that_its_sample_signature_does_not_fit_is_refused_and_named(
    tmp_path: Path,
) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        path = next(path for path in segment.files if path.endswith(".bin.bz2"))
        good = hashlib.sha256(IMAGE).hexdigest()
        comment = f"-----BEGIN\nComment: KINDLING SAMPLE of SHA-256 {good}\n\n"
        segment.files[f"{path}.sig"] = comment.encode()
        segment.files[path] = IMAGE[:-1] + b"!"
        refused = Rack(segment, tmp_path / "altered").power_on()
        assert (refused.state, segment.states()) == (State.FAILED, ["installing", "failed"])
        assert path in segment.reports[-1]["message"]
        segment.files[path] = IMAGE
        rack = Rack(segment, tmp_path / "good")
        assert rack.power_on().state is State.BOOTED
    assert rack.said("digest in the sample signature checked")


def test_a_signature_that_is_no_sample_is_said_to_be_unchecked(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path)
        rack.power_on()
    assert rack.said("signature not checked")


def test_commands_of_the_stack_are_shown_and_not_run(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path)
        rack.power_on()
    shown = [line.partition("would run: ")[2] for line in rack.said("would run")]
    assert shown == ["echo before", "echo after"]


def test_secrets_leave_the_disk_after_the_first_good_report_and_never_show(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(power_off_at=Point.BOOTED))
        assert rack.power_on().state is State.OFF
        assert rack.disk.state.ignition is not None
        assert "ip=" in rack.disk.state.oem_arguments
        assert rack.power_on().state is State.BOOTED
    assert rack.disk.state.ignition is None
    assert rack.disk.state.oem_arguments == ""
    assert rack.disk.path.stat().st_mode & 0o777 == 0o600
    text = "\n".join(rack.lines) + json.dumps(segment.reports)
    assert node.token not in text
    for path in segment.asked("ignition/"):
        assert path.partition("token=")[2] not in text


def test_an_installed_machine_only_boots_and_reports_again(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path)
        rack.power_on()
        fetched = len(segment.asked("assets/"))
        outcome = rack.power_on()
    assert (outcome.state, outcome.boots, outcome.disk_writes) == (State.BOOTED, 1, 1)
    assert segment.states() == [*FULL, "booted"]
    assert len(segment.asked("assets/")) == fetched


def test_a_raised_generation_is_installed_over_the_old_one(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        rack = Rack(segment, tmp_path)
        rack.power_on()
        node.generation = 2
        outcome = rack.power_on()
    assert (outcome.state, outcome.generation, outcome.disk_writes) == (State.BOOTED, 2, 2)


@pytest.mark.parametrize("generation", [1, 2])
def test_an_own_marker_is_reported_and_nothing_is_written(tmp_path: Path, generation: int) -> None:
    """The server forgot everything: the disk's equal or newer generation is the proof."""
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(power_off_at=Point.INSTALLED))
        own_disk(rack.disk, generation)
        outcome = rack.power_on()
    assert (outcome.state, outcome.disk_writes) == (State.OFF, 0)
    assert segment.states() == ["installed"]
    assert segment.reports[0]["digest"] == "a" * 64
    assert segment.reports[0]["generation"] == 1  # what the token speaks for
    assert not segment.asked("image.bin.bz2", "HEAD")


@pytest.mark.parametrize(
    ("prepare", "found"),
    [
        (lambda disk: disk.make_foreign("Debian 12"), "Debian 12"),
        (lambda disk: own_disk(disk, 1, "other.example.net"), "other.example.net of stack demo"),
    ],
)
def test_somebody_elses_system_is_refused_unless_the_stack_says_so(
    tmp_path: Path, prepare: Callable[[Disk], None], found: str
) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        rack = Rack(segment, tmp_path)
        prepare(rack.disk)
        before = rack.disk.state
        outcome = rack.power_on()
        assert outcome.state is State.FAILED
        assert found in outcome.reason
        assert rack.disk.state == before
        assert segment.states() == ["failed"]
        assert found in segment.reports[0]["message"]
        node.overwrite = True
        assert rack.power_on().state is State.BOOTED


def test_a_generation_above_one_overwrites_a_foreign_system(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC, generation=2)) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(foreign_disk="Debian 12"))
        outcome = rack.power_on()
    assert (outcome.state, outcome.disk_writes) == (State.BOOTED, 1)


def test_the_foreign_disk_fault_is_refused_by_the_installer(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(foreign_disk="Debian 12"))
        outcome = rack.power_on()
    assert outcome.state is State.FAILED
    assert rack.disk.state.contents is Contents.FOREIGN


def test_a_machine_of_the_wrong_architecture_is_not_installed(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        outcome = Rack(segment, tmp_path, faults=Faults(wrong_arch=True)).power_on()
    assert outcome.state is State.IDLE
    assert "cp1.example.net is x86-64" in outcome.reason
    assert segment.states() == []


def test_a_dropped_ignition_is_fetched_again_by_the_same_machine(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(drop_ignition=2))
        outcome = rack.power_on()
    assert outcome.state is State.BOOTED
    assert len(segment.asked("ignition/")) == 3
    assert len(rack.said("transfer broke after")) == 2


def test_ignition_from_another_address_is_refused_and_seen(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(ignition_address="127.0.0.2"))
        outcome = rack.power_on()
    assert outcome.state is State.FAILED
    assert "HTTP 403" in outcome.reason
    assert node.held == "fetched by 127.0.0.2"
    assert segment.states() == []


def test_a_machine_speaks_from_its_own_address(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        outcome = Rack(segment, tmp_path, source_address="127.0.0.77").power_on()
    assert outcome.state is State.BOOTED
    assert {address for _, _, address in segment.requests} == {"127.0.0.77"}


def test_from_the_kernel_on_a_machine_speaks_from_the_static_address_of_ip(tmp_path: Path) -> None:
    """iPXE has a lease; the installer and the first boot of the disk do not know of it."""
    ip = "ip=127.0.0.77:::255.0.0.0:cp1:eth0:none"
    node = PlayedNode(MAC, oem_arguments=ip, arguments=("flatcar.first_boot=1", ip))
    with BootSegment(node) as segment:
        rack = Rack(segment, tmp_path, source_address="127.0.0.10")
        rack.power_on()
    leased = {path for _, path, address in segment.requests if address == "127.0.0.10"}
    static = {path for _, path, address in segment.requests if address == "127.0.0.77"}
    assert any("_pxe_image.cpio.gz" in path for path in leased)
    assert any(path.startswith("/ignition/") for path in static)
    assert not leased & static


def test_a_lost_answer_to_installed_is_asked_for_again(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        outcome = Rack(segment, tmp_path, faults=Faults(lose_answers=1)).power_on()
    assert (outcome.state, outcome.disk_writes) == (State.BOOTED, 1)
    assert segment.states() == ["installing", "installed", "installed", "booted"]


def test_a_lost_installed_report_does_not_install_again(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(lose_reports=3))
        first = rack.power_on()
        assert first.state is State.FAILED
        assert "the report was lost" in first.reason
        second = rack.power_on()
    assert (second.state, second.disk_writes) == (State.BOOTED, 1)
    assert segment.states() == FULL


@pytest.mark.parametrize("point", list(Point))
def test_power_lost_at_any_point_is_made_up_for_at_the_next_power_on(
    tmp_path: Path, point: Point
) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(power_off_at=point))
        assert rack.power_on().state is State.OFF
        rack.disk.state = Disk.of(tmp_path, MAC).state  # only what is in the file survives
        outcome = rack.power_on()
    assert outcome.state is State.BOOTED
    assert outcome.disk_writes == (2 if point is Point.WRITING else 1)


def test_half_an_image_is_a_foreign_system_to_another_node(tmp_path: Path) -> None:
    """The note of an interrupted installation holds for its own host and generation only."""
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        rack = Rack(segment, tmp_path, faults=Faults(power_off_at=Point.WRITING))
        rack.power_on()
        node.host = "other.example.net"
        outcome = rack.power_on()
    assert outcome.state is State.FAILED
    assert "half of an interrupted installation" in outcome.reason


def test_a_refused_installed_report_is_a_failure(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        segment.answers["installed"] = [409]
        outcome = Rack(segment, tmp_path).power_on()
    assert outcome.state is State.FAILED
    assert segment.states() == ["installing", "installed", "failed"]


def test_nothing_is_written_when_installing_is_refused(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        segment.answers["installing"] = [409]
        outcome = Rack(segment, tmp_path).power_on()
    assert (outcome.state, outcome.disk_writes) == (State.FAILED, 0)
    assert "HTTP 409: as the test ordered" in outcome.reason
    assert not segment.asked("image.bin.bz2", "HEAD")


@pytest.mark.parametrize("status", [429, 500, 507])
def test_a_report_is_repeated_while_a_later_one_may_pass(tmp_path: Path, status: int) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        segment.answers = {"installing": [status], "installed": [status], "booted": [status]}
        outcome = Rack(segment, tmp_path).power_on()
    assert outcome.state is State.BOOTED
    assert segment.states() == [state for state in FULL for _ in range(2)]


def test_a_node_whose_report_is_never_taken_runs_unreported(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        segment.answers["booted"] = [503, 503, 503]
        rack = Rack(segment, tmp_path)
        outcome = rack.power_on()
    assert outcome.state is State.UNREPORTED
    assert rack.disk.state.ignition is not None  # cleaned up only after a good answer


def test_the_server_can_ask_a_booted_node_to_restart(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        segment.reboot_once = True
        outcome = Rack(segment, tmp_path).power_on()
    assert (outcome.state, outcome.boots) == (State.BOOTED, 3)


def test_a_missing_image_is_reported_with_the_last_lines(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        del segment.files[next(name for name in segment.files if name.endswith(".bz2"))]
        outcome = Rack(segment, tmp_path).power_on()
    assert outcome.state is State.FAILED
    assert segment.states() == ["installing", "failed"]
    assert "flatcar_production_image.bin.bz2: HTTP 404" in segment.reports[1]["message"]
    assert "would run: echo before" in segment.reports[1]["log"]


def test_an_extension_with_a_wrong_digest_fails_the_first_boot_by_name(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        name = next(name for name in segment.files if name.endswith(".raw"))
        segment.files[name] = b"tampered"
        rack = Rack(segment, tmp_path)
        outcome = rack.power_on()
        assert outcome.state is State.FAILED
        assert segment.states() == ["installing", "installed", "failed"]
        assert "kubernetes-1.34.1-x86-64.raw: sha256 is" in segment.reports[-1]["message"]
        segment.files[name] = EXTENSION
        assert rack.power_on().state is State.BOOTED


def test_a_link_to_an_extension_that_is_not_there_fails_the_first_boot(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        ignition = json.loads(node.node_ignition(segment.url))
        ignition["storage"]["links"][0]["target"] = "/opt/extensions/gone.raw"
        rack = Rack(segment, tmp_path)
        own_disk(rack.disk, 1)
        rack.disk.change(ignition=json.dumps(ignition))
        node.installed = 1
        outcome = rack.power_on()
    assert outcome.state is State.FAILED
    assert "/etc/extensions/kubernetes.raw: links to /opt/extensions/gone.raw" in outcome.reason


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d["storage"]["files"].pop(1), "/opt/kindling/install.env: missing"),
        (lambda d: d["storage"]["files"][2].update(mode=0o644), "status.token: holds a secret"),
        (lambda d: d["storage"]["files"][3].update(mode=0o644), "install is not executable"),
        (lambda d: d["systemd"].update(units=[]), "does not start kindling-install.service"),
        (lambda d: d.update(surprise=1), "surprise: Extra inputs"),
    ],
)
def test_an_installer_that_could_not_run_is_a_broken_simulation(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        ignition = json.loads(node.installer_ignition(segment.url))
        spoil(ignition)
        segment.ignitions[node.name] = json.dumps(ignition).encode()
        outcome = Rack(segment, tmp_path).power_on()
    assert outcome.state is State.BROKEN
    assert message in outcome.reason


def test_node_ignition_that_differs_from_its_digest_is_never_written(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        ignition = json.loads(node.installer_ignition(segment.url))
        ignition["storage"]["files"][0] = file("/opt/kindling/node.ign", "{}", 0o600)
        segment.ignitions[node.name] = json.dumps(ignition).encode()
        outcome = Rack(segment, tmp_path).power_on()
    assert (outcome.state, outcome.disk_writes) == (State.FAILED, 0)
    assert "install.env says" in outcome.reason


def test_two_ip_arguments_are_a_broken_simulation(tmp_path: Path) -> None:
    node = PlayedNode(MAC, arguments=("flatcar.first_boot=1", "ip=dhcp", "ip=eth0:dhcp"))
    with BootSegment(node) as segment:
        outcome = Rack(segment, tmp_path).power_on()
    assert outcome.state is State.BROKEN
    assert "2 times ip=" in outcome.reason


def test_a_machine_with_an_empty_disk_and_nothing_to_install_is_idle(tmp_path: Path) -> None:
    with BootSegment(PlayedNode("52:54:00:00:00:99")) as segment:
        outcome = Rack(segment, tmp_path).power_on()
    assert outcome.state is State.IDLE
    assert "this machine is unknown" in outcome.reason


def test_a_foreign_system_is_booted_when_nothing_is_to_be_installed(tmp_path: Path) -> None:
    with BootSegment() as segment:
        rack = Rack(segment, tmp_path, faults=Faults(foreign_disk="Debian 12"))
        outcome = rack.power_on()
    assert (outcome.state, outcome.reason) == (State.FOREIGN, "booted Debian 12")


def test_without_a_boot_server_an_installed_node_still_boots(tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC)) as segment:
        rack = Rack(segment, tmp_path)
        rack.power_on()
    outcome = rack.power_on()
    assert outcome.state is State.UNREPORTED
    assert rack.said("boots its disk")


def test_without_a_boot_server_an_empty_machine_says_why_it_is_idle(tmp_path: Path) -> None:
    with BootSegment() as segment:
        rack = Rack(segment, tmp_path)
    outcome = rack.power_on()
    assert outcome.state is State.IDLE
    assert "boot.ipxe: no complete answer" in outcome.reason


def test_a_server_that_never_stops_installing_is_noticed(tmp_path: Path) -> None:
    node = PlayedNode(MAC)
    with BootSegment(node) as segment:
        segment.answers["installed"] = [200] * 99  # stored nowhere
        outcome = Rack(segment, tmp_path).power_on()
    assert (outcome.state, outcome.disk_writes) == (State.FAILED, 1)
    assert "restarted 6 times without coming up" in outcome.reason
