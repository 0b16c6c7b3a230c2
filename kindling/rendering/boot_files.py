"""What machines meet before they are anybody: the iPXE entry, dnsmasq's configuration, the site."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from kindling.models.architecture import Architecture
from kindling.models.cluster import Dhcp
from kindling.models.documents import SiteDocument, path_of_site
from kindling.rendering.text import render_text

IPXE = "boot.ipxe"

# The iPXE programs of UEFI machines: file name in the TFTP root and below assets/ipxe/.
PROGRAMS: Mapping[Architecture, str] = {
    Architecture.X86_64: "ipxe-x86-64.efi",
    Architecture.ARM64: "ipxe-arm64.efi",
}
# dnsmasq's words for client architectures 7 and 9, and 11.
_SERVICE_TYPES: Mapping[Architecture, tuple[str, ...]] = {
    Architecture.X86_64: ("BC_EFI", "x86-64_EFI"),
    Architecture.ARM64: ("ARM64_EFI",),
}


class BootFilesPlan(BaseModel):
    """The facts of a stack that its boot files are made from."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    stack: str
    cluster: str
    base_url: str  # as machines reach the boot server, without a trailing slash
    public_page: bool = False
    dhcp: Dhcp | None = None
    incarnation: int = 1  # of the cluster

    def to_json(self) -> str:
        """Compact JSON without defaults: short in the state, stable for equal plans."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)


def boot_file_paths(plan: BootFilesPlan) -> tuple[str, ...]:
    """Store paths of the files that `render_boot_files` makes of a plan, sorted."""
    paths = [IPXE, path_of_site(plan.stack), "dnsmasq/boot.conf"]
    if plan.dhcp:
        paths.append("dnsmasq/proxy-dhcp.conf")
        if plan.dhcp.range:
            paths.append("dnsmasq/dhcp.conf")
    return tuple(sorted(paths))


def render_boot_files(plan: BootFilesPlan) -> dict[str, bytes]:
    """Bytes by store path. The same plan gives the same bytes. Raises `RenderError`.

    Without ``dhcp`` there is only dnsmasq/boot.conf, an addition to a DHCP server of the site's
    own: a whole configuration needs the segment's addresses.
    """
    return {path: render_boot_file(path, plan) for path in boot_file_paths(plan)}


def render_boot_file(path: str, plan: BootFilesPlan) -> bytes:
    """One of the plan's files, by store path. Raises `RenderError`."""
    if path == path_of_site(plan.stack):
        return _site(plan).to_json()
    owner = f"stack {plan.stack}"
    if path == IPXE:
        return render_text("ipxe/boot.ipxe", owner, base_url=plan.base_url).encode()
    return render_text(path, owner, **_dnsmasq_values(plan)).encode()


def _site(plan: BootFilesPlan) -> SiteDocument:
    return SiteDocument(
        stack=plan.stack,
        cluster=plan.cluster,
        base_url=plan.base_url,
        public_page=plan.public_page,
        incarnation=plan.incarnation,
    )


def _dnsmasq_values(plan: BootFilesPlan) -> dict[str, object]:
    values: dict[str, object] = {
        "base_url": plan.base_url,
        "dhcp": plan.dhcp,
        "programs": {str(each): PROGRAMS[each] for each in Architecture},
        "service_types": {str(each): _SERVICE_TYPES[each] for each in Architecture},
    }
    if plan.dhcp:
        subnet = ipaddress.ip_network(plan.dhcp.subnet)
        values |= {"network": str(subnet.network_address), "netmask": str(subnet.netmask)}
    return values
