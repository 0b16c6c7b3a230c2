"""Simulated machines of a cluster: real claims and stages at the real boot server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from kindling.models.architecture import Architecture
from kindling.models.documents import (
    BootValues,
    NodeDocument,
    SiteDocument,
    path_of_ignition,
    path_of_node,
)
from kindling.simulator.console import Console
from kindling.simulator.disk import Disk
from kindling.simulator.fleet import Watcher, simulate
from kindling.simulator.inventory import MachineSpec
from kindling.simulator.machine import Machine, Segment
from kindling.simulator.outcome import Outcome, State
from kindling.simulator.patience import Patience
from kindling.templating import render
from tests.fakes.boot_segment import VERSION, BootSegment, PlayedNode, environment, file
from tests.fakes.server import TOKEN, Server, free_port, running_server

ROLES = {
    "cp1": "control-plane", "cp2": "control-plane", "cp3": "control-plane", "w1": "worker",
    "lb1": "load-balancer",
}  # fmt: skip
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def mac_of(name: str) -> str:
    return f"52:54:00:cc:{len(name):02x}:{list(ROLES).index(name) + 1:02x}"


def cluster_env(name: str, role: str, base: str, incarnation: int) -> dict[str, Any]:
    values = {
        "KINDLING_ROLE": role,
        "KINDLING_CLUSTER": "test",
        "KINDLING_ENDPOINT": "192.0.2.10:6443",
        "KINDLING_INCARNATION": str(incarnation),
        "KINDLING_ETCD": "local" if role == "control-plane" else "none",
        "KINDLING_CLAIM_URL": f"{base}/claim/{mac_of(name).replace(':', '-')}",
    }
    return file("/etc/kindling/cluster.env", environment(values))


@dataclass
class Rack:
    """Machines of a cluster on a boot server."""

    server: Server
    disks: Path
    patience: Patience = field(default_factory=lambda: Patience(attempts=8, wait=0.05))
    lines: list[str] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)

    def publish(self, *, incarnation: int = 1) -> None:
        """Everything that a stack publishes for these machines."""
        base = self.server.url
        for name, role in ROLES.items():
            node = PlayedNode(
                mac_of(name), f"{name}.example", generation=self.generations.get(name, 1),
                token=f"token-of-{name}-{self.generations.get(name, 1)}",
                extra_files=[cluster_env(name, role, base, incarnation)],
            )  # fmt: skip
            self._publish_node(node, role)
        self._write("boot.ipxe", render("ipxe/boot.ipxe", base_url=base).encode())
        site = SiteDocument(stack="demo", cluster="test", base_url=base, incarnation=incarnation)
        self._write("sites/demo.json", site.to_json())

    def _publish_node(self, node: PlayedNode, role: str) -> None:
        base, folder = self.server.url, f"assets/flatcar/x86-64/{VERSION}"
        segment = BootSegment(node)
        segment._server.server_close()
        for path, body in segment.files.items():
            self._write(path, body)
        ignition = node.installer_ignition(base)
        document = NodeDocument(
            stack="demo", cluster="test", hostname=node.host, macs=(node.mac,),
            arch=Architecture.X86_64, role=role, generation=node.generation,
            digest=hashlib.sha256(node.node_ignition(base)).hexdigest(),
            ignition_digest=hashlib.sha256(ignition).hexdigest(),
            status_tokens={node.generation: hashlib.sha256(node.token.encode()).hexdigest()},
            boot=BootValues(
                base_url=base, kernel=f"{folder}/flatcar_production_pxe.vmlinuz",
                initrds=(f"{folder}/flatcar_production_pxe_image.cpio.gz",),
                arguments=("flatcar.first_boot=1",),
            ),
        )  # fmt: skip
        self._write(path_of_ignition(node.mac), ignition)
        self._write(path_of_node(node.mac), document.to_json())

    def _write(self, path: str, body: bytes) -> None:
        target = self.server.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(".new").write_bytes(body)
        target.with_suffix(".new").rename(target)

    def power_on(self, *names: str) -> list[Outcome]:
        """Some machines at once; all of them when none is named."""
        specs = [MachineSpec(mac=(mac_of(name),)) for name in names or ROLES]
        segment = Segment("", patience=self.patience)
        watcher = Watcher(self.lines.append)
        return simulate(
            self.server.url, specs, disks_dir=self.disks, segment=segment, watcher=watcher
        )

    def nodes(self) -> dict[str, Any]:
        answer = requests.get(f"{self.server.url}/api/nodes", headers=BEARER, timeout=30)
        return {node["host"].partition(".")[0]: node for node in answer.json()}

    def claims(self) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.server.url}/api/clusters", headers=BEARER, timeout=30)
        found: list[dict[str, Any]] = answer.json()[0]["claims"]
        return found


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with running_server(tmp_path / "store", claim_grace=0) as server:
        made = Rack(server, tmp_path / "disks")
        made.publish()
        yield made


def test_a_rack_that_is_switched_on_becomes_one_cluster_of_ready_machines(rack: Rack) -> None:
    outcomes = rack.power_on()
    assert {(each.state, each.stage) for each in outcomes} == {(State.BOOTED, "ready")}
    nodes = rack.nodes()
    assert {node["state"] for node in nodes.values()} == {"ready"}
    claims = {claim["purpose"]: claim for claim in rack.claims()}
    assert set(claims) == {"etcd", "kubernetes"}
    assert all(claim["doneAt"] for claim in claims.values())
    initialised = [line for line in rack.lines if "status initialising" in line]
    assert len(initialised) == 1 and claims["kubernetes"]["holder"] in initialised[0]


def test_a_new_database_does_not_keep_a_new_rack_from_its_cluster(tmp_path: Path) -> None:
    """Its disks are written under the server's eyes: none of them hides a running cluster."""
    with running_server(tmp_path / "store") as server:
        rack = Rack(server, tmp_path / "disks")
        rack.publish()
        assert {each.stage for each in rack.power_on()} == {"ready"}


