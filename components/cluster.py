"""The whole cluster: artifacts per architecture, the boot server's files, one node per machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_random as random

from components.asset_bundle import AssetBundle
from components.ipxe_host import IpxeHost
from components.node import Node
from components.settings import Settings
from providers.artifact import Artifact


class Cluster(pulumi.ComponentResource):
    """Publishes one environment. ``nodes`` and ``artifacts`` are its outputs for other stacks."""

    def __init__(
        self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kindling:Cluster", name, None, opts)
        _announce(settings)
        inside = pulumi.ResourceOptions(parent=self)
        # The stack's one secret; what each node needs is derived from it. A password of 43
        # letters and digits (256 bits) and not RandomBytes, whose id is its value in plain state.
        secret = random.RandomPassword("secret", length=43, special=False, opts=inside)
        bundles = [
            AssetBundle(architecture, settings, inside)
            for architecture in settings.plan.cluster.architectures
        ]
        artifacts = [artifact for bundle in bundles for artifact in bundle.artifacts]
        host = IpxeHost(settings, artifacts, inside)
        after_site = pulumi.ResourceOptions(parent=self, depends_on=[host.site])
        machines = [Node(plan, settings, secret.result, after_site) for plan in settings.plan.nodes]
        self.artifacts = _digests(artifacts)
        self.nodes: list[dict[str, Any]] = [machine.summary for machine in machines]
        self.register_outputs({"nodes": len(machines)})


def _announce(settings: Settings) -> None:
    plan = settings.plan
    names = " ".join(str(architecture) for architecture in plan.cluster.architectures)
    pulumi.log.info(f"Detected architectures in cluster: [{names}]")
    pulumi.log.info(plan.space_notice())


def _digests(artifacts: Sequence[Artifact]) -> pulumi.Output[dict[str, str]]:
    """Store path -> SHA-256 of every published file."""
    return pulumi.Output.all(*(artifact.published for artifact in artifacts)).apply(
        lambda parts: {path: digest for part in parts for path, digest in (part or {}).items()}
    )
