"""One machine."""

from __future__ import annotations

from typing import Any

import pulumi

from components.settings import Settings
from kindling.models.plan import NodePlan
from providers.node_configuration import NodeConfiguration


class Node(pulumi.ComponentResource):
    """One machine of the cluster, whatever its architecture, role and system."""

    def __init__(
        self,
        plan: NodePlan,
        settings: Settings,
        secret: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        hostname = plan.node.hostname
        super().__init__("kindling:Node", hostname, None, opts)
        self.plan = plan
        self.configuration = NodeConfiguration(
            hostname,
            {
                "store": settings.store,
                "owner": settings.owner(hostname),
                "mac": plan.node.primary_mac,
                "plan": plan.to_json(),
                "secret": secret,
            },
            pulumi.ResourceOptions(parent=self),
        )

    @property
    def summary(self) -> dict[str, Any]:
        """What other stacks are told of this machine."""
        node = self.plan.node
        return {
            "hostname": node.hostname,
            "mac": node.primary_mac,
            "arch": str(node.arch),
            "role": str(node.role),
            "pool": node.pool,
            "os": str(node.os),
            "address": node.reached_at,
            "generation": node.generation,
            "digest": self.configuration.digest,
            "script": f"{self.plan.base_url}/boot/{node.primary_mac.replace(':', '-')}",
        }
