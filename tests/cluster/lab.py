"""A cluster of machines that is brought up by what Kindling publishes, and by nothing else.

The test does what a machine's firmware and the installer's system do: ask for the boot script,
fetch the installer's Ignition with the ticket in it, put the node's own on the disk, and report.
From the first start of the installed system on, only its units act.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.cluster.harness import extensions
from tests.cluster.harness.commands import judged, wait_until
from tests.cluster.harness.images import image_store
from tests.cluster.harness.machine import Installation, Machine
from tests.cluster.harness.network import inside
from tests.cluster.harness.site import Site
from tests.cluster.publishing import PORT, cluster_of, publish_artifacts
from tests.fakes.ignition import file_text
from tests.fakes.pulumi import Project
from tests.fakes.server import TOKEN, Server, running_server
from tools.images import archive

_IMAGES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "pause",
    "coredns",
    "busybox",
)
_EXTENSIONS = {
    "control-plane": ("kubernetes", "containerd", "etcd"),
    "worker": ("kubernetes", "containerd"),
    "load-balancer": ("containerd", "keepalived"),
    "etcd": ("etcd",),
}


def node(name: str, role: str, last: int, **keys: Any) -> dict[str, Any]:
    """A machine of the stack at 192.0.2.LAST."""
    interface = {
        "addresses": [f"192.0.2.{last}/24"],
        "gateway": "192.0.2.1",
        "nameservers": {"addresses": ["192.0.2.1"]},
    }
    return {
        "hostname": f"{name}.lab.example",
        "macAddress": f"52:54:00:00:02:{last:02x}",
        "role": role,
        "network": {"ethernets": {"eth0": interface}},
        **keys,
    }


@dataclass
class Lab:
    """The site, its boot server, the stack's project, and the machines by short name."""

    site: Site
    server: Server
    project: Project
    containers: Path
    folder: Path
    machines: dict[str, Machine] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _routed: set[str] = field(default_factory=set)

    def up(self) -> str:
        """``pulumi up``: publish what the stack says now."""
        with self.site.inside():
            return self.project.up()

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets included."""
        return dict(json.loads(self.project.pulumi("stack", "output", "--json", "--show-secrets")))

    def install(self, name: str) -> Machine:
        """Switch a machine on for the network boot that installs it; it is off afterwards."""
        described = self._described(name)
        machine = self.machines.get(name) or self._machine(name, described)
        machine.kill()
        installer = self._installer(machine)
        settings = dict(
            re.findall(r"^(KINDLING_\w+)='?([^'\n]*)'?$", installer["install.env"], re.MULTILINE)
        )
        generation = int(settings["KINDLING_GENERATION"])
        token = installer["status.token"]
        self._report(machine, token, {"state": "installing", "generation": generation})
        marker = {
            "host": settings["KINDLING_HOST"],
            "stack": settings["KINDLING_STACK"],
            "generation": generation,
            "digest": settings["KINDLING_DIGEST"],
        }
        machine.install(
            Installation(
                installer["node.ign"].encode(),
                {"kindling.json": json.dumps(marker), "config.ign": installer["node.ign"]},
                self.containers if described["role"] in ("control-plane", "worker") else None,
            )
        )
        done = {"state": "installed", "generation": generation, "digest": marker["digest"]}
        self._report(machine, token, done)
        return machine

    def boot(self, *names: str) -> None:
        """Install machines and start them, in this order."""
        for name in names:
            self.install(name)
            self.start(name)

    def start(self, name: str) -> None:
        """Switch an installed machine on; what it reported before no longer counts."""
        self._since[name] = time.time()
        self.machines[name].start()

    def state(self, name: str) -> dict[str, Any]:
        """What the boot server knows of a machine."""
        with self.site.inside():
            answer = requests.get(
                f"{self.server_url}/api/nodes/{name}.lab.example",
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=10,
            )
        answer.raise_for_status()
        return dict(answer.json())

    def stage(self, name: str) -> str:
        """The machine's last stage of this boot, as the boot server has it; empty before that."""
        stage = self.state(name).get("stage") or {}
        fresh = (stage.get("at") or 0) >= self._since[name]
        return str(stage.get("state") or "") if fresh else ""

    def wait_for_stage(self, wanted: str, *names: str, timeout: float = 300) -> None:
        """Wait until the boot server has the stage from every machine."""
        for name in names:
            try:
                wait_until(f"{name}: stage {wanted}", partial(self._is, name, wanted), timeout, 1)
            except Exception as error:
                raise AssertionError(
                    f"{error}\nthe boot server: {json.dumps(self.state(name))[:3000]}\n"
                    f"{self.machines[name].state()}"
                ) from error

    def kubectl(self, *arguments: str, stdin: str = "", retry: float = 0) -> str:
        """Kubectl with the kubeconfig of the stack's outputs, from beside the bridge.

        ``retry``: seconds for which a failure is tried again.
        """
        deadline = time.monotonic() + retry
        done = self.ask_kubectl(*arguments, stdin=stdin)
        while done.returncode and time.monotonic() < deadline:
            time.sleep(1)
            done = self.ask_kubectl(*arguments, stdin=stdin)
        return judged(["kubectl", *arguments], done)

    def nodes(self) -> list[dict[str, Any]]:
        """The cluster's nodes."""
        return list(json.loads(self.kubectl("get", "nodes", "--output=json"))["items"])

    def node(self, name: str) -> dict[str, Any]:
        """One of them, by its short name."""
        found = self.kubectl("get", "node", f"{name}.lab.example", "--output=json")
        return dict(json.loads(found))

    def add(self, described: dict[str, Any]) -> None:
        """A further machine in the stack."""
        self.project.cluster["nodes"].append(described)
        self.up()

    def raise_generation(self, name: str) -> None:
        """Let the stack install a machine again."""
        described = self._described(name)
        described["generation"] = described.get("generation", 1) + 1
        self.up()

    def roll(self, *arguments: str) -> str:
        """``kindling roll``: machines that restart are installed again where they are armed."""
        for machine in self.machines.values():
            machine.on_reboot = self._boot_from_the_network
        with self.site.inside():
            done = subprocess.run(
                [sys.executable, "-m", "kindling", "roll", self.project.stack, *arguments],
                cwd=self.project.directory,
                env=self.project.full_environment(),
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        stack_file = self.project.directory / f"Pulumi.{self.project.stack}.yaml"
        configuration = yaml.safe_load(stack_file.read_text())["config"]
        self.project.cluster = configuration["kindling:cluster"]
        return done.stdout

    def _boot_from_the_network(self, machine: Machine) -> None:
        """What the firmware does first: the boot server may have something to install."""
        if self.state(machine.name)["state"] == "armed":
            self.install(machine.name)
        self._since[machine.name] = time.time()

    def bootstrap_token_id(self) -> str:
        """The public half of the join credential."""
        listed = self.kubectl("--namespace=kube-system", "get", "secrets", "--output=name")
        found = re.search(r"bootstrap-token-(\w{6})", listed)
        assert found, listed
        return found[1]

    def ask_kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[bytes]:
        """The same, whatever its exit code."""
        with self.site.inside():
            return subprocess.run(
                ["kubectl", *arguments],
                input=stdin.encode(),
                capture_output=True,
                timeout=130,
                check=False,
                env={**os.environ, "KUBECONFIG": str(self.folder / "kubeconfig")},
            )

    def route_pods(self) -> None:
        """Lead packets for pods to their machines, as a pod network would."""
        for each in self.nodes():
            name = each["metadata"]["name"].partition(".")[0]
            network = each["spec"].get("podCIDR")
            if network and network not in self._routed:
                self.site.network.route(network, self.machines[name].card.address)
                self._routed.add(network)

    @property
    def server_url(self) -> str:
        """The boot server, as the machines know it."""
        return f"http://{self.site.network.gateway}:{PORT}"

    def _is(self, name: str, wanted: str) -> bool:
        if wanted == "ready":
            self._route_if_possible()
        return self.stage(name) == wanted

    def _route_if_possible(self) -> None:
        done = self.ask_kubectl("get", "--raw", "/readyz")
        if done.returncode == 0:
            self.route_pods()

    def _described(self, name: str) -> dict[str, Any]:
        nodes = self.project.cluster["nodes"]
        return next(each for each in nodes if each["hostname"].startswith(f"{name}."))

    def _machine(self, name: str, described: dict[str, Any]) -> Machine:
        address = described["network"]["ethernets"]["eth0"]["addresses"][0].partition("/")[0]
        wanted = _EXTENSIONS[described["role"]]
        extended = [getattr(extensions, each)() for each in wanted]
        machine = self.site.machine(name, address, mac=described["macAddress"], extended=extended)
        self.machines[name] = machine
        return machine

    def _installer(self, machine: Machine) -> dict[str, str]:
        """The files of the installer's Ignition by name, fetched as firmware and Ignition do."""
        mac = machine.card.mac.replace(":", "-")
        script = self._curl(machine, f"{self.server_url}/boot/{mac}?arch=x86_64&platform=efi")
        found = re.search(r"ignition\.config\.url=(\S+)", script)
        assert found, f"{machine.name} is not to be installed:\n{script}"
        ignition = self._curl(machine, found[1]).encode()
        names = ("install.env", "status.token", "node.ign")
        return {name: file_text(ignition, f"/opt/kindling/{name}") for name in names}

    def _report(self, machine: Machine, token: str, body: dict[str, Any]) -> None:
        mac = machine.card.mac.replace(":", "-")
        answer = self._curl(
            machine,
            f"{self.server_url}/status/{mac}",
            *("--header", "Content-Type: application/json", "--data", json.dumps(body)),
            *("--header", f"Authorization: Bearer {token}"),
        )
        assert "error" not in json.loads(answer), answer

    def _curl(self, machine: Machine, url: str, *arguments: str) -> str:
        """A request from a machine's own address, before it runs anything."""
        network = self.site.network
        namespace = network.attach(machine.name, machine.card)
        with network.addressed(machine.name):
            argv = [*inside(namespace), "curl", "--silent", "--show-error", "--max-time", "30"]
            done = subprocess.run(
                [*argv, *arguments, url], capture_output=True, text=True, check=False
            )
        network.detach(machine.name)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def running_lab(
    folder: Path, logs: Path, nodes: Sequence[dict[str, Any]], **keys: Any
) -> Iterator[Lab]:
    """A site with everything published and every machine still without a system."""
    containers = image_store([archive(name) for name in _IMAGES])
    with Site(logs) as site:
        cluster = cluster_of(list(nodes), site.network.gateway, **keys)
        lock = publish_artifacts(cluster, folder)
        with site.inside():
            server = running_server(
                folder / "served",
                port=PORT,
                host="0.0.0.0",
                # Its records are new because the site is, not because they were lost.
                claim_grace=0,
            )
            running = server.__enter__()
        try:
            project = Project(
                folder / "project",
                cluster,
                environment={
                    "KINDLING_STORE_TOKEN": TOKEN,
                    "KINDLING_CACHE": str(folder / "cache"),
                },
                configuration={"kindling:lockFile": str(lock)},
            )
            lab = Lab(site, running, project, containers, folder)
            lab.up()
            _write_secret(folder / "kubeconfig", lab.outputs()["kubeconfig"])
            yield lab
        finally:
            server.__exit__(None, None, None)


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    assert yaml.safe_load(text)["kind"] == "Config"
