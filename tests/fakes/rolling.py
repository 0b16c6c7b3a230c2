"""A cluster in memory for tests of a roll: stack, boot server, Kubernetes, clock; all in one.

Time passes only when somebody sleeps, and with it machines go on: restart, install, boot, join.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kindling.bootserver.client import NodeView, StageView
from kindling.errors import BootServerError, RollError
from kindling.models.cluster import Cluster
from kindling.models.loading import load_cluster
from kindling.rolling.interfaces import KubeNode
from kindling.rolling.outside import Manner, Outside
from kindling.rolling.plan import Plan, Wishes, plan_roll
from kindling.rolling.roll import Roll
from tests.fakes.clusters import cluster as cluster_of


@dataclass
class FakeMachine:
    """What really is there: the system that runs, and where an installation is."""

    host: str
    role: str
    pool: str | None = None
    system: str = "ready"  # joining, ready, failing (to join), booted; empty: none runs
    phase: str = ""  # armed, pending, installing, failed; empty: nothing to install
    published: int = 1
    installed: int | None = 1
    stale: bool = True  # a newer configuration is published
    silent: bool = False
    reason: str = ""
    held: str | None = None
    cordoned: bool = False
    marked: bool = False
    unwell: bool = False  # Kubernetes calls it not ready, whatever it says itself
    version: str = "v1.33.6"
    incarnation: int = 0  # of the cluster that it is in, if it says so
    rebooting: bool = False
    hears: bool = True  # of a request to restart
    ends: str = "ready"  # what the next installation comes to: failed, joining, failing, booted

    @property
    def in_kubernetes(self) -> bool:
        return self.role in ("control-plane", "worker")

    @property
    def ready(self) -> bool:
        return self.system == "ready" and not self.unwell

    @property
    def state(self) -> str:
        """As the boot server computes it."""
        if self.phase:
            return self.phase
        if self.system == "failing":
            return "failed"
        if self.stale and self.system:
            return "outdated"
        return self.system or "installed"

    def publish(self, generation: int, armed: bool) -> None:
        if generation != self.published:
            self.published, self.reason = generation, ""
            self.phase = "armed" if armed else "pending"

    def advance(self) -> None:
        """One step of time."""
        if self.phase == "armed" and self.rebooting and self.hears:
            self.phase, self.system, self.rebooting, self.unwell = "installing", "", False, False
        elif self.phase == "installing":
            self._end_installation()
        elif self.system == "" and self.installed and not self.phase:
            self.system = "booted"
        elif self.system == "booted" and self.ends != "booted":
            self.system = "joining"
        elif self.system == "joining" and self.ends != "joining":
            self.system = self.ends
            self.reason = "the endpoint does not answer" if self.ends == "failing" else ""

    def _end_installation(self) -> None:
        if self.ends == "failed":
            self.phase, self.reason = "failed", "the disk is too small"
        else:
            self.phase, self.installed, self.stale = "", self.published, False


@dataclass
class World:
    """Everything; ``log`` is what was done, in order."""

    machines: dict[str, FakeMachine]
    data: dict[str, Any]
    log: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    now: float = 0.0
    api: str = ""
    dns: str = ""
    server_answers: bool = True
    drain_fails: str = ""  # host
    up_fails: bool = False
    shows: bool = True  # the boot server what was published
    auto_arm: bool = True
    api_server_down: str = ""  # host
    at: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)
    name: str = "test"
    most_out: int = 0

    # Stack

    def cluster(self) -> Cluster:
        return load_cluster(self.data)

    def raise_generations(self, wanted: Mapping[str, int]) -> None:
        for host, number in wanted.items():
            self._did("raise", f"{host}={number}")
            next(n for n in self.data["nodes"] if n["hostname"] == host)["generation"] = number

    def publish(self) -> None:
        self._did("up", "")
        if self.up_fails:
            raise RollError("pulumi up ended with exit code 1")
        for node in self.data["nodes"] if self.shows else ():
            self.machines[node["hostname"]].publish(node.get("generation", 1), self.auto_arm)

    # Boot server

    def views(self) -> list[NodeView]:
        if not self.server_answers:
            raise BootServerError("does not answer")
        return [self._view(machine) for machine in self.machines.values()]

    def arm(self, host: str) -> None:
        self._did("arm", host)
        self.machines[host].phase = "armed"

    def disarm(self, host: str) -> None:
        self._did("disarm", host)
        self.machines[host].phase = "pending"

    def reboot(self, host: str) -> None:
        self._did("reboot", host)
        if self.machines[host].installed is None:
            raise BootServerError("no installed system is known")
        self.machines[host].rebooting = True

    def _view(self, machine: FakeMachine) -> NodeView:
        stage = {"failing": "failed", "booted": "", "": ""}.get(machine.system, machine.system)
        return NodeView(
            host=machine.host,
            stack=self.name,
            cluster="test",
            macs=("52:54:00:00:00:01",),
            role=machine.role,
            pool=machine.pool,
            arch="x86-64",
            state="held" if machine.held else machine.state,
            reason=machine.reason,
            generation=machine.published,
            digest="new" if machine.stale else "now",
            installed_generation=machine.installed,
            running_digest="now" if machine.installed else None,
            stage=_stage(stage, machine) if stage else None,
            silent_since=1.0 if machine.silent else None,
            reboot_requested=1.0 if machine.rebooting else None,
            held=machine.held,
        )

    # Kubernetes

    def api_problem(self) -> str:
        return self.api

    def dns_problem(self, domain: str) -> str:
        assert domain == "cluster.local"
        return self.dns

    def kube_nodes(self) -> dict[str, KubeNode]:
        return {
            host: KubeNode(each.ready, each.cordoned, each.marked, each.version)
            for host, each in self.machines.items()
            if each.in_kubernetes and each.installed
        }

    def api_servers(self) -> dict[str, bool]:
        planes = (each for each in self.machines.values() if each.role == "control-plane")
        return {each.host: each.ready and each.host != self.api_server_down for each in planes}

    def cordon(self, host: str) -> None:
        self._did("cordon", host)
        self.machines[host].cordoned = self.machines[host].marked = True

    def drain(self, host: str, timeout: int, line: Callable[[str], None]) -> None:
        self._did("drain", host)
        line(f"evicting pods of {host}")
        if self.drain_fails == host:
            raise RollError("its pods did not all leave: a budget allows none to go")

    def uncordon(self, host: str) -> None:
        self._did("uncordon", host)
        self.machines[host].cordoned = self.machines[host].marked = False

    # Teller

    def say(self, text: str) -> None:
        self.said.append(text)

    def output(self, line: str) -> None:
        self.said.append(line)

    def machine(self, host: str, text: str) -> None:
        self.said.append(f"{host}: {text}")

    # Clock

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds
        self._did("sleep", "")
        for machine in self.machines.values():
            machine.advance()
            if machine.ready and not machine.stale:
                machine.version = f"v{self.data['assets'].get('kubernetes')}"
        out = [m for m in self.machines.values() if not m.ready and m.in_kubernetes]
        self.most_out = max(self.most_out, len(out))

    # The test

    def plan(self, *, at_once: int = 1, **wishes: Any) -> Plan:
        """What would be rolled now."""
        outside = self.outside()
        marked = [host for host, node in outside.nodes().items() if node.marked]
        return plan_roll(outside.fleet(), Wishes(**wishes), at_once=at_once, marked=marked)

    def roll(self, *, at_once: int = 1, ready_timeout: float = 300, **wishes: Any) -> None:
        """Plan and roll."""
        plan = self.plan(at_once=at_once, **wishes)
        manner = Manner(at_once, 600, ready_timeout, settle=30, checks=10, seen=10, poll=5)
        Roll(self.outside(), manner).run(plan)

    def outside(self) -> Outside:
        clustered = "kubernetes" in self.data["assets"]
        return Outside(self, _Server(self), _Kubernetes(self) if clustered else None, self, self)

    def order(self, what: str) -> list[str]:
        """To whom something was done, in order."""
        return [host for did, host in self.log if did == what]

    def _did(self, what: str, host: str) -> None:
        self.log.append((what, host))
        if action := self.at.pop((what, host), None):
            action()


def _stage(state: str, machine: FakeMachine) -> StageView:
    told = {"generation": machine.installed or 0, "incarnation": machine.incarnation}
    return StageView(state=state, at=0, message=machine.reason, **told)


class _Part:
    """One face of the world: two of the interfaces have a method `nodes`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)