def test_stages_say_that_they_are_simulated(rack: Rack) -> None:
    rack.power_on("lb1")
    node = rack.nodes()["lb1"]
    assert node["simulated"] is True and node["stage"]["message"].startswith("[simulated] ")
    assert all(line.startswith("[simulated] ") for line in rack.lines)


def test_a_worker_alone_waits_for_the_cluster_and_joins_when_it_is_there(rack: Rack) -> None:
    rack.patience = Patience(attempts=2, wait=0.01)
    (alone,) = rack.power_on("w1")
    assert (alone.state, alone.stage, rack.nodes()["w1"]["state"]) == (
        State.BOOTED, "joining", "joining",
    )  # fmt: skip
    rack.patience = Patience(attempts=8, wait=0.05)
    outcomes = rack.power_on("w1", "cp1")
    assert {each.stage for each in outcomes} == {"ready"}
    assert [each.disk_writes for each in outcomes] == [1, 1]


def test_machines_of_the_cluster_are_ready_again_after_a_restart_without_a_claim(
    rack: Rack,
) -> None:
    rack.power_on()
    before, rack.lines = rack.claims(), []
    assert {each.stage for each in rack.power_on()} == {"ready"}
    assert rack.claims() == before
    assert not [line for line in rack.lines if "claim of" in line or "initialising" in line]


def test_a_re_installed_first_control_plane_joins_and_does_not_initialise(rack: Rack) -> None:
    rack.power_on()
    holder = next(c["holder"] for c in rack.claims() if c["purpose"] == "kubernetes")
    name = holder.partition(".")[0]
    others = [each for each in ROLES if each != name]
    rack.generations[name] = 2
    rack.publish()
    assert rack.nodes()[name]["state"] == "armed"
    assert rack.nodes()[name]["stage"]["state"] == "ready"
    rack.lines = []
    outcomes = rack.power_on(*others, name)
    assert outcomes[-1].disk_writes == 2 and outcomes[-1].stage == "ready"
    assert not [line for line in rack.lines if "status initialising" in line]


