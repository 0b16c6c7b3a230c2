"""What rendering is given for one node: the node, and the facts of the cluster it depends on.

Plans are values: equal plans render to equal bytes. They are what the engine compares, so they
hold nothing secret and nothing that changes without a meaning for the machine.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kindling.models.cluster import Proxy, Updates
from kindling.models.node import Node


class _Value(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    def to_json(self) -> str:
        """Compact JSON without defaults: short in the state, stable for equal plans."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)


class SysextReference(_Value):
    """A system extension as the node fetches it; ``sha256`` is None while it is not locked."""

    name: str
    version: str
    path: str  # assets/extensions/<name>-<version>-<arch>.raw
    sha256: str | None = None


class NodePlan(_Value):
    """One node, complete. ``base_url`` is the boot server as machines reach it."""

    stack: str
    cluster: str
    base_url: str
    flatcar_version: str
    flatcar_channel: str
    ssh_authorized_keys: tuple[str, ...] = ()
    proxy: Proxy | None = None
    updates: Updates
    sysexts: tuple[SysextReference, ...] = ()
    auto_arm: bool = True
    arm_for: int = 86_400
    node: Node
