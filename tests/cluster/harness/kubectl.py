"""kubectl as an operator uses it, from beside the bridge (`Site.inside`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.harness.commands import call
from tests.cluster.harness.network import Network
from tools.places import BIN


class Kubectl:
    """The real kubectl with one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def run(self, *arguments: str, stdin: str = "", timeout: float = 60.0) -> str:
        """Run it; return what it printed. Raises `CommandError` with what it said."""
        argv = [str(BIN / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        return call(argv, stdin=stdin.encode(), timeout=timeout)

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that `kubectl get ...` lists."""
        found = json.loads(self.run("get", *arguments, "--output=json"))
        return list(found["items"]) if found["kind"].endswith("List") else [found]

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes by name."""
        return {node["metadata"]["name"]: node for node in self.get("nodes")}

    def ready_nodes(self) -> set[str]:
        """The names of the nodes that are Ready."""
        return {name for name, node in self.nodes().items() if is_ready(node)}

    def route_pods(self, network: Network) -> None:
        """Make the ranges of pods reachable that the cluster has given its nodes so far."""
        for node in self.nodes().values():
            if pods := node["spec"].get("podCIDR"):
                network.route(pods, _internal_address(node))


def is_ready(thing: Mapping[str, Any]) -> bool:
    """Whether a node or a pod is Ready."""
    conditions = thing["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _internal_address(node: Mapping[str, Any]) -> str:
    addresses = node["status"]["addresses"]
    return str(next(each["address"] for each in addresses if each["type"] == "InternalIP"))
