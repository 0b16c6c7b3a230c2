"""A whole roll: the real command, the real Pulumi, the real boot server, simulated machines.

Only Kubernetes is not there: a script stands for kubectl and writes down what it is told.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.lock import update_lock
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.selection import select_assets
from kindling.bootserver import client
from kindling.models.loading import load_cluster
from kindling.simulator.inventory import parse_machine
from tests.fakes.living_machines import LivingMachine, living
from tests.fakes.pulumi import ROOT, Project
from tests.fakes.server import Server, running_server
from tests.stack.conftest import demo_cluster

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

PROGRAM = ROOT / "tests" / "fakes" / "kubectl_program.py"
NEWER = {"containerd": "2.2.5"}
CPS = [f"cp{number}.demo.example" for number in (1, 2, 3)]
LBS = [f"lb{number}.demo.example" for number in (1, 2)]
WORKERS = [f"worker{number}.demo.example" for number in (1, 2)]


@dataclass
class Site:
    """One environment with its machines, and an operator's terminal."""

    project: Project
    server: Server
    machines: dict[str, LivingMachine]  # by host
    kubectl: Path  # its state

    def roll(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a roll without a terminal."""
        return subprocess.Popen(
            [sys.executable, "-m", "kindling", "roll", "test", "--yes", *arguments],
            cwd=self.project.directory,
            env=self.project.full_environment() | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def rolled(self, *arguments: str, code: int = 0) -> str:
        """Roll to the end; what was said."""
        said, _ = (process := self.roll(*arguments)).communicate(timeout=600)
        assert process.returncode == code, said
        return said

    @property
    def state(self) -> dict[str, Any]:
        """What kubectl knows."""
        return dict(json.loads(self.kubectl.read_text()))

    def calls(self, what: str) -> list[str]:
        """To whom it was done, in order."""
        return [host for did, host in self.state["calls"] if did == what]

    def change_state(self, **values: Any) -> None:
        """Change what kubectl knows, between two rolls."""
        self.kubectl.write_text(json.dumps(self.state | values))

    def writes(self) -> dict[str, int]:
        """How often each machine's disk was written."""
        return {host: machine.disk.state.writes for host, machine in self.machines.items()}

    def views(self) -> dict[str, client.NodeView]:
        """What the boot server says."""
        assert self.server.token is not None
        return {view.host: view for view in client.nodes(self.server.url, self.server.token)}

    def all_ready(self) -> bool:
        """Whether every machine says so."""
        return all(view.ready for view in self.views().values())

    @property
    def stack_file(self) -> Path:
        """What a roll changes."""
        return self.project.directory / "Pulumi.test.yaml"

    def generations(self) -> dict[str, int]:
        """Of the stack file."""
        nodes = yaml.safe_load(self.stack_file.read_text())["config"]["kindling:cluster"]["nodes"]
        return {node["hostname"]: node.get("generation", 1) for node in nodes}

    def upgrade(self) -> None:
        """Name a newer version, as its owner would, and publish it."""
        text = self.stack_file.read_text()
        assert "containerd: 2.1.4" in text
        self.stack_file.write_text(text.replace("containerd: 2.1.4", "containerd: 2.2.5"))
        self.project.pulumi("up", "--yes", "--skip-preview")


def until(what: Callable[[], bool], seconds: float = 180) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def cluster_for(url: str, folder: Path, hosts: list[str]) -> dict[str, Any]:
    """The demonstration's machines and one more worker, of these those that are wanted."""
    cluster = demo_cluster()
    cluster["bootServer"] = {"url": url, "publicPage": True}
    cluster["assets"]["mirrors"] = [str(folder / "mirror")]
    known = {node["hostname"]: node for node in cluster["nodes"]}
    second = {"hostname": WORKERS[1], "macAddress": "52:54:00:de:00:07", "role": "worker"}
    known[WORKERS[1]] = second | {"pool": "edge"}
    cluster["nodes"] = [known[host] for host in hosts]
    if not any(host in LBS for host in hosts):
        cluster["kubernetes"] = {"endpoint": {"host": "api.demo.example"}}
    return cluster


def make_artifacts(cluster: dict[str, Any], folder: Path) -> None:
    """Samples of both versions, pinned in a lock file in the project's folder."""
    mirror, lock = folder / "mirror", folder / "project" / "assets.lock.yaml"
    for newer in ({}, NEWER):
        data = cluster | {"assets": cluster["assets"] | newer}
        assets = select_assets(load_cluster(data), load_catalog())
        write_sample_mirror(mirror, assets, image_bytes=300_000)
        update_lock(assets, lock, trust_download=True, mirrors=(str(mirror),))


def make_kubectl(folder: Path, hosts: list[str]) -> Path:
    """The program in a folder for PATH; the file with its state."""
    state = folder / "kubectl.json"
    roles = {
        host: "control-plane" if host in CPS else "worker" for host in hosts if host not in LBS
    }
    state.write_text(
        json.dumps({"nodes": {host: {"role": role} for host, role in roles.items()}, "calls": []})
    )
    program = folder / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {PROGRAM} {state} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return state


@pytest.fixture
def site(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """The machines that the test names, installed and ready; kubectl by our script."""
    hosts: list[str] = request.param
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    with running_server(tmp_path / "served", claim_grace=0) as server:
        cluster = cluster_for(server.url, tmp_path, hosts)
        environment = {"KINDLING_STORE_TOKEN": server.token or ""}
        project = Project(tmp_path / "project", cluster, environment=environment)
        make_artifacts(cluster, tmp_path)
        kubectl = make_kubectl(tmp_path, hosts)
        path = project.full_environment()["PATH"]
        project.environment["PATH"] = f"{kubectl.parent / 'bin'}:{path}"
        project.up("--skip-preview")
        nodes = {node["macAddress"]: node for node in cluster["nodes"]}
        specs = [parse_machine(f"{mac}={n.get('arch', 'x86-64')}") for mac, n in nodes.items()]
        with living(server.url, specs, tmp_path / "disks") as machines:
            named = {nodes[mac]["hostname"]: machine for mac, machine in machines.items()}
            made = Site(project, server, named, kubectl)
            until(made.all_ready)
            yield made


@pytest.mark.parametrize("site", [CPS + LBS + WORKERS], indirect=True)
def test_a_whole_cluster_is_rolled_in_order_and_an_interrupted_roll_goes_on(site: Site) -> None:
    """Each machine is installed once more, one at a time; the second command does the rest."""
    assert "Nothing to roll" in site.rolled()
    record = json.loads((site.server.directory / "rolls" / "test.json").read_text())
    assert "2.1.4" in record["assets"]
    site.upgrade()
    assert {view.state for view in site.views().values()} == {"outdated"}

    process = site.roll()
    until(lambda: site.calls("drain") == CPS[:2], 400)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "To go on: python -m kindling roll test" in said
    assert site.generations() == dict.fromkeys(CPS[:2], 2) | dict.fromkeys(
        [CPS[2], *LBS, *WORKERS], 1
    )

    said += site.rolled()
    assert site.writes() == dict.fromkeys([*CPS, *LBS, *WORKERS], 2)
    assert site.calls("uncordon") == [*CPS, *WORKERS]
    raised = [line for line in said.splitlines() if "generation of" in line]
    order = [line.split("generation of ")[1].split(":")[0] for line in raised]
    assert order == [*CPS, *WORKERS, *LBS]
    assert {view.state for view in site.views().values()} == {"ready"}
    assert not any(n.get("cordoned") or n.get("marked") for n in site.state["nodes"].values())
    record = json.loads((site.server.directory / "rolls" / "test.json").read_text())
    assert "2.2.5" in record["assets"]
    assert "Nothing to roll" in site.rolled()
    for secret in secrets_of(site):
        assert secret not in said


def secrets_of(site: Site) -> list[str]:
    """What must never be printed."""
    kubeconfig = site.project.pulumi("stack", "output", "kubeconfig", "--show-secrets")
    key = next(line for line in kubeconfig.splitlines() if "client-key-data" in line)
    assert site.server.token is not None
    return [key.split()[-1], site.server.token]


@pytest.mark.parametrize("site", [[CPS[0], *WORKERS]], indirect=True)
def test_a_roll_stops_at_a_machine_that_fails_and_offers_a_patch_that_leads_back(
    site: Site,
) -> None:
    """`git apply`, `up` and another roll: the earlier versions run, by a newer generation."""
    git(site, "init", "--quiet")
    git(site, "add", "Pulumi.test.yaml", "assets.lock.yaml")
    git(site, "commit", "--quiet", "--message", "as it was")
    site.rolled()
    site.upgrade()
    image = next((site.server.directory / "assets/flatcar").glob("arm64/*/*_image.bin.bz2"))
    good = image.read_bytes()
    image.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))

    said = site.rolled("--pool", "edge", code=1)
    assert "Stopped: installation (worker1.demo.example)" in said
    assert "To go on: python -m kindling roll test --pool edge" in said
    assert site.calls("drain") == [WORKERS[0]]
    assert site.writes()[WORKERS[1]] == 1
    assert "rollback-test.patch" in said

    patch = site.project.directory / "rollback-test.patch"
    git(site, "apply", "--check", str(patch))
    git(site, "apply", str(patch))
    assert site.generations() == {CPS[0]: 1, WORKERS[0]: 3, WORKERS[1]: 1}
    assert "containerd: 2.1.4" in site.stack_file.read_text()

    image.write_bytes(good)
    site.project.pulumi("up", "--yes", "--skip-preview")
    for reason in site.machines[WORKERS[0]].reasons:
        assert image.name in reason
    process = site.roll("--pool", "edge")
    until(lambda: site.calls("drain") == [WORKERS[0]] * 2)
    site.machines[WORKERS[0]].button.set()  # it stands at its failed installation
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert {host: view.installed_generation for host, view in site.views().items()} == {
        CPS[0]: 1,
        WORKERS[0]: 3,
        WORKERS[1]: 1,
    }
    assert {view.state for view in site.views().values()} == {"ready"}


