"""One machine."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from kindling.models.architecture import Architecture
from kindling.models.base import StackModel
from kindling.models.kubernetes import Kubelet
from kindling.models.network import Network
from kindling.models.parsers import matching
from kindling.models.passwd import Passwd
from kindling.models.role import Role
from kindling.models.storage import Storage
from kindling.models.systemd import Systemd
from kindling.models.types import (
    Arch,
    Hostname,
    IpAddress,
    LinkName,
    MacAddresses,
    Number,
    Setting,
    Text,
)

# Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_PREFIX = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?"
_WORD = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LabelKey = Annotated[
    str,
    AfterValidator(
        matching(_PREFIX + _WORD, "is not a label key; write it like example.com/rack or rack")
    ),
]
LabelValue = Annotated[
    str,
    AfterValidator(
        matching(f"({_WORD})?", "is not a label value; use at most 63 letters, digits, - _ and .")
    ),
]
# Flatcar's ignition-kargs-helper keeps arguments in a quoted line of GRUB's. One that GRUB or that
# script reads differently is never found again, so the first boot would restart without end.
KernelArgument = Annotated[
    str,
    AfterValidator(matching(r"\S+", "is not one kernel argument; give one per list entry")),
    AfterValidator(
        matching(
            r'[^"\\$|`]+', 'has one of " \\ $ | `, with which Flatcar restarts for ever; do without'
        )
    ),
]
SysctlName = Annotated[
    str,
    AfterValidator(matching(r"[A-Za-z0-9_./*-]+", "is not a sysctl; write it like vm.swappiness")),
]


class Taint(StackModel):
    """A Kubernetes taint of the node."""

    key: LabelKey = Field(description="Taint key.")
    value: LabelValue = Field("", description="Taint value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(description="Effect.")


class KernelArguments(StackModel):
    """Arguments of the installed system's kernel."""

    should_exist: tuple[KernelArgument, ...] = Field((), description="Arguments to add.")
    should_not_exist: tuple[KernelArgument, ...] = Field((), description="Arguments to remove.")


class Node(StackModel):
    """One machine, complete: what `defaults` and its pool give it is already in."""

    hostname: Hostname = Field(description="Fully qualified name, unique.")
    mac_address: MacAddresses = Field(
        description="MAC address of the card that boots; several when the cards of a bond may."
    )
    arch: Arch = Field(Architecture.X86_64, description="Architecture of the machine.")
    role: Role = Field(description="What the machine is for.")
    os: Literal["flatcar"] = Field("flatcar", description="Operating system.")
    generation: Number = Field(1, ge=1, description="Raise it to install the machine again.")
    pool: LinkName | None = Field(None, description="Name of the pool whose values it takes.")
    labels: dict[LabelKey, LabelValue] = Field({}, description="Kubernetes labels.")
    # None and () differ: only without the key does kubeadm taint control planes.
    taints: tuple[Taint, ...] | None = Field(
        None,
        description="Kubernetes taints. When absent, control planes get kubeadm's own "
        "(node-role.kubernetes.io/control-plane:NoSchedule); [] gives them none.",
    )
    address: IpAddress | None = Field(
        None,
        description="Where other machines reach it; its first static IPv4 address when absent. "
        "Control planes, etcd nodes and load balancers need one, also when DHCP gives it.",
    )
    kubelet: Kubelet = Field(Kubelet(), description="Settings of its kubelet.")
    storage: Storage = Field(description="Disks, filesystems and files; installDisk at least.")
    network: Network = Field(Network(), description="Interfaces; DHCP when absent.")
    kernel_arguments: KernelArguments = Field(
        KernelArguments(), description="Kernel command line of the installed system."
    )
    kernel_parameters: dict[SysctlName, Setting] = Field({}, description="Sysctl settings.")
    systemd: Systemd = Field(Systemd(), description="Systemd units.")
    passwd: Passwd = Field(Passwd(), description="Users and groups.")
    pre_install_commands: tuple[Text, ...] = Field(
        (), description="Shell commands that the installer runs before it writes the disk."
    )
    post_install_commands: tuple[Text, ...] = Field(
        (), description="Shell commands that the installer runs after it wrote the disk."
    )

    @property
    def primary_mac(self) -> str:
        """The MAC address that names the node's documents."""
        return self.mac_address[0]

    @property
    def reached_at(self) -> str | None:
        """The address at which other machines reach it, when the stack file tells one."""
        if self.address is not None:
            return self.address
        static = [a for each in self.network.interfaces.values() for a in each.addresses]
        ipv4 = [address for address in static if ":" not in address]
        return (ipv4 or static)[0].partition("/")[0] if static else None

    def interface_beside(self, address: str) -> str | None:
        """The interface with a static address in the network of ``address``, as the file names it.

        Linux may call a card otherwise: see docs/flatcar.md.
        """
        wanted = ip_address(address)
        for name, interface in self.network.interfaces.items():
            if any(wanted in ip_interface(each).network for each in interface.addresses):
                return name
        return None

    @property
    def only_card(self) -> str | None:
        """The name of the card that is known without its own address: one MAC, one ethernet.

        With a bond the node's address may be that of a member, so then there is none.
        """
        if len(self.mac_address) > 1 or len(self.network.ethernets) != 1 or self.network.bonds:
            return None
        ((name, card),) = self.network.ethernets.items()
        return name if card.mac_address in (None, self.primary_mac) else None

    @property
    def short_name(self) -> str:
        """The hostname without its domain."""
        return self.hostname.partition(".")[0]