def test_a_re_installed_control_plane_alone_waits_and_starts_no_second_cluster(
    rack: Rack,
) -> None:
    rack.power_on()
    rack.generations = {"cp1": 2}
    rack.publish()
    rack.patience = Patience(attempts=3, wait=0.01)
    (alone,) = rack.power_on("cp1")
    assert (alone.disk_writes, alone.stage) == (2, "joining")
    assert "initialised kubernetes" in rack.nodes()["cp1"]["stage"]["message"]


def test_with_the_database_deleted_a_re_installed_first_control_plane_still_joins(
    tmp_path: Path,
) -> None:
    port = free_port()
    with running_server(tmp_path / "store", port=port) as server:
        rack = Rack(server, tmp_path / "disks")
        rack.publish()
        rack.power_on()
        holder = next(c["holder"] for c in rack.claims() if c["purpose"] == "kubernetes")
    for record in (tmp_path / "store" / ".kindling").glob("records.sqlite*"):
        record.unlink()
    rack.generations[holder.partition(".")[0]] = 2
    rack.lines = []
    with running_server(tmp_path / "store", port=port) as rack.server:
        rack.publish()
        rack.power_on(holder.partition(".")[0])
        assert {each.stage for each in rack.power_on()} == {"ready"}
    assert not [line for line in rack.lines if "status initialising" in line]


def test_a_raised_incarnation_forms_a_new_cluster_from_machines_installed_again(
    rack: Rack,
) -> None:
    rack.power_on()
    rack.generations = dict.fromkeys(ROLES, 2)
    rack.publish(incarnation=2)
    outcomes = rack.power_on()
    assert {(each.disk_writes, each.stage) for each in outcomes} == {(2, "ready")}
    done = [c["incarnation"] for c in rack.claims() if c["purpose"] == "kubernetes" and c["doneAt"]]
    assert done == [1, 2]


def test_a_machine_without_a_cluster_ends_without_a_stage(tmp_path: Path) -> None:
    played = PlayedNode(mac_of("w1"))
    with BootSegment(played) as segment:
        outcome = machine(segment, tmp_path).power_on()
    assert (outcome.state, outcome.stage) == (State.BOOTED, "")


def test_a_restart_that_is_asked_for_in_the_answer_to_a_stage_is_done(tmp_path: Path) -> None:
    played = PlayedNode(
        mac_of("lb1"), extra_files=[cluster_env("lb1", "load-balancer", "http://boot", 1)]
    )
    with BootSegment(played) as segment:
        segment.reboot_once, segment.reboot_at = True, "ready"
        outcome = machine(segment, tmp_path).power_on()
    assert (outcome.state, outcome.boots, outcome.stage) == (State.BOOTED, 3, "ready")
    assert segment.states()[-4:] == ["booted", "ready", "booted", "ready"]


def test_a_refused_stage_is_said_and_an_incomplete_cluster_env_is_named(tmp_path: Path) -> None:
    env = cluster_env("lb1", "load-balancer", "http://boot", 1)
    with BootSegment(PlayedNode(mac_of("lb1"), extra_files=[env])) as segment:
        segment.answers["ready"] = [409]
        refused = machine(segment, tmp_path / "one").power_on()
    assert refused.state is State.UNREPORTED and "`ready` was not accepted" in refused.reason
    env = file("/etc/kindling/cluster.env", "KINDLING_ROLE=worker\n")
    with BootSegment(PlayedNode(mac_of("lb1"), extra_files=[env])) as segment:
        broken = machine(segment, tmp_path / "two").power_on()
    assert broken.state is State.BROKEN and "KINDLING_CLAIM_URL missing" in broken.reason


def machine(segment: BootSegment, disks: Path) -> Machine:
    (node,) = segment.nodes.values()
    place = Segment(segment.url, patience=Patience(attempts=3, wait=0))
    return Machine([node.mac], "x86-64", Disk.of(disks, node.mac), Console(node.mac), place)


def test_a_simulated_disk_remembers_the_cluster_that_it_is_in(rack: Rack) -> None:
    rack.power_on("cp1")
    text = (rack.disks / f"{mac_of('cp1').replace(':', '-')}.json").read_text()
    assert json.loads(text)["member"] == 1