def git(site: Site, *arguments: str) -> None:
    """Git as the operator runs it."""
    identity = ["-c", "user.name=operator", "-c", "user.email=operator@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=site.project.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("site", [[CPS[0], *WORKERS]], indirect=True)
def test_what_is_not_published_or_not_possible_is_refused_before_anything_is_touched(
    site: Site,
) -> None:
    """A dry run only shows; unpublished changes, the only etcd member, a stuck pod stop it."""
    before = site.stack_file.read_text()
    site.stack_file.write_text(before.replace("containerd: 2.1.4", "containerd: 2.2.5"))
    assert "not published" in site.rolled("--node", WORKERS[0], code=1)
    site.stack_file.write_text(before)
    shown = site.rolled("--dry-run", "--all", "--pool", "edge")
    assert WORKERS[0] in shown
    assert "1 -> 2" in shown
    assert "etcd has 1 member" in site.rolled("--all", code=1)
    assert site.stack_file.read_text() == before
    site.change_state(drainFails=WORKERS[0])
    said = site.rolled("--node", WORKERS[0], code=1)
    assert "a budget allows nobody to go" in said
    assert site.views()[WORKERS[0]].state == "pending"
    assert site.writes() == {CPS[0]: 1, WORKERS[0]: 1, WORKERS[1]: 1}
    site.change_state(drainFails="")
    site.rolled()
    assert site.writes() == {CPS[0]: 1, WORKERS[0]: 2, WORKERS[1]: 1}
