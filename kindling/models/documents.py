"""The documents that the stack publishes for the boot server: the contract between the two.

They are private: readable through ``store/`` with the operator's token, never on a public path.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kindling.models.architecture import Architecture


class Document(BaseModel):
    """Base: frozen, camelCase in JSON, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    def to_json(self) -> bytes:
        """Canonical bytes: the same document always gives the same bytes."""
        return (self.model_dump_json(by_alias=True, indent=1) + "\n").encode()


class BootValues(Document):
    """What the machine's iPXE install script is made from. Paths are relative to ``base_url``."""

    base_url: str  # as machines reach the boot server, without a trailing slash
    kernel: str  # assets/flatcar/<arch>/<version>/flatcar_production_pxe.vmlinuz
    initrds: tuple[str, ...]
    arguments: tuple[str, ...]  # kernel arguments, without initrd= and ignition.config.url=
    address: str | None = None  # the installer's, where `ip=` in the arguments gives a static one


class Publication(Document):
    """One configuration that was published: which digest, for which generation."""

    generation: int
    digest: str


class NodeDocument(Document):
    """``nodes/<mac>.json`` (mac: lower case, hyphens; the node's first MAC)."""

    schema_version: int = 1
    stack: str
    cluster: str
    hostname: str
    macs: tuple[str, ...]  # lower case with colons; the first names the file, all are aliases
    arch: Architecture
    role: str
    pool: str | None = None
    os: str = "flatcar"
    generation: int = Field(ge=1)
    digest: str  # SHA-256 (hex) of the Ignition of the installed system: what `booted` reports
    ignition_digest: str  # SHA-256 (hex) of nodes/<mac>.ign, the installer's Ignition
    history: tuple[Publication, ...] = ()  # newest last, the current one included, at most 16
    status_tokens: dict[int, str] = {}  # generation -> SHA-256 (hex) of that generation's token
    auto_arm: bool = True  # False: install only after an operator's `arm`
    arm_for: int = 86_400  # seconds that arming lasts
    # Texts by name of what may change while the machine runs (design decision 10): haproxy.cfg, ...
    live: dict[str, str] = {}
    boot: BootValues


class SiteDocument(Document):
    """``sites/<stack>.json``: what the boot server must know of a stack as a whole."""

    schema_version: int = 1
    stack: str
    cluster: str
    base_url: str
    public_page: bool = False
    incarnation: int = 1  # of the cluster: one initialisation is granted for each (decision 11)


class InstallMarker(Document):
    """``/oem/kindling.json`` on an installed disk: the last word on what is installed there."""

    host: str
    stack: str
    generation: int
    digest: str


def path_of_site(stack: str) -> str:
    """Store path of a stack's site document; several stacks may share one boot server."""
    return f"sites/{stack}.json"


def path_of_node(mac: str) -> str:
    """Store path of a node's document, from its first MAC (``aa:bb:..``)."""
    return f"nodes/{mac.replace(':', '-')}.json"


def path_of_ignition(mac: str) -> str:
    """Store path of the installer's Ignition of a node, from its first MAC."""
    return f"nodes/{mac.replace(':', '-')}.ign"
