"""The steps of a boot, in the words of the page, and how file requests become steps."""

from __future__ import annotations

from collections.abc import Sequence

from kindling.bootserver.records import Event

# Kinds of events, in the order in which a machine that is installed meets them.
SCRIPT_INSTALL = "script-install"
SCRIPT_DISK = "script-disk"
SCRIPT_STOP = "script-stop"
KERNEL = "kernel"
INITRD = "initrd"
IGNITION = "ignition"
INSTALLING = "installing"
IMAGE = "image"
INSTALLED = "installed"
BOOTED = "booted"
INITIALISING = "initialising"
JOINING = "joining"
JOINED = "joined"
READY = "ready"
CLUSTER_FAILED = "cluster-failed"
FAILED = "failed"
REFUSED = "refused"
MISSING = "missing"

TITLES = {
    SCRIPT_INSTALL: "install script served",
    SCRIPT_DISK: "disk script served",
    SCRIPT_STOP: "stop script served",
    KERNEL: "kernel fetched",
    INITRD: "initrd fetched",
    IGNITION: "Ignition fetched",
    INSTALLING: "installing",
    IMAGE: "image fetched",
    INSTALLED: "installed",
    BOOTED: "booted",
    INITIALISING: "initialising the cluster",
    JOINING: "joining",
    JOINED: "joined",
    READY: "ready",
    CLUSTER_FAILED: "failed in the cluster",
    FAILED: "failed",
    REFUSED: "refused",
    MISSING: "file missing",
}

STARTS = frozenset({SCRIPT_INSTALL, SCRIPT_DISK, SCRIPT_STOP})  # a boot begins with its script

_FILES = (  # the names that Flatcar gives its files
    ("_pxe.vmlinuz", KERNEL),
    ("_pxe_image.cpio.gz", INITRD),
    ("_image.bin.bz2", IMAGE),
)


def kind_of_file(path: str) -> str | None:
    """Which step the request of an asset is, or None for one that is no step."""
    return next((kind for ending, kind in _FILES if path.endswith(ending)), None)


def last_boots(events: Sequence[Event], count: int = 2) -> list[list[Event]]:
    """The newest boots, newest first; each from its script on, oldest event first."""
    boots: list[list[Event]] = [[]]
    for event in events:
        if event.kind in STARTS and boots[-1]:
            boots.append([])
        boots[-1].append(event)
    return [boot for boot in reversed(boots[-count:]) if boot]
