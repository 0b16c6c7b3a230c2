"""The whole cluster: artifacts per architecture, the boot server's files, one node per machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_random as random

from components.asset_bundle import AssetBundle
from components.credentials import Credentials, Shares
from components.ipxe_host import IpxeHost
from components.node import Node
from components.settings import Settings
from kindling.models.credentials import Credentials as Everything
from kindling.pki.kubeconfig import server_url
from providers.artifact import Artifact


class Cluster(pulumi.ComponentResource):
    """Publishes one environment. Its attributes are outputs for other stacks.

    Where the stack has no Kubernetes, those of the cluster that machines form are None.
    """

    def __init__(
        self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("kindling:Cluster", name, None, opts)
        _announce(settings)
        has_cluster = settings.plan.cluster.assets.kubernetes is not None
        inside = pulumi.ResourceOptions(parent=self)
        # The stack's one secret; what each node needs is derived from it. A password of 43
        # letters and digits (256 bits) and not RandomBytes, whose id is its value in plain state.
        secret = random.RandomPassword("secret", length=43, special=False, opts=inside)
        self.credentials = Credentials(settings, secret.result, inside) if has_cluster else None
        shares = Shares(self.credentials.everything if self.credentials else _alone(secret.result))
        bundles = [
            AssetBundle(architecture, settings, inside)
            for architecture in (*settings.plan.cluster.architectures, None)
            if any(asset.arch is architecture for asset in settings.plan.assets)
        ]
        artifacts = [artifact for bundle in bundles for artifact in bundle.artifacts]
        host = IpxeHost(settings, artifacts, inside)
        after_site = pulumi.ResourceOptions(parent=self, depends_on=[host.site])
        machines = [
            Node(plan, settings, shares.for_node(plan), after_site) for plan in settings.plan.nodes
        ]
        self.artifacts = _digests(artifacts)
        self.nodes: list[dict[str, Any]] = [machine.summary for machine in machines]
        self.kubeconfig = self.credentials.kubeconfig if self.credentials else None
        self.certificate = self.credentials.certificate if self.credentials else None
        self.endpoint = _endpoint(settings) if has_cluster else None
        self.networks = _networks(settings) if has_cluster else None
        self.register_outputs({"nodes": len(machines)})


def _announce(settings: Settings) -> None:
    plan = settings.plan
    names = " ".join(str(architecture) for architecture in plan.cluster.architectures)
    pulumi.log.info(f"Detected architectures in cluster: [{names}]")
    pulumi.log.info(plan.space_notice())


def _alone(secret: pulumi.Output[str]) -> pulumi.Output[Everything]:
    """Without Kubernetes, machines have the tokens of their own and nothing else."""
    return secret.apply(lambda stack: Everything(stack=stack))


def _endpoint(settings: Settings) -> dict[str, Any]:
    cluster = settings.plan.cluster
    host, port = cluster.endpoint_host, cluster.kubernetes.endpoint.port
    return {"host": host, "port": port, "url": server_url(host, port)}


def _networks(settings: Settings) -> dict[str, str]:
    return settings.plan.cluster.kubernetes.networking.model_dump(by_alias=True)


def _digests(artifacts: Sequence[Artifact]) -> pulumi.Output[dict[str, str]]:
    """Store path -> SHA-256 of every published file."""
    return pulumi.Output.all(*(artifact.published for artifact in artifacts)).apply(
        lambda parts: {path: digest for part in parts for path, digest in (part or {}).items()}
    )
