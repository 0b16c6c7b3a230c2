"""Disks and what is on them: the words are Butane's, so that its documentation applies.

Source: Butane's Flatcar configuration 1.1.0 (Ignition 3.4).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from kindling.models.base import StackModel
from kindling.models.parsers import matching
from kindling.models.types import (
    AbsolutePath,
    DiskPath,
    FileMode,
    Flag,
    LinkName,
    Natural,
    Number,
    Sha256,
    Text,
    Url,
    WholeDisk,
)

# GPT allows 36 UTF-16 units; Ignition refuses colons because sgdisk splits on them.
PartitionLabel = Annotated[
    str,
    AfterValidator(matching(r"[^:\s]{1,36}", "is not a label; use at most 36 characters, no :")),
]
Guid = Annotated[
    str,
    AfterValidator(
        matching(
            r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
            "is not a GUID; write it like 0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        )
    ),
]


class Partition(StackModel):
    """One partition. On the install disk: 9 (ROOT) may grow, 10 and up may be added."""

    number: Number = Field(ge=0, le=128, description="Partition number; 0 takes the next free one.")
    label: PartitionLabel | None = Field(None, description="Partition label (GPT name).")
    size_mib: Natural | None = Field(
        None, description="Size in MiB; 0 takes all the room that is left."
    )
    start_mib: Natural | None = Field(
        None, description="Start in MiB; 0 takes the start of the largest free block."
    )
    type_guid: Guid | None = Field(None, description="GPT type; a Linux filesystem when absent.")
    guid: Guid | None = Field(None, description="GPT GUID of this one partition.")
    should_exist: Flag | None = Field(None, description="false deletes the partition.")
    resize: Flag | None = Field(None, description="Grow or shrink an existing partition.")
    wipe_partition_entry: Flag | None = Field(
        None, description="Delete an existing partition that does not match, and make it anew."
    )


class Disk(StackModel):
    """One disk and its partitions."""

    device: DiskPath = Field(description="Absolute device path.")
    wipe_table: Flag = Field(False, description="Erase the partition table (not install disk).")
    partitions: tuple[Partition, ...] = Field((), description="Partitions of this disk.")


class Raid(StackModel):
    """One software RAID array."""

    name: LinkName = Field(description="The array appears as /dev/md/<name>.")
    level: Literal["linear", "raid0", "raid1", "raid4", "raid5", "raid6", "raid10"] = Field(
        description="RAID level."
    )
    devices: tuple[DiskPath, ...] = Field(min_length=1, description="Member devices.")
    spares: Natural = Field(0, description="How many of the devices are spares.")
    options: tuple[Text, ...] = Field((), description="Further arguments of mdadm.")


class Tang(StackModel):
    """A Tang server that takes part in unlocking a volume."""

    url: Url = Field(description="The Tang server.")
    thumbprint: Text = Field(description="Thumbprint of its signing key.")


class Clevis(StackModel):
    """What unlocks an encrypted volume at boot."""

    tpm2: Flag = Field(False, description="Bind the key to the machine's TPM 2.0.")
    tang: tuple[Tang, ...] = Field((), description="Tang servers.")
    threshold: Natural | None = Field(None, description="How many of them must answer.")

    @model_validator(mode="after")
    def _has_a_pin(self) -> Self:
        pins = len(self.tang) + self.tpm2
        if not pins:
            raise ValueError("unlocks nothing; set tpm2: true or give tang servers")
        if not 1 <= (1 if self.threshold is None else self.threshold) <= pins:
            raise ValueError(f"needs {self.threshold} of {pins} keys; threshold is 1 to {pins}")
        return self


class Luks(StackModel):
    """One encrypted volume. Its key is made on the machine and bound by Clevis; never in here."""

    name: LinkName = Field(description="The volume appears as /dev/mapper/<name>.")
    device: DiskPath = Field(description="The device that is encrypted.")
    label: Text | None = Field(None, description="LUKS label.")
    clevis: Clevis = Field(description="What unlocks the volume at boot.")
    wipe_volume: Flag = Field(False, description="Erase what is on the device.")
    options: tuple[Text, ...] = Field((), description="Further arguments of cryptsetup luksFormat.")


class Filesystem(StackModel):
    """One filesystem and where it is mounted."""

    device: DiskPath = Field(description="The device that holds it.")
    format: Literal["ext4", "btrfs", "xfs", "vfat", "swap"] = Field(description="Its kind.")
    path: AbsolutePath | None = Field(None, description="Mount point.")
    label: Text | None = Field(None, description="Filesystem label.")
    wipe_filesystem: Flag = Field(False, description="Make it anew even if a fitting one exists.")
    options: tuple[Text, ...] = Field((), description="Further arguments of mkfs.")
    mount_options: tuple[Text, ...] = Field((), description="Options of mount.")
    with_mount_unit: Flag = Field(False, description="Write a systemd mount (or swap) unit.")

    @model_validator(mode="after")
    def _mount_needs_path(self) -> Self:
        if self.with_mount_unit and self.format != "swap" and self.path is None:
            raise ValueError("has withMountUnit but nowhere to mount; add path")
        return self


class Contents(StackModel):
    """A file's bytes: written here, or fetched and verified."""

    inline: str | None = Field(None, description="The text itself; never a secret.")
    source: Url | None = Field(None, description="URL that the machine fetches the file from.")
    sha256: Sha256 | None = Field(None, description="SHA-256 of the fetched file (hexadecimal).")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.inline is None) == (self.source is None):
            raise ValueError("needs exactly one of: inline, source")
        if (self.source is None) != (self.sha256 is None):
            raise ValueError("needs source and sha256 together; inline text needs no digest")
        return self


class Owned(StackModel):
    """What files, directories and links have in common."""

    path: AbsolutePath = Field(description="Absolute path on the node.")
    user: Text | None = Field(None, description="Owner; root when absent.")
    group: Text | None = Field(None, description="Group; root when absent.")
    overwrite: Flag | None = Field(None, description="Replace what exists at the path.")


class File(Owned):
    """One file on the installed system."""

    mode: FileMode | None = Field(None, description='Mode in octal, such as "0644" (the default).')
    contents: Contents = Field(description="Where the bytes come from.")


class Directory(Owned):
    """One directory on the installed system."""

    mode: FileMode | None = Field(None, description='Mode in octal, such as "0755" (the default).')


class Link(Owned):
    """One link on the installed system."""

    target: Text = Field(description="What the link points to.")
    hard: Flag = Field(False, description="A hard link instead of a symbolic one.")


class Storage(StackModel):
    """All disks of a node, and files on its system."""

    install_disk: WholeDisk = Field(description="The disk that the system is installed on.")
    overwrite: Flag = Field(
        False, description="Install even if a system of somebody else is on the install disk."
    )
    disks: tuple[Disk, ...] = Field((), description="Partition tables.")
    raid: tuple[Raid, ...] = Field((), description="Software RAID arrays.")
    luks: tuple[Luks, ...] = Field((), description="Encrypted volumes.")
    filesystems: tuple[Filesystem, ...] = Field((), description="Filesystems and mount points.")
    files: tuple[File, ...] = Field((), description="Files to write.")
    directories: tuple[Directory, ...] = Field((), description="Directories to make.")
    links: tuple[Link, ...] = Field((), description="Links to make.")
