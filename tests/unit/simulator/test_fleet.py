"""Fleets run many machines at once, from machines written down in several ways."""

from __future__ import annotations

import argparse
import json
import stat
from pathlib import Path

import pytest

from kindling.errors import SimulationError
from kindling.simulator.architecture import Architecture
from kindling.simulator.command import add_arguments, run
from kindling.simulator.disk import Disk
from kindling.simulator.faults import Faults, Point, parse_faults
from kindling.simulator.firmware import FirmwareKind
from kindling.simulator.fleet import Watcher, simulate
from kindling.simulator.inventory import MachineSpec, load_machines, parse_machine
from kindling.simulator.outcome import State
from tests.fakes.boot_segment import BootSegment, PlayedNode


def mac(number: int) -> str:
    return f"52:54:00:00:{number // 256:02x}:{number % 256:02x}"


def nodes(count: int) -> list[PlayedNode]:
    archs = ("x86-64", "arm64")
    return [PlayedNode(mac(n), f"n{n}.example.net", archs[n % 2]) for n in range(count)]


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_a_fleet_boots_at_once_and_answers_in_order(tmp_path: Path) -> None:
    played = nodes(24)
    specs = [MachineSpec(mac=(node.mac,), arch=Architecture(node.arch)) for node in played]
    lines: list[str] = []
    ended: list[str] = []
    with BootSegment(*played) as segment:
        watcher = Watcher(lines.append, lambda outcome: ended.append(outcome.host))
        outcomes = simulate(segment.url, specs, disks_dir=tmp_path, parallel=12, watcher=watcher)
    assert [outcome.host for outcome in outcomes] == [node.host for node in played]
    assert {outcome.state for outcome in outcomes} == {State.BOOTED}
    assert sorted(ended) == sorted(node.host for node in played)
    assert all(line.startswith("[simulated] ") for line in lines)
    assert len(list(tmp_path.glob("*.json"))) == 24


def test_several_boots_keep_the_disk_and_each_machine_has_its_own_faults(tmp_path: Path) -> None:
    played = nodes(3)
    specs = [MachineSpec(mac=(node.mac,), arch=Architecture(node.arch)) for node in played]
    faults = Faults(power_off_at=Point.WRITTEN)
    with BootSegment(*played) as segment:
        outcomes = simulate(segment.url, specs, disks_dir=tmp_path, boots=2, faults=faults)
    assert [(each.state, each.disk_writes) for each in outcomes] == [(State.BOOTED, 1)] * 3
    assert faults.power_off_at is Point.WRITTEN


def test_one_broken_machine_does_not_end_the_others(tmp_path: Path) -> None:
    played = nodes(2)
    played[0].arguments = ()
    specs = [MachineSpec(mac=(node.mac,), arch=Architecture(node.arch)) for node in played]
    with BootSegment(*played) as segment:
        outcomes = simulate(segment.url, specs, disks_dir=tmp_path)
    assert [outcome.state for outcome in outcomes] == [State.BROKEN, State.BOOTED]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("52:54:00:00:00:01=arm64", MachineSpec(mac=(mac(1),), arch=Architecture.ARM64)),
        ("52-54-00-00-00-0A,x86-64", MachineSpec(mac=(mac(10),))),
        ("52:54:00:00:00:01", MachineSpec(mac=(mac(1),))),
        (
            "52:54:00:00:00:01+52:54:00:00:00:02=x86-64/pcbios",
            MachineSpec(mac=(mac(1), mac(2)), firmware=FirmwareKind.BIOS),
        ),
    ],
)
def test_machines_are_read_from_texts(text: str, spec: MachineSpec) -> None:
    assert parse_machine(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("52:54:00=arm64", '"52:54:00" is not a MAC address'),
        ("52:54:00:00:00:01=amd64", "arch: "),
        ("52:54:00:00:00:01=arm64/bios", "firmware: "),
    ],
)
def test_an_unreadable_machine_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(SimulationError) as raised:
        parse_machine(text)
    assert f"--machine {text}: " in str(raised.value)
    assert message in str(raised.value)


