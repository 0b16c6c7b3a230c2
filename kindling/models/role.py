"""What a machine is for."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The roles of nodes, spelled as in the stack file and in ``live`` and node documents."""

    CONTROL_PLANE = "control-plane"
    WORKER = "worker"
    LOAD_BALANCER = "load-balancer"
    ETCD = "etcd"
