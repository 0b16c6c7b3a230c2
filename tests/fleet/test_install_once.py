"""A rendered fleet, the real boot server and simulated machines: installed once, never by accident.

The machines follow what is served over HTTP; they share nothing with the server but the network.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.lock import update_lock
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.selection import select_assets
from kindling.models.loading import load_cluster
from kindling.planning.cluster import plan_cluster
from kindling.rendering.tree import render_tree
from kindling.simulator.faults import Faults, Point
from kindling.simulator.fleet import simulate
from kindling.simulator.inventory import MachineSpec, parse_machine
from kindling.simulator.outcome import Outcome, State
from tests.fakes.credentials import make_credentials
from tests.fakes.server import Server, free_port, running_server

ROOT = Path(__file__).resolve().parents[2]
SECRET = "the secret of the fleet tests"


@dataclass
class Fleet:
    """Six machines, their disks and the directory that the boot server serves."""

    directory: Path
    port: int
    cluster: dict[str, Any]

    @property
    def served(self) -> Path:
        """The published tree."""
        return self.directory / "served"

    @property
    def url(self) -> str:
        """Where the boot server is."""
        return f"http://127.0.0.1:{self.port}"

    def publish(self) -> None:
        """Render and publish the cluster as it is now."""
        cluster = load_cluster(self.cluster)
        lock = self.directory / "assets.lock.yaml"
        mirror = self.directory / "mirror"
        assets = select_assets(cluster, load_catalog())
        if not lock.exists():
            write_sample_mirror(mirror, assets, image_bytes=300_000)
            update_lock(assets, lock, trust_download=True, mirrors=(str(mirror),))
            shutil.copytree(mirror, self.served / "assets")
        plan = plan_cluster(cluster, stack="fleet", lock_file=lock)
        credentials = make_credentials().model_copy(update={"stack": SECRET})
        render_tree(plan.nodes, plan.boot, credentials, self.served)

    def server(self) -> AbstractContextManager[Server]:
        """The boot server; one machine alone may initialise the cluster without waiting."""
        return running_server(self.served, port=self.port, claim_grace=0)

    def machines(self, count: int = 6) -> list[MachineSpec]:
        """The hardware, as it stands in the rack."""
        nodes = self.cluster["nodes"][:count]
        return [parse_machine(f"{n['macAddress']}={n.get('arch', 'x86-64')}") for n in nodes]

    def power_on(self, count: int = 6, **options: Any) -> list[Outcome]:
        """Power machines on, network boot first."""
        machines = options.pop("machines", self.machines(count))
        return simulate(self.url, machines, disks_dir=self.directory / "disks", **options)

    def node(self, number: int = 0) -> dict[str, Any]:
        """What the boot server says of a node."""
        listed: list[dict[str, Any]] = requests.get(f"{self.url}/api/nodes", timeout=30).json()
        name = self.cluster["nodes"][number]["hostname"]
        return next(each for each in listed if each["host"] == name)

    def details(self, number: int = 0) -> dict[str, Any]:
        """The same with timeline and audit trail."""
        name = self.cluster["nodes"][number]["hostname"]
        found: dict[str, Any] = requests.get(f"{self.url}/api/nodes/{name}", timeout=30).json()
        return found

    def forget_everything(self) -> None:
        """Delete the server's database, as a lost disk would."""
        for file in (self.served / ".kindling").glob("records.sqlite*"):
            file.unlink()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """The published fleet; no server runs yet."""
    text = (ROOT / "Pulumi.demo.yaml").read_text()
    cluster = yaml.safe_load(text)["config"]["kindling:cluster"]
    port = free_port()
    cluster["bootServer"] = {"url": f"http://127.0.0.1:{port}", "publicPage": True}
    cluster["assets"]["mirrors"] = [str(tmp_path / "mirror")]
    made = Fleet(tmp_path, port, cluster)
    made.publish()
    return made


@pytest.fixture
def server(fleet: Fleet) -> Iterator[Server]:
    """The boot server over the fleet's tree."""
    with fleet.server() as running:
        yield running


def writes(outcomes: list[Outcome]) -> list[int]:
    """How often each machine's disk was written."""
    return [outcome.disk_writes for outcome in outcomes]


