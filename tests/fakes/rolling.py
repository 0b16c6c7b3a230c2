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

MANNER = Manner(ready_timeout=300, settle=30, checks=10, seen=10, poll=5)
_WAY = ("installing", "installed", "booted", "joining", "ready")


@dataclass
class FakeMachine:
    """What really is there."""

    host: str
    role: str
    pool: str | None = None
    state: str = "ready"
    published: int = 1
    installed: int | None = 1
    stale: bool = True  # a newer configuration is published
    silent: bool = False
    reason: str = ""
    held: str | None = None
    cordoned: bool = False
    marked: bool = False
    node_ready: bool | None = None  # None: as its state says
    version: str = "v1.33.6"
    rebooting: bool = False
    ends: str = "ready"  # what the next installation comes to: ready, failed, joining, cluster
    hears: bool = True  # of a request to restart

    @property
    def in_kubernetes(self) -> bool:
        return self.role in ("control-plane", "worker")

    @property
    def ready(self) -> bool:
        return self.state == "ready" if self.node_ready is None else self.node_ready


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
        for node in self.data["nodes"]:
            machine = self.machines[node["hostname"]]
            if machine.published != node.get("generation", 1) and self.shows:
                machine.published = node["generation"]
                machine.state, machine.reason = "armed", ""

    # Boot server

    def nodes(self) -> Any:
        raise AssertionError("`Outside` asks the boot server or Kubernetes, not both at once")

    def views(self) -> list[NodeView]:
        if not self.server_answers:
            raise BootServerError("does not answer")
        return [self._view(machine) for machine in self.machines.values()]

    def arm(self, host: str) -> None:
        self._did("arm", host)
        self.machines[host].state = "armed"

    def disarm(self, host: str) -> None:
        self._did("disarm", host)
        self.machines[host].state = "pending"

    def reboot(self, host: str) -> None:
        self._did("reboot", host)
        if self.machines[host].installed is None:
            raise BootServerError("no installed system is known")
        self.machines[host].rebooting = True

    def _view(self, machine: FakeMachine) -> NodeView:
        runs = machine.state in ("ready", "joining", "cluster")
        stage = {"cluster": "failed"}.get(machine.state, machine.state)
        told = machine.state in ("ready", "joining", "cluster", "armed")
        outdated = machine.stale and machine.installed == machine.published and runs
        state = "outdated" if outdated and machine.state == "ready" else stage
        return NodeView(
            host=machine.host,
            stack=self.name,
            cluster="test",
            macs=("52:54:00:00:00:01",),
            role=machine.role,
            pool=machine.pool,
            arch="x86-64",
            state=state,
            reason=machine.reason,
            generation=machine.published,
            digest="new" if machine.stale else "now",
            installed_generation=machine.installed,
            running_digest="now" if machine.installed else None,
            stage=StageView(
                state="ready" if machine.state == "armed" else stage,
                at=0,
                message=machine.reason,
                generation=machine.installed or 0,
            )
            if told and machine.installed
            else None,
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
            host: KubeNode(each.ready or each.state == "armed", each.cordoned, each.marked, each.version)
            for host, each in self.machines.items()
            if each.in_kubernetes and each.installed
        }

    def api_servers(self) -> dict[str, bool]:
        planes = (each for each in self.machines.values() if each.role == "control-plane")
        return {each.host: each.ready for each in planes}

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
            self._advance(machine)
        out = [m for m in self.machines.values() if m.state != "ready" and m.in_kubernetes]
        self.most_out = max(self.most_out, len(out))

    def _advance(self, machine: FakeMachine) -> None:
        if machine.state == "armed" and machine.rebooting and machine.hears:
            machine.state, machine.rebooting = "installing", False
        elif machine.state in _WAY[:-1] and machine.state != machine.ends:
            machine.state = _WAY[_WAY.index(machine.state) + 1]
            if machine.ends == "failed":
                machine.state, machine.reason = "failed", "the disk is too small"
            elif machine.ends == "cluster" and machine.state == "joining":
                machine.state, machine.reason = "cluster", "the endpoint does not answer"
            if machine.state == "installed":
                machine.installed, machine.stale = machine.published, False
            if machine.state == "ready":
                machine.version = f"v{self.data['assets']['kubernetes']}"

    # The test

    def plan(self, *, at_once: int = 1, **wishes: Any) -> Plan:
        """What would be rolled now."""
        outside = self.outside()
        marked = [host for host, node in outside.nodes().items() if node.marked]
        return plan_roll(outside.fleet(), Wishes(**wishes), at_once=at_once, marked=marked)

    def roll(self, *, at_once: int = 1, **wishes: Any) -> None:
        """Plan and roll."""
        plan = self.plan(at_once=at_once, **wishes)
        manner = Manner(at_once, 600, 300, 30, 10, 10, 5)
        Roll(self.outside(), manner).run(plan)

    def outside(self) -> Outside:
        return Outside(self, _Server(self), _Kubernetes(self), self, self)

    def order(self, what: str) -> list[str]:
        """To whom something was done, in order."""
        return [host for did, host in self.log if did == what]

    def _did(self, what: str, host: str) -> None:
        self.log.append((what, host))
        if action := self.at.pop((what, host), None):
            action()


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


def world(**roles: int | str) -> World:
    """A world of so many ``planes``, ``workers`` (``pool``), ``balancers`` and ``etcds``."""
    wanted = [
        *[(f"etcd{n}", "etcd", None) for n in range(1, int(roles.get("etcds", 0)) + 1)],
        *[(f"cp{n}", "control-plane", None) for n in range(1, int(roles.get("planes", 3)) + 1)],
        *[(f"w{n}", "worker", "edge") for n in range(1, int(roles.get("workers", 0)) + 1)],
        *[(f"lb{n}", "load-balancer", None) for n in range(1, int(roles.get("balancers", 0)) + 1)],
    ]
    nodes = []
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
