"""Counters for Prometheus. No label carries a host name, an address or a path.

With several workers each counts in files of a directory that `serve` names in the environment,
and any of them answers with the sum. The client library looks for that name when it is imported,
so the main process must not import this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from kindling.bootserver.settings import COUNTERS_VARIABLE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ROUTES = frozenset(
    [
        "assets",
        "boot",
        "boot.ipxe",
        "ignition",
        "live",
        "status",
        "claim",
        "dnsmasq",
        "store",
        "api",
        "healthz",
        "metrics",
        "cloud-init",
    ]
)
NodeStates = Callable[[], Mapping[str, int]]


class Metrics:
    """The counters of one application.

    ``node_states`` gives the number of nodes by state, ``silent`` how many are not heard of.
    """

    def __init__(
        self, node_states: NodeStates | None = None, silent: Callable[[], int] = lambda: 0
    ) -> None:
        own = CollectorRegistry()
        self._requests = Counter(
            "kindling_http_requests", "Answered requests.", ("route", "status"), registry=own
        )
        self._uploaded = Counter(
            "kindling_uploaded_bytes", "Bytes published through the store.", registry=own
        )
        self._children: dict[tuple[str, int], Counter] = {}
        self._registry = own
        if COUNTERS_VARIABLE in os.environ:
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        if node_states is not None:
            self._registry.register(_Nodes(node_states, silent))

    def count(self, path: str, status: int) -> None:
        """Count one answer; the route is the first part of ``path``."""
        first = path.split("/", 2)[1]
        key = (first if first in _ROUTES else "page" if not first else "other", status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(*map(str, key))
        child.inc()

    def uploaded(self, size: int) -> None:
        """Count the bytes of a publication."""
        self._uploaded.inc(size)

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self._registry)


class _Nodes(Collector):
    """Asked at each scrape: the records know the states, whichever worker changed them."""

    def __init__(self, node_states: NodeStates, silent: Callable[[], int]) -> None:
        self._node_states = node_states
        self._silent = silent

    def collect(self) -> Iterator[Metric]:
        """One gauge with a value for each state, and one of silent nodes."""
        family = GaugeMetricFamily("kindling_nodes", "Published nodes by state.", labels=["state"])
        for state, number in sorted(self._node_states().items()):
            family.add_metric([state], number)
        yield family
        yield GaugeMetricFamily(
            "kindling_nodes_silent", "Nodes that stopped reporting.", value=self._silent()
        )
