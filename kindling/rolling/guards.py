"""When machines must not be taken out: pure functions that return sentences, none when all is well.

What is known of etcd's members is what their machines report to the boot server every two minutes
(a silence of ten minutes counts as unhealthy), and for control planes also what Kubernetes says of
the node and of its API server, whose readiness asks its own member. The API has no list of etcd's
members: one whose machine is not in the stack any more is not seen here (docs/upgrade.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kindling.models.compatibility import minor_of
from kindling.rolling.interfaces import KubeNode
from kindling.rolling.machines import Fleet, Kind, Machine
from kindling.rolling.plan import Batch, Plan


@dataclass(frozen=True)
class Situation:
    """What is known before machines are taken out; ``nodes`` by host, empty without a cluster."""

    fleet: Fleet
    nodes: Mapping[str, KubeNode]
    version: str | None  # of Kubernetes, that machines are installed with
    at_once: int

    def works(self, machine: Machine) -> bool:
        """Whether the machine does its work, by its own report and by Kubernetes."""
        if not machine.in_kubernetes:
            return machine.ready
        node = self.nodes.get(machine.host)
        return machine.ready and node is not None and node.ready


def quorum(members: int) -> int:
    """How many of so many members of etcd must be there."""
    return members // 2 + 1


def never(plan: Plan, fleet: Fleet) -> Iterator[str]:
    """What no order and no patience makes possible, so it is said before anything is begun."""
    hosts = set(plan.hosts)
    told = [(each.host, each.view.stage) for each in fleet if each.view and each.view.stage]
    known = ((host, stage.incarnation) for host, stage in told if host in hosts)
    if older := [host for host, number in known if number not in (0, fleet.incarnation)]:
        yield (
            f"kubernetes.incarnation is {fleet.incarnation}, and these run an earlier cluster:"
            f" {', '.join(older)}; a new cluster is not rolled into; see"
            " docs/credentials.md, rotation"
        )
    members = [each.host for each in fleet.etcd_members]
    if hosts & set(members) and quorum(len(members)) > len(members) - 1:
        yield (
            f"etcd has {len(members)} member{'s' * (len(members) > 1)} ({', '.join(members)}) and"
            f" needs {quorum(len(members))}: none can be installed again while the cluster"
            " runs; add control planes until there are three, or see docs/upgrade.md"
        )
    balancers = fleet.of(Kind.LOAD_BALANCER)
    if len(balancers) == 1 and balancers[0].host in hosts:
        yield (
            f"{balancers[0].host} is the only load balancer: the API would be gone while it is"
            " installed; add a second one, or choose others with --pool or --node"
        )


def refusals(batch: Batch, now: Situation) -> list[str]:
    """Why this batch must not be taken out at this moment."""
    return [*_etcd(batch, now), *_budget(batch, now), *_endpoint(batch, now), *_skew(batch, now)]


def _etcd(batch: Batch, now: Situation) -> Iterator[str]:
    members = now.fleet.etcd_members
    if not any(each.host in batch.hosts for each in members):
        return
    others = [each for each in members if each.host not in batch.hosts]
    healthy = [each for each in others if now.works(each)]
    if len(healthy) < quorum(len(members)):
        broken = ", ".join(each.host for each in others if each not in healthy) or "none"
        yield (
            f"etcd would lose its quorum: without {', '.join(batch.hosts)} it has"
            f" {len(healthy)} healthy of {len(members)} members and needs"
            f" {quorum(len(members))} (not healthy: {broken})"
        )


def _budget(batch: Batch, now: Situation) -> Iterator[str]:
    """Not more out at once than allowed. Taking out what is out already costs nothing."""
    working = [step.host for step in batch.steps if now.works(now.fleet[step.host])]
    peers = now.fleet.of(batch.kind, batch.pool)
    out = [each.host for each in peers if each.host not in batch.hosts and not now.works(each)]
    limit = now.at_once if batch.kind is Kind.WORKER else 1
    if working and out and len(out) + len(batch.steps) > limit:
        states = ", ".join(f"{host} ({now.fleet[host].state})" for host in out)
        yield f"{batch.title}: not ready: {states}; at most {limit} may be out at once"


def _endpoint(batch: Batch, now: Situation) -> Iterator[str]:
    if batch.kind is not Kind.LOAD_BALANCER:
        return
    others = [each for each in now.fleet.of(Kind.LOAD_BALANCER) if each.host not in batch.hosts]
    if not any(now.works(each) for each in others):
        yield "no other load balancer is ready, so the API would be gone"


def _skew(batch: Batch, now: Situation) -> Iterator[str]:
    """Upstream's rule: planes one minor release at a time, kubelets never newer than the API.

    Source: https://kubernetes.io/releases/version-skew-policy/
    """
    planes = [
        now.nodes[each.host] for each in now.fleet.of(Kind.CONTROL_PLANE) if each.host in now.nodes
    ]
    if now.version is None or not planes or batch.kind in (Kind.ETCD, Kind.LOAD_BALANCER):
        return
    wanted, oldest = minor_of(now.version), min(minor_of(each.version) for each in planes)
    if batch.kind is Kind.CONTROL_PLANE and wanted > (oldest[0], oldest[1] + 1):
        yield (
            f"assets.kubernetes is {now.version} and a control plane runs {_text(oldest)}: go one"
            f" minor release at a time, {oldest[0]}.{oldest[1] + 1} first"
        )
    if batch.kind is Kind.WORKER and wanted > oldest:
        yield (
            f"assets.kubernetes is {now.version} and a control plane runs {_text(oldest)}: a"
            " kubelet must not be newer; roll the control planes first"
        )


def _text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"
