"""Checks within a node's storage; above all, what would destroy the system just installed.

Partition numbers: 1 to 9 are Flatcar's own. 9 is ROOT, the last one, and the only one that may
change its size. Source: https://www.flatcar.org/docs/latest/reference/developer-guides/sdk-disk-partitions/
"""

from __future__ import annotations

from collections.abc import Iterator

from kindling.models.node import Node
from kindling.models.node_checks import Finding, repeated
from kindling.models.paths import Location
from kindling.models.storage import Disk, Partition, Storage

ROOT = 9
_RESERVED = ("/etc/kindling", "/opt/kindling")


def check_storage(node: Node) -> Iterator[Finding]:
    """Everything about one node's disks and files."""
    storage = node.storage
    for index, disk in enumerate(storage.disks):
        here: Location = ("storage", "disks", index)
        if disk.device == storage.install_disk:
            yield from _check_install_disk(disk, here)
        yield from _check_partitions(disk, here)
    yield from _check_devices(storage)
    yield from _check_names(storage)
    yield from _check_paths(storage)


def _check_install_disk(disk: Disk, here: Location) -> Iterator[Finding]:
    if disk.wipe_table:
        message = "would erase the system on the install disk; remove wipeTable"
        yield Finding((*here, "wipeTable"), message)
    for index, partition in enumerate(disk.partitions):
        place: Location = (*here, "partitions", index)
        if partition.number < ROOT:
            message = (
                "is not yours on the install disk: 1 to 8 are the system's; "
                "use 9 to grow ROOT, 10 and up for partitions of your own"
            )
            yield Finding((*place, "number"), message, partition.number)
        elif partition.number == ROOT:
            yield from _check_root(partition, place)


def _check_root(partition: Partition, place: Location) -> Iterator[Finding]:
    """ROOT may grow in place; it may not be deleted, moved, renamed or made anew."""
    refused = {
        "shouldExist": partition.should_exist is False,
        "wipePartitionEntry": bool(partition.wipe_partition_entry),
        "startMib": bool(partition.start_mib),
        "typeGuid": partition.type_guid is not None,
        "guid": partition.guid is not None,
        "label": partition.label not in (None, "ROOT"),
    }
    for key, found in refused.items():
        if found:
            message = f"would change ROOT (9), which may only grow; remove {key}"
            yield Finding((*place, key), message)
    if not partition.resize:
        message = "is ROOT, which may only grow; add resize: true and sizeMib"
        yield Finding((*place, "number"), message, ROOT)


def _check_partitions(disk: Disk, here: Location) -> Iterator[Finding]:
    entries = list(enumerate(disk.partitions))
    numbers = (
        ((*here, "partitions", index, "number"), each.number)
        for index, each in entries
        if each.number
    )
    yield from repeated(numbers)
    labels = (
        ((*here, "partitions", index, "label"), each.label) for index, each in entries if each.label
    )
    yield from repeated(labels)
    for index, each in entries:
        if not each.number and not each.label:
            message = "is 0 (the next free one), so a label must tell the partition; add label"
            yield Finding((*here, "partitions", index, "number"), message, 0)


def _check_devices(storage: Storage) -> Iterator[Finding]:
    """Nothing but partitions is made on the install disk itself."""
    users: list[tuple[Location, str]] = [
        (("storage", "filesystems", index, "device"), each.device)
        for index, each in enumerate(storage.filesystems)
    ]
    users += [
        (("storage", "luks", index, "device"), each.device)
        for index, each in enumerate(storage.luks)
    ]
    users += [
        (("storage", "raid", index, "devices", position), device)
        for index, each in enumerate(storage.raid)
        for position, device in enumerate(each.devices)
    ]
    for location, device in users:
        if device == storage.install_disk:
            yield Finding(location, "is the install disk; name a partition of it", device)
    yield from repeated(users)
    for index, raid in enumerate(storage.raid):
        if raid.spares >= len(raid.devices):
            message = f"leaves no active member of {len(raid.devices)} devices; lower spares"
            yield Finding(("storage", "raid", index, "spares"), message, raid.spares)


def _check_names(storage: Storage) -> Iterator[Finding]:
    disks = enumerate(storage.disks)
    devices = ((("storage", "disks", index, "device"), disk.device) for index, disk in disks)
    yield from repeated(devices)
    arrays = enumerate(storage.raid)
    names = ((("storage", "raid", index, "name"), raid.name) for index, raid in arrays)
    yield from repeated(names)
    volumes = enumerate(storage.luks)
    names = ((("storage", "luks", index, "name"), luks.name) for index, luks in volumes)
    yield from repeated(names)
    mounted = enumerate(storage.filesystems)
    mounts = (
        (("storage", "filesystems", i, "path"), each.path) for i, each in mounted if each.path
    )
    yield from repeated(mounts)


def _check_paths(storage: Storage) -> Iterator[Finding]:
    paths = [
        (("storage", kind, index, "path"), entry.path)
        for kind, entries in (
            ("files", storage.files),
            ("directories", storage.directories),
            ("links", storage.links),
        )
        for index, entry in enumerate(entries)
    ]
    yield from repeated(paths)
    for location, path in paths:
        if path in _RESERVED or path.startswith(tuple(f"{each}/" for each in _RESERVED)):
            yield Finding(location, "is Kindling's own place on a node; choose another", path)
        elif path == "/etc/hostname":
            yield Finding(location, "is written from hostname; remove it", path)
