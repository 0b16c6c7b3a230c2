"""What is installed: versions, where unknown ones come from, and mirrors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kindling.models.base import StackModel
from kindling.models.role import Role
from kindling.models.types import Arch, LinkName, Location, Sha256, Url, Version

Channel = Literal["stable", "beta", "alpha", "lts"]
Component = Literal["flatcar", "kubernetes", "containerd", "etcd", "keepalived", "haproxy"]


class Flatcar(StackModel):
    """The release of Flatcar Container Linux."""

    channel: Channel = Field("stable", description="Release channel.")
    version: Version = Field(description="Release, such as 4230.2.3.")


class Sysext(StackModel):
    """A further system extension."""

    name: LinkName = Field(description="Name of the extension.")
    version: Version = Field(description="Its version.")
    roles: tuple[Role, ...] | None = Field(None, description="Roles that get it; all when absent.")
    url: dict[Arch, Url] | None = Field(
        None, description="Where it comes from, per architecture, when the catalog has it not."
    )
    sha256: dict[Arch, Sha256] = Field(
        {}, description="SHA-256 per architecture, when nobody publishes one."
    )


class Assets(StackModel):
    """Every artifact of the cluster."""

    flatcar: Flatcar = Field(description="The operating system.")
    kubernetes: Version | None = Field(None, description="Kubernetes version, such as 1.33.6.")
    containerd: Version | None = Field(None, description="containerd version.")
    etcd: Version | None = Field(None, description="etcd version (control planes and etcd nodes).")
    keepalived: Version | None = Field(
        None, description="keepalived version (machines that share a virtual address)."
    )
    haproxy: Version | None = Field(
        None, description="HAProxy version (load balancers), run from its image."
    )
    sysexts: tuple[Sysext, ...] = Field((), description="Further system extensions.")
    urls: dict[Component, dict[Arch, Url]] = Field(
        {},
        description="Sources of versions that the catalog does not know, per architecture: the "
        "extension's file, or the directory with Flatcar's files.",
    )
    mirrors: tuple[Location, ...] = Field(
        (), description="URLs or directories that are asked before upstream."
    )

    @property
    def versions(self) -> dict[str, str]:
        """Version by component, those that are given."""
        named = {
            "kubernetes": self.kubernetes,
            "containerd": self.containerd,
            "etcd": self.etcd,
            "keepalived": self.keepalived,
            "haproxy": self.haproxy,
        }
        given = {name: version for name, version in named.items() if version is not None}
        return {"flatcar": self.flatcar.version, **given}
