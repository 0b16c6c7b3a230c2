"""What a machine of a cluster gets, by its role."""

from __future__ import annotations

from kindling.models.plan import NodePlan
from kindling.models.role import Role
from kindling.rendering.kubernetes.components import component_files
from kindling.rendering.kubernetes.credentials import credential_files
from kindling.rendering.kubernetes.endpoint import endpoint_part
from kindling.rendering.kubernetes.etcd import etcd_part
from kindling.rendering.kubernetes.kubeadm import kubeadm_files
from kindling.rendering.kubernetes.scripts import (
    certificates_part,
    common_part,
    control_plane_part,
    worker_part,
)
from kindling.rendering.parts import SystemPart
from kindling.rendering.secrets import NodeSecrets


def part_of(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    """Files, links and units of the cluster's part of a machine; none without Kubernetes."""
    if plan.kubernetes is None:
        return SystemPart()
    made = common_part(plan) + SystemPart(files=credential_files(secrets))
    return made + _of_role(plan, secrets) + etcd_part(plan, secrets) + endpoint_part(plan, secrets)


def _of_role(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    assert plan.kubernetes is not None
    match plan.node.role:
        case Role.CONTROL_PLANE:
            key = secrets.credentials.encryption_key
            files = component_files(plan.kubernetes.settings, key)
            return _joining(plan, secrets) + control_plane_part(plan) + SystemPart(files=files)
        case Role.WORKER:
            return _joining(plan, secrets) + worker_part(plan)
        case Role.ETCD:
            return certificates_part(plan)
        case Role.LOAD_BALANCER:
            return SystemPart()


def _joining(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    return SystemPart(files=kubeadm_files(plan, secrets))