def test_a_fleet_of_both_architectures_installs_once_and_then_boots_its_disks(
    fleet: Fleet, server: Server
) -> None:
    """What each machine reports is what was published for it."""
    first = fleet.power_on()
    assert {outcome.state for outcome in first} == {State.BOOTED}
    assert writes(first) == [1] * 6
    second = fleet.power_on()
    assert writes(second) == [1] * 6
    for number in range(6):
        node = fleet.node(number)
        assert (node["state"], node["drift"]) == ("ready", False)
        assert node["runningDigest"] == node["digest"]
        assert node["simulated"] is True


def test_with_the_database_deleted_no_installed_machine_is_written(fleet: Fleet) -> None:
    """The disk has the last word; the records are built again from what machines report."""
    with fleet.server():
        fleet.power_on()
    fleet.forget_everything()
    with fleet.server():
        again = fleet.power_on()
        assert {outcome.state for outcome in again} == {State.BOOTED}
        assert writes(again) == [1] * 6
        assert {fleet.node(number)["state"] for number in range(6)} == {"ready"}


def test_a_lost_installed_report_does_not_install_again(fleet: Fleet, server: Server) -> None:
    """Power fails after the disk was written and before the server knew."""
    (dark,) = fleet.power_on(1, faults=Faults(power_off_at=Point.WRITTEN))
    assert dark.state is State.OFF
    assert fleet.node()["installedGeneration"] is None
    (back,) = fleet.power_on(1)
    assert (back.state, back.disk_writes) == (State.BOOTED, 1)
    assert fleet.node()["installedGeneration"] == 1


def test_a_lost_answer_to_installed_is_asked_for_again(fleet: Fleet, server: Server) -> None:
    """The machine repeats the report until it hears that it was stored."""
    (outcome,) = fleet.power_on(1, faults=Faults(lose_answers=2))
    assert (outcome.state, outcome.disk_writes) == (State.BOOTED, 1)


def test_power_lost_in_the_middle_of_writing_is_mended_by_the_next_boot(
    fleet: Fleet, server: Server
) -> None:
    """Half an installation never claims success, and needs no hand."""
    (dark,) = fleet.power_on(1, faults=Faults(power_off_at=Point.WRITING))
    assert dark.state is State.OFF
    (back,) = fleet.power_on(1)
    assert (back.state, back.disk_writes) == (State.BOOTED, 2)


def test_a_dropped_ignition_transfer_can_be_fetched_again_by_the_same_machine(
    fleet: Fleet, server: Server
) -> None:
    """The ticket is good until the machine says that it installs."""
    (outcome,) = fleet.power_on(1, faults=Faults(drop_ignition=2))
    assert (outcome.state, outcome.disk_writes) == (State.BOOTED, 1)


def test_a_second_address_does_not_get_the_ignition_and_the_node_is_held(
    fleet: Fleet, server: Server
) -> None:
    """The reason names both addresses and what to rotate; the machine is not written."""
    fleet.power_on(1, faults=Faults(power_off_at=Point.SCRIPT))
    (thief,) = fleet.power_on(1, faults=Faults(ignition_address="127.0.0.9"))
    assert thief.disk_writes == 0
    node = fleet.node()
    assert node["state"] == "held"
    assert "127.0.0.9" in node["reason"]
    assert "127.0.0.1" in node["reason"]
    (again,) = fleet.power_on(1)
    assert again.disk_writes == 0


def test_a_static_node_is_installed_from_its_lease_and_its_own_address_and_from_no_third(
    fleet: Fleet, server: Server
) -> None:
    """iPXE speaks from a DHCP lease, the installer from the address that the script gives it."""
    node = fleet.cluster["nodes"][0]
    node["network"] = {"ethernets": {"eth0": {"addresses": ["127.0.0.77/8"]}}}
    fleet.publish()
    leased = [fleet.machines(1)[0].model_copy(update={"source_address": "127.0.0.10"})]
    (first,) = fleet.power_on(machines=leased)
    assert (first.state, first.disk_writes) == (State.BOOTED, 1)
    assert fleet.node()["state"] == "ready"
    steps = {event["kind"]: event["address"] for event in fleet.details()["boots"][-1]}
    assert steps["script-install"] == steps["kernel"] == "127.0.0.10"
    assert steps["ignition"] == steps["image"] == "127.0.0.77"
    node["generation"] = 2
    fleet.publish()
    (thief,) = fleet.power_on(machines=leased, faults=Faults(ignition_address="127.0.0.9"))
    assert thief.disk_writes == 1
    assert fleet.node()["state"] == "held"
    assert "127.0.0.9 with the ticket that 127.0.0.10 got" in fleet.node()["reason"]


