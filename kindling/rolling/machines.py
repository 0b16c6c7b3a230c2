"""The machines of a stack: what the stack file says, with what the boot server knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from kindling.bootserver.client import NodeView
from kindling.errors import RollError
from kindling.models.cluster import Cluster
from kindling.models.node import Node
from kindling.models.role import Role


class Kind(IntEnum):
    """What is rolled together, in the order in which it is rolled."""

    ETCD = 0
    CONTROL_PLANE = 1
    WORKER = 2
    LOAD_BALANCER = 3


_KINDS = {
    Role.ETCD: Kind.ETCD,
    Role.CONTROL_PLANE: Kind.CONTROL_PLANE,
    Role.WORKER: Kind.WORKER,
    Role.LOAD_BALANCER: Kind.LOAD_BALANCER,
}
_RUNS = ("booted", "outdated")  # states of a machine that is up, where there is no cluster


@dataclass(frozen=True)
class Machine:
    """One machine. ``view`` is None while the boot server does not know it."""

    node: Node
    view: NodeView | None
    clustered: bool  # part of a Kubernetes cluster, not only installed

    @property
    def host(self) -> str:
        """Its name, in Kubernetes too."""
        return self.node.hostname

    @property
    def kind(self) -> Kind:
        """What it is rolled with."""
        return _KINDS[self.node.role]

    @property
    def pool(self) -> str | None:
        """The pool of a worker; other roles are not divided."""
        return self.node.pool if self.kind is Kind.WORKER else None

    @property
    def in_kubernetes(self) -> bool:
        """Whether there is a Node object of it, as soon as it joined."""
        return self.clustered and self.kind in (Kind.CONTROL_PLANE, Kind.WORKER)

    @property
    def state(self) -> str:
        """The boot server's word for it."""
        return self.view.state if self.view else "not published"

    @property
    def installed(self) -> int | None:
        """The generation on its disk; None when nothing was ever installed."""
        return self.view.installed_generation if self.view else None

    @property
    def raised(self) -> bool:
        """Whether its generation in the stack file is to be installed over an older one."""
        return self.installed is not None and self.node.generation > self.installed

    @property
    def outdated(self) -> bool:
        """Whether a newer configuration than the installed one is published."""
        if self.view is None or self.raised:
            return False
        if self.view.state == "outdated":
            return True
        # A machine that failed to get into the cluster shows that first.
        running = self.view.running_digest
        same = self.view.installed_generation == self.view.generation
        return self.view.state == "failed" and same and running not in (None, self.view.digest)

    @property
    def ready(self) -> bool:
        """Whether it does its work, as far as it tells the boot server."""
        if self.view is None:
            return False
        return self.view.ready if self.clustered else self.view.state in _RUNS


@dataclass(frozen=True)
class Fleet:
    """Every machine of the stack, in the stack file's order."""

    machines: tuple[Machine, ...]
    incarnation: int = 1  # of the cluster, in the stack file

    def __iter__(self) -> Iterator[Machine]:
        return iter(self.machines)

    def __getitem__(self, host: str) -> Machine:
        return next(each for each in self.machines if each.host == host)

    def of(self, kind: Kind, pool: str | None = None) -> tuple[Machine, ...]:
        """The machines of one kind that were ever installed; of workers those of one pool."""
        installed = (each for each in self.machines if each.installed is not None)
        return tuple(each for each in installed if (each.kind, each.pool) == (kind, pool))

    @property
    def etcd_members(self) -> tuple[Machine, ...]:
        """Where etcd runs. Machines that were never installed are no members yet."""
        if not any(each.clustered for each in self.machines):
            return ()
        dedicated = any(each.kind is Kind.ETCD for each in self.machines)
        return self.of(Kind.ETCD if dedicated else Kind.CONTROL_PLANE)


def fleet_of(cluster: Cluster, stack: str, views: Iterable[NodeView]) -> Fleet:
    """Join what the stack file says with what the boot server knows.

    Raises `RollError` when the stack file is behind what is published: publishing it would take
    back what somebody else did.
    """
    known = {view.host: view for view in views if view.stack == stack}
    clustered = cluster.assets.kubernetes is not None
    machines = [Machine(node, known.get(node.hostname), clustered) for node in cluster.nodes]
    behind = [
        each for each in machines if each.view and each.view.generation > each.node.generation
    ]
    if behind:
        listed = ", ".join(
            f"{each.host} ({each.node.generation}, published: {each.view.generation})"
            for each in behind
            if each.view
        )
        raise RollError(
            f"the stack file is behind what is published: generation of {listed}; fetch its newest"
            " version"
        )
    return Fleet(tuple(machines), cluster.kubernetes.incarnation)