def test_machines_are_read_from_yaml_and_json(tmp_path: Path) -> None:
    path = tmp_path / "machines.yaml"
    path.write_text(
        "machines:\n- mac: 52:54:00:00:00:01\n  arch: arm64\n"
        "- {mac: ['52:54:00:00:00:02', '52:54:00:00:00:03'], sourceAddress: 127.0.0.9}\n"
    )
    assert load_machines(path) == (
        MachineSpec(mac=(mac(1),), arch=Architecture.ARM64),
        MachineSpec(mac=(mac(2), mac(3)), source_address="127.0.0.9"),
    )
    path.write_text(json.dumps([{"mac": mac(1)}]))
    assert load_machines(path) == (MachineSpec(mac=(mac(1),)),)


@pytest.mark.parametrize("text", ["- mac: x", "- {mac: '52:54:00:00:00:01', os: x}", "{a", "a: 1"])
def test_an_unreadable_file_of_machines_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machines.yaml"
    path.write_text(text)
    with pytest.raises(SimulationError, match=r"machines\.yaml: "):
        load_machines(path)


def test_two_machines_with_one_address_are_refused(tmp_path: Path) -> None:
    twice = [MachineSpec(mac=(mac(1), mac(2))), MachineSpec(mac=(mac(2),))]
    with pytest.raises(SimulationError, match=f"{mac(2)} belongs to two"):
        simulate("http://127.0.0.1:9", twice, disks_dir=tmp_path)


@pytest.mark.parametrize(("boots", "parallel"), [(0, 1), (1, 0)])
def test_a_fleet_of_nothing_at_a_time_is_refused(tmp_path: Path, boots: int, parallel: int) -> None:
    one = [MachineSpec(mac=(mac(1),))]
    with pytest.raises(SimulationError, match="at least one boot"):
        simulate("http://x.test", one, disks_dir=tmp_path, boots=boots, parallel=parallel)


def test_faults_are_read_from_texts() -> None:
    texts = ["wrong-arch", "lose-reports=3", "power-off-at=written", "foreign-disk=Debian 12"]
    assert parse_faults(texts) == Faults(
        wrong_arch=True, lose_reports=3, power_off_at=Point.WRITTEN, foreign_disk="Debian 12"
    )
    with pytest.raises(SimulationError, match="known are: wrong-arch, drop-ignition"):
        parse_faults(["rain"])
    with pytest.raises(SimulationError, match="--fault power_off_at: "):
        parse_faults(["power-off-at=noon"])


def test_the_command_shows_every_machine_and_writes_its_outcomes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "outcomes.json"
    common = ["--disks", str(tmp_path / "disks"), "--report", str(report)]
    with BootSegment(*nodes(1)) as segment:
        url = ["--url", segment.url]
        assert run(arguments(*url, *common, "--machine", f"{mac(0)}=x86-64")) == 0
        shown = capsys.readouterr().out.splitlines()
        both = ["--machine", f"{mac(0)}=x86-64", "--machine", f"{mac(1)}=arm64"]
        assert run(arguments(*url, *common, *both, "--quiet")) == 1  # the second is unknown
        quiet = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[simulated] ") for line in shown)
    assert "n0.example.net (52:54:00:00:00:00, x86-64): booted, generation 1" in shown[-1]
    assert len(quiet) == 2
    written = json.loads(report.read_text())
    assert [(each["state"], each["simulated"]) for each in written] == [
        ("booted", True),
        ("idle", True),
    ]


def test_the_command_needs_a_machine(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="give --machine"):
        run(arguments("--disks", str(tmp_path)))


def test_an_unusable_authority_file_is_one_error(tmp_path: Path) -> None:
    words = ["--disks", str(tmp_path), "--machine", mac(1), "--ca-file", str(tmp_path / "gone")]
    with pytest.raises(SimulationError, match="certificate authority is unusable"):
        run(arguments(*words))


def test_a_disk_file_is_private_and_survives_the_process(tmp_path: Path) -> None:
    disk = Disk.of(tmp_path / "new", mac(1))
    disk.make_foreign("Debian 12")
    assert stat.S_IMODE(disk.path.stat().st_mode) == 0o600
    assert Disk.of(tmp_path / "new", mac(1)).state == disk.state
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "52-54-00-00-00-01.json"]


def test_a_file_that_is_no_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "52-54-00-00-00-01.json").write_text('{"marker": 5}')
    with pytest.raises(SimulationError, match="not a simulated disk"):
        Disk.of(tmp_path, mac(1))