class _Server(_Part):
    def nodes(self) -> list[NodeView]:
        return self._world.views()


class _Kubernetes(_Part):
    def nodes(self) -> dict[str, KubeNode]:
        return self._world.kube_nodes()


def world(**roles: int) -> World:
    """A world of so many ``planes``, ``workers`` (``pool``), ``balancers`` and ``etcds``."""
    wanted = [
        *[(f"etcd{n}", "etcd", None) for n in range(1, roles.get("etcds", 0) + 1)],
        *[(f"cp{n}", "control-plane", None) for n in range(1, roles.get("planes", 3) + 1)],
        *[(f"w{n}", "worker", "edge") for n in range(1, roles.get("workers", 0) + 1)],
        *[(f"lb{n}", "load-balancer", None) for n in range(1, roles.get("balancers", 0) + 1)],
    ]
    nodes: list[dict[str, Any]] = []
    for number, (name, role, pool) in enumerate(wanted, 1):
        keys = {"pool": pool} if pool else {}
        nodes.append(
            {
                "hostname": f"{name}.example.com",
                "macAddress": f"52:54:00:00:00:{number:02x}",
                "role": role,
                "address": f"192.0.2.{number}",
                "storage": {"installDisk": "/dev/sda"},
                **keys,
            }
        )
    data = cluster_of(*nodes)
    data["kubernetes"] = {"endpoint": {"host": "api.example.com"}}
    if roles.get("balancers"):
        data["kubernetes"] = {"endpoint": {"virtualAddress": "192.0.2.250/24", "interface": "eth0"}}
        data["assets"] |= {"keepalived": "2.3.4", "haproxy": "3.2.4"}
    machines = {
        node["hostname"]: FakeMachine(node["hostname"], node["role"], node.get("pool"))
        for node in nodes
    }
    return World(machines, data)
