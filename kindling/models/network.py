"""How a node is connected: the words are netplan's, what is written is systemd-networkd's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from kindling.models.base import StackModel
from kindling.models.parsers import refuse_truth
from kindling.models.types import (
    Cidr,
    Flag,
    Gateway4,
    Gateway6,
    InterfaceAddress,
    InterfaceName,
    IpAddress,
    MacAddress,
    Natural,
    Number,
    Text,
)

# The least that IPv4 allows (RFC 791), the most that Linux takes.
Mtu = Annotated[int, Field(ge=68, le=65_536), BeforeValidator(refuse_truth)]
BondMode = Literal[
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
]


class Route(StackModel):
    """One static route."""

    to: Cidr = Field(description="Destination network, or default.")
    via: IpAddress | None = Field(None, description="Next hop; a directly connected route without.")
    metric: Natural | None = Field(None, description="Preference; lower wins.")


class Nameservers(StackModel):
    """Name resolution of an interface."""

    addresses: tuple[IpAddress, ...] = Field((), description="Addresses of DNS servers.")
    search: tuple[Text, ...] = Field((), description="Search domains.")


class Interface(StackModel):
    """What every kind of interface has."""

    dhcp4: Flag = Field(False, description="Ask for an IPv4 address by DHCP.")
    dhcp6: Flag = Field(False, description="Ask for an IPv6 address by DHCP.")
    addresses: tuple[InterfaceAddress, ...] = Field(
        (), description="Static addresses with prefix length, IPv4 and IPv6."
    )
    gateway: Gateway4 | None = Field(None, description="IPv4 default gateway.")
    gateway6: Gateway6 | None = Field(None, description="IPv6 default gateway.")
    routes: tuple[Route, ...] = Field((), description="Further static routes.")
    nameservers: Nameservers = Field(Nameservers(), description="DNS servers and search domains.")
    mtu: Mtu | None = Field(None, description="Largest packet in bytes.")


class Ethernet(Interface):
    """A network card."""

    mac_address: MacAddress | None = Field(
        None, description="Match the card by this address instead of by its name."
    )


class BondParameters(StackModel):
    """How the members of a bond work together."""

    lacp_rate: Literal["slow", "fast"] | None = Field(None, description="Rate of LACP packets.")
    miimon: Natural | None = Field(None, description="Link check interval in milliseconds.")
    transmit_hash_policy: (
        Literal["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4", "vlan+srcmac"] | None
    ) = Field(None, description="What decides the member that a packet leaves by.")
    primary: InterfaceName | None = Field(None, description="Preferred member (active-backup).")


class Bond(Interface):
    """Several network cards as one interface."""

    interfaces: tuple[InterfaceName, ...] = Field(
        min_length=1, description="Members: names of ethernets, or of network cards as Linux does."
    )
    mode: BondMode = Field("active-backup", description="Bonding mode.")
    parameters: BondParameters = Field(BondParameters(), description="Details of the mode.")


class Vlan(Interface):
    """A tagged network on top of another interface."""

    id: Number = Field(ge=1, le=4094, description="VLAN tag.")
    link: InterfaceName = Field(description="Interface below: one of ethernets or bonds.")


class Network(StackModel):
    """All interfaces of a node by name. Without any: DHCP on the card with the first MAC."""

    ethernets: dict[InterfaceName, Ethernet] = Field({}, description="Network cards by name.")
    bonds: dict[InterfaceName, Bond] = Field({}, description="Bonds by name.")
    vlans: dict[InterfaceName, Vlan] = Field({}, description="VLANs by name.")

    @property
    def interfaces(self) -> dict[str, Interface]:
        """Every interface by name, those that others stand on first."""
        return {**self.ethernets, **self.bonds, **self.vlans}
