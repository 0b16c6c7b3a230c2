"""The cluster's credentials: what the stack makes, and what each machine is told of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pulumi
import pulumi_random as random

from components.settings import Settings
from kindling.models.credentials import Authorities, KeyPair
from kindling.models.credentials import Credentials as Everything
from kindling.models.plan import NodePlan
from kindling.pki.credentials import (
    PASSWORD_LENGTH,
    TOKEN_LENGTH,
    VRRP_LENGTH,
    join_credentials,
)
from kindling.pki.kubeconfig import kubeconfig, server_url
from providers.admin_credential import AdminCredential
from providers.cluster_credentials import ClusterCredentials

_WARN_BEFORE = timedelta(days=365)  # before an authority ends: a rotation wants to be planned


class Credentials(pulumi.ComponentResource):
    """Made once and kept in the state; ``credentials.rotation`` makes them anew."""

    def __init__(
        self,
        settings: Settings,
        secret: pulumi.Output[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("kindling:Credentials", "credentials", None, opts)
        self._settings = settings
        cluster = settings.plan.cluster
        inside = pulumi.ResourceOptions(parent=self)
        made = ClusterCredentials(
            "authorities",
            {
                "cluster": cluster.name,
                "rotation": cluster.credentials.rotation,
                "broughtIn": settings.secrets.authorities,
            },
            inside,
        )
        self._admin = AdminCredential(
            "admin",
            {"cluster": cluster.name, "authority": made.authorities.apply(_kubernetes_authority)},
            inside,
        )
        parts = {
            "stack": secret,
            "authorities": made.authorities,
            "token": self._random("bootstrap-token", TOKEN_LENGTH, upper=False),
            # Not with a rotation: what is in etcd, and in its snapshots, must stay readable.
            "encryption": self._random("encryption-key", PASSWORD_LENGTH, rotates=False),
            "vrrp": self._random("vrrp-password", VRRP_LENGTH),
        }
        self.everything = pulumi.Output.all(**parts).apply(self._join)
        self.certificate = made.certificate
        made.ends.apply(self._warn)
        self.register_outputs({"rotation": cluster.credentials.rotation})

    @property
    def kubeconfig(self) -> pulumi.Output[str]:
        """The administrator's; another endpoint changes this text and makes nothing anew."""
        cluster = self._settings.plan.cluster
        server = server_url(cluster.endpoint_host, cluster.kubernetes.endpoint.port)
        return pulumi.Output.all(self.certificate, self._admin.credential).apply(
            lambda made: kubeconfig(
                cluster=cluster.name,
                server=server,
                certificate=made[0],
                admin=KeyPair.model_validate_json(made[1]),
            )
        )

    def _random(
        self, name: str, length: int, *, upper: bool = True, rotates: bool = True
    ) -> pulumi.Output[str]:
        """Letters and digits. Not RandomBytes or RandomString: their ids are their values."""
        rotation = self._settings.plan.cluster.credentials.rotation
        made = random.RandomPassword(
            name,
            length=length,
            upper=upper,
            special=False,
            keepers={"rotation": str(rotation)} if rotates else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made.result

    def _join(self, parts: dict[str, str]) -> Everything:
        return join_credentials(
            stack=parts["stack"],
            authorities=Authorities.model_validate_json(parts["authorities"]),
            token=parts["token"],
            encryption=parts["encryption"],
            vrrp=parts["vrrp"],
            s3=self._settings.secrets.s3,
        )

    def _warn(self, ends: dict[str, str]) -> None:
        today = datetime.now(UTC).date()
        for part, end in ends.items():
            if date.fromisoformat(end) - today < _WARN_BEFORE:
                pulumi.log.warn(
                    f"The cluster's {part} authority ends on {end}, and nothing that it signed is "
                    "good after that: plan a rotation (docs/credentials.md)",
                    self,
                )


class Shares:
    """What each machine is told, as JSON: worked out once for all that are told the same."""

    def __init__(self, everything: pulumi.Output[Everything]) -> None:
        self._everything = everything
        self._made: dict[object, pulumi.Output[str]] = {}

    def for_node(self, plan: NodePlan) -> pulumi.Output[str]:
        """The node's part; the same object for machines with the same part."""
        carries = plan.kubernetes is not None and plan.kubernetes.carries_endpoint
        kind = (plan.kubernetes is None, plan.node.role, carries, plan.runs_etcd)
        if kind not in self._made:
            self._made[kind] = self._everything.apply(
                lambda all_of_it: all_of_it.of(plan).to_json()
            )
        return self._made[kind]


def _kubernetes_authority(authorities: str) -> str:
    return Authorities.model_validate_json(authorities).kubernetes.model_dump_json()
