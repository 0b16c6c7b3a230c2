"""What a roll asks of the outside, as small interfaces; real ones beside this, fakes in the tests.

Every method may raise `KindlingError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kindling.bootserver.client import NodeView
from kindling.models.cluster import Cluster


@dataclass(frozen=True, slots=True)
class KubeNode:
    """A Node object."""

    ready: bool
    cordoned: bool
    marked: bool  # cordoned by a roll, which takes it in again; a person's cordon stays
    version: str  # of its kubelet: v1.33.6


class Stack(Protocol):
    """The stack: its file, and Pulumi."""

    @property
    def name(self) -> str:
        """As the boot server knows it."""

    def cluster(self) -> Cluster:
        """What the stack file says now."""

    def raise_generations(self, wanted: Mapping[str, int]) -> None:
        """Write generations, by host, into the stack file."""

    def publish(self) -> None:
        """`pulumi up`."""


class BootServer(Protocol):
    """The boot server, as its operator."""

    def nodes(self) -> list[NodeView]:
        """Every published node."""

    def arm(self, host: str) -> None:
        """Let the machine be installed."""

    def disarm(self, host: str) -> None:
        """Take that back."""

    def reboot(self, host: str) -> None:
        """Ask the machine to restart."""


class Kubernetes(Protocol):
    """The cluster's API. A problem is a sentence, empty when there is none."""

    def api_problem(self) -> str:
        """What `/readyz` at the endpoint says."""

    def dns_problem(self, domain: str) -> str:
        """Whether the cluster's DNS answers for `kubernetes.default.svc.<domain>`."""

    def nodes(self) -> dict[str, KubeNode]:
        """Node objects by host."""

    def api_servers(self) -> dict[str, bool]:
        """Whether each control plane's own API server is ready, by host."""

    def cordon(self, host: str) -> None:
        """Keep new pods away and mark the node as taken out by a roll."""

    def drain(self, host: str, timeout: int, line: Callable[[str], None]) -> None:
        """Ask every pod to leave, within budgets; ``timeout`` in seconds. Raises on failure."""

    def uncordon(self, host: str) -> None:
        """Take the node in again and remove the mark."""


class Teller(Protocol):
    """Who tells the operator what happens."""

    def say(self, text: str) -> None:
        """A sentence."""

    def output(self, line: str) -> None:
        """A line that another program printed."""

    def machine(self, host: str, text: str) -> None:
        """Where a machine is; may be the same as before."""


class Clock(Protocol):
    """The module `time`, or a test's."""

    def monotonic(self) -> float:
        """Seconds."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