def test_a_raised_generation_installs_once_more(fleet: Fleet, server: Server) -> None:
    """And only the machine whose generation was raised."""
    fleet.power_on()
    fleet.cluster["nodes"][0]["generation"] = 2
    fleet.publish()
    assert fleet.node()["state"] == "armed"
    assert writes(fleet.power_on()) == [2, 1, 1, 1, 1, 1]
    assert writes(fleet.power_on()) == [2, 1, 1, 1, 1, 1]
    assert fleet.node()["installedGeneration"] == 2


def test_a_changed_configuration_is_outdated_and_not_drift(fleet: Fleet, server: Server) -> None:
    """Publishing something newer installs nothing by itself."""
    fleet.power_on(1)
    fleet.cluster["nodes"][0]["kernelParameters"] = {"vm.swappiness": "10"}
    fleet.publish()
    node = fleet.node()
    assert (node["state"], node["drift"]) == ("outdated", False)
    (again,) = fleet.power_on(1)
    assert again.disk_writes == 1


def test_a_foreign_system_is_refused_until_it_may_be_overwritten(
    fleet: Fleet, server: Server
) -> None:
    """The machine says what it found; `storage.overwrite: true` is the owner's permission."""
    (refused,) = fleet.power_on(1, faults=Faults(foreign_disk="somebody's database"))
    assert refused.disk_writes == 0
    assert fleet.node()["state"] == "failed"
    fleet.cluster["nodes"][0]["storage"] = {"installDisk": "/dev/sda", "overwrite": True}
    fleet.publish()
    (installed,) = fleet.power_on(1)
    assert (installed.state, installed.disk_writes) == (State.BOOTED, 1)


def test_a_machine_of_the_wrong_architecture_is_not_installed(fleet: Fleet, server: Server) -> None:
    """The page says why."""
    (outcome,) = fleet.power_on(1, faults=Faults(wrong_arch=True))
    assert outcome.disk_writes == 0
    page = requests.get(f"{fleet.url}/", timeout=30).text
    assert "arm64" in page
    assert "not installed" in page.lower()


def test_an_unknown_machine_is_listed_and_boots_its_disk(fleet: Fleet, server: Server) -> None:
    """Nothing is written on a machine that the stack does not know."""
    stranger = parse_machine("02:00:00:00:00:99=x86-64")
    (outcome,) = fleet.power_on(machines=[stranger])
    assert outcome.disk_writes == 0
    unknown = requests.get(f"{fleet.url}/api/unknown", timeout=30).json()
    assert [each["mac"] for each in unknown] == ["02:00:00:00:00:99"]


def test_an_extension_altered_on_the_server_is_refused_by_the_machine(
    fleet: Fleet, server: Server
) -> None:
    """Ignition stops the first boot; the server never hears that the node runs."""
    extension = next((fleet.served / "assets" / "extensions").glob("kubernetes-*-x86-64.raw"))
    extension.write_bytes(b"something else")
    (outcome,) = fleet.power_on(1)
    assert outcome.state is State.FAILED
    assert "kubernetes" in outcome.reason
    assert fleet.node()["state"] == "installed"


def test_an_image_altered_on_the_server_is_refused_and_nothing_claims_to_be_installed(
    fleet: Fleet, server: Server
) -> None:
    """The same size, one byte changed: the machine says which file it does not trust."""
    image = next((fleet.served / "assets/flatcar").glob("x86-64/*/*_image.bin.bz2"))
    body = bytearray(image.read_bytes())
    body[-1] ^= 1
    image.write_bytes(body)
    (outcome,) = fleet.power_on(1)
    assert outcome.state is State.FAILED
    node = fleet.node()
    assert (node["state"], node["installedGeneration"]) == ("failed", None)
    assert image.name in fleet.details()["failure"]
