"""Whether the cluster is well: what is asked between two batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from kindling.errors import KindlingError
from kindling.rolling.interfaces import KubeNode, Kubernetes
from kindling.rolling.machines import Fleet, Kind

Look = Callable[[], list[str]]  # what is wrong, as sentences


@dataclass(frozen=True)
class Expected:
    """Who must be ready. ``tolerated`` were not ready before the roll, and are not its own."""

    fleet: Fleet
    domain: str
    tolerated: Collection[str] = ()

    def hosts(self, *kinds: Kind) -> list[str]:
        """Installed machines of these kinds that must be ready."""
        return [
            each.host
            for each in self.fleet
            if each.in_kubernetes
            and each.installed is not None
            and each.kind in kinds
            and each.host not in self.tolerated
        ]


def api_and_dns(kubernetes: Kubernetes, domain: str) -> list[str]:
    """The API at its endpoint, and the cluster's DNS."""
    return [
        *_asked("the API", kubernetes.api_problem),
        *_asked("DNS", lambda: kubernetes.dns_problem(domain)),
    ]


def everything(kubernetes: Kubernetes, expected: Expected) -> list[str]:
    """All of it: the API, each control plane's own, DNS, and every node."""
    return [
        *api_and_dns(kubernetes, expected.domain),
        *_asked("API servers", lambda: _servers(kubernetes, expected)),
        *_asked("nodes", lambda: _nodes(kubernetes.nodes(), expected)),
    ]


def not_ready(nodes: Mapping[str, KubeNode], expected: Expected) -> list[str]:
    """Hosts whose Node object is missing or not ready."""
    hosts = expected.hosts(Kind.CONTROL_PLANE, Kind.WORKER)
    return [host for host in hosts if host not in nodes or not nodes[host].ready]


def _servers(kubernetes: Kubernetes, expected: Expected) -> str:
    ready = kubernetes.api_servers()
    bad = [host for host in expected.hosts(Kind.CONTROL_PLANE) if not ready.get(host)]
    return f"not ready on {', '.join(bad)}" if bad else ""


def _nodes(nodes: Mapping[str, KubeNode], expected: Expected) -> str:
    bad = not_ready(nodes, expected)
    return f"not Ready: {', '.join(bad)}" if bad else ""


def _asked(what: str, ask: Callable[[], str]) -> Iterator[str]:
    try:
        problem = ask()
    except KindlingError as error:
        problem = str(error)
    if problem:
        yield f"{what}: {problem}"
