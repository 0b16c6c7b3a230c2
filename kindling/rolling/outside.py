"""Everything outside that a roll works with, how long it waits, and how it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kindling.errors import KindlingError, RollStopped
from kindling.rolling.interfaces import BootServer, Clock, KubeNode, Kubernetes, Stack, Teller
from kindling.rolling.machines import Fleet, fleet_of


@dataclass(frozen=True)
class Manner:
    """How a roll is done; times in seconds."""

    at_once: int = 1  # machines of a pool
    drain_timeout: int = 600
    ready_timeout: float = 1800  # from the request to restart until `ready`
    settle: float = 300  # for the cluster to be well again after a batch
    checks: float = 60  # for it to be well before a batch
    seen: float = 60  # until the boot server shows what was published
    poll: float = 5


@dataclass(frozen=True)
class Outside:
    """The stack, the boot server, the cluster. Without a cluster ``kubernetes`` is None."""

    stack: Stack
    server: BootServer
    kubernetes: Kubernetes | None
    teller: Teller
    clock: Clock

    def fleet(self) -> Fleet:
        """The machines as they are now."""
        return fleet_of(self.stack.cluster(), self.stack.name, self.server.nodes())

    def nodes(self) -> dict[str, KubeNode]:
        """Node objects by host; none without a cluster."""
        return self.kubernetes.nodes() if self.kubernetes else {}

    @property
    def domain(self) -> str:
        """The domain of services."""
        return self.stack.cluster().kubernetes.networking.dns_domain


@contextmanager
def stopping(step: str, hosts: tuple[str, ...]) -> Iterator[None]:
    """Every error inside becomes a stop at this step."""
    try:
        yield
    except RollStopped:
        raise
    except KindlingError as error:
        raise RollStopped(step, hosts, str(error)) from error


def until_well(
    look: Callable[[], list[str]],
    step: str,
    hosts: tuple[str, ...],
    *,
    outside: Outside,
    patience: float,
    poll: float,
) -> None:
    """Look until there is no problem. After ``patience`` seconds raises `RollStopped`."""
    begun = outside.clock.monotonic()
    while problems := _looked(look):
        if outside.clock.monotonic() - begun >= patience:
            raise RollStopped(step, hosts, "; ".join(problems))
        outside.teller.machine(hosts[0], f"{step}: {'; '.join(problems)}")
        outside.clock.sleep(poll)


def _looked(look: Callable[[], list[str]]) -> list[str]:
    """What cannot be asked is a problem like others: it may pass."""
    try:
        return look()
    except RollStopped:
        raise
    except KindlingError as error:
        return [str(error)]
