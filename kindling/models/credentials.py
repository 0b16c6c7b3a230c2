"""What only some machines may know: the values that the stack makes, and who gets which.

Control planes get the authorities' keys, etcd nodes those of etcd, workers a join credential and
the digest of the authority that they must find; load balancers none of these.
"""

from __future__ import annotations

import base64
from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kindling.models.plan import NodePlan
from kindling.models.role import Role


class _Secret(BaseModel):
    """Frozen; its representation shows nothing, nor does an error about it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    __str__ = __repr__


class KeyPair(_Secret):
    """An authority: its certificate and private key, both PEM."""

    certificate: str
    key: str


class Authorities(_Secret):
    """What control planes sign with. ``service_account_key``: a private key, PEM."""

    kubernetes: KeyPair
    front_proxy: KeyPair
    etcd: KeyPair
    service_account_key: str


class S3Keys(_Secret):
    """Keys of the object store that snapshots are copied to."""

    access_key: str
    secret_key: str


class Credentials(_Secret):
    """Every secret that the rendering of a node may need; `for_role` leaves the node's own.

    ``stack`` is the stack's one secret, from which each node's tokens are derived. Fields are None
    where the role has no business with them, and all but ``stack`` where there is no Kubernetes.
    """

    stack: str
    bootstrap_token: str | None = None  # kubeadm's format: [a-z0-9]{6}.[a-z0-9]{16}
    authority_digest: str | None = None  # sha256:<hex> of the Kubernetes CA's public key (SPKI)
    authorities: Authorities | None = None
    etcd_authority: KeyPair | None = None
    encryption_key: str | None = None  # 32 bytes as base64
    vrrp_password: str | None = None  # 8 characters, all that VRRP compares
    s3: S3Keys | None = None

    def to_json(self) -> str:
        """Compact JSON without what is absent."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    def for_role(self, role: Role, *, carries_endpoint: bool, runs_etcd: bool) -> Credentials:
        """What a node of that role is told.

        ``carries_endpoint``: it shares the virtual address. ``runs_etcd``: it has an etcd member,
        and so takes snapshots.
        """
        plane, joins = role is Role.CONTROL_PLANE, role in (Role.CONTROL_PLANE, Role.WORKER)
        return Credentials(
            stack=self.stack,
            bootstrap_token=self.bootstrap_token if joins else None,
            authority_digest=self.authority_digest if joins else None,
            authorities=self.authorities if plane else None,
            etcd_authority=self.etcd_authority if role is Role.ETCD else None,
            encryption_key=self.encryption_key if plane else None,
            vrrp_password=self.vrrp_password if carries_endpoint else None,
            s3=self.s3 if runs_etcd else None,
        )

    def of(self, plan: NodePlan) -> Credentials:
        """What the machine of a plan is told; the stack's secret alone without Kubernetes."""
        cluster = plan.kubernetes
        if cluster is None:
            return Credentials(stack=self.stack)
        return self.for_role(
            plan.node.role,
            carries_endpoint=cluster.carries_endpoint,
            runs_etcd=plan.runs_etcd,
        )

    @classmethod
    def placeholder(cls) -> Self:
        """Stands in while nothing is known: right in shape, useless in substance."""
        pair = KeyPair(certificate=_PEM.format("CERTIFICATE"), key=_PEM.format("PRIVATE KEY"))
        return cls(
            stack="0" * 43,
            bootstrap_token="abcdef.0123456789abcdef",
            authority_digest=f"sha256:{'0' * 64}",
            authorities=Authorities(
                kubernetes=pair, front_proxy=pair, etcd=pair, service_account_key=pair.key
            ),
            etcd_authority=pair,
            encryption_key=base64.b64encode(bytes(32)).decode(),
            vrrp_password="0" * 8,
            s3=S3Keys(access_key="unknown", secret_key="unknown"),
        )


_PEM = "-----BEGIN {0}-----\nbm90IGtub3duIHlldA==\n-----END {0}-----\n"
