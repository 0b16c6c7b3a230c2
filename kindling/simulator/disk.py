"""The disk of a simulated machine: one JSON file, so that it outlives the process.

It holds what an installation leaves behind: nothing, somebody else's system, or a node's. Only the
files that a node needs at its later boots are kept, the rest of a system is not.
"""

from __future__ import annotations

import os
import tempfile
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kindling.errors import SimulationError


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Contents(StrEnum):
    """What a look at the disk finds."""

    EMPTY = "empty"
    FOREIGN = "foreign"
    NODE = "node"


class Marker(_Record):
    """``/oem/kindling.json``: what was installed."""

    host: str
    stack: str
    generation: int
    digest: str


class Image(_Record):
    """The image that was written: URL, size in bytes, SHA-256."""

    url: str
    size: int
    sha256: str


class DiskState(_Record):
    """The file's content."""

    simulated: bool = True
    contents: Contents = Contents.EMPTY
    description: str = ""  # of a foreign system
    marker: Marker | None = None
    image: Image | None = None
    note: str = ""  # in the second last MiB: an installation of this note's owner is under way
    ignition: str | None = None  # /oem/config.ign: text, with the node's secrets
    oem_arguments: str = ""  # linux_append in /oem/grub.cfg
    first_boot_done: bool = False
    files: dict[str, str] = {}  # /etc/kindling/* of the node
    reporter: bool = False  # kindling-report.service starts at boot
    member: int = 0  # incarnation of the cluster that this system joined; 0: none
    writes: int = 0  # how often an installer began to write an image


class Disk:
    """A machine's disk. Each change is saved at once and atomically; the file is private (0600)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = self._load()

    @classmethod
    def of(cls, directory: Path, mac: str) -> Disk:
        """The disk of the machine with this first MAC, in a directory of disks."""
        return cls(directory / f"{mac.replace(':', '-')}.json")

    @property
    def boots(self) -> bool:
        """Whether there is anything to boot."""
        return self.state.contents is not Contents.EMPTY

    def save(self) -> None:
        """Write the state to the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".disk-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.state.model_dump_json(indent=1) + "\n")
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def change(self, **values: object) -> None:
        """Set some fields of the state and save it."""
        self.state = self.state.model_copy(update=values)
        self.save()

    def make_foreign(self, description: str) -> None:
        """Somebody else's system, or half of one, is on the disk now; a note stays where it is."""
        self.state = DiskState(
            contents=Contents.FOREIGN,
            description=description,
            note=self.state.note,
            writes=self.state.writes,
        )
        self.save()

    def begin_writing(self) -> None:
        """The first bytes of an image are written: whatever was there is gone."""
        self.make_foreign("half of an interrupted installation")
        self.change(writes=self.state.writes + 1)

    def install(self, marker: Marker, image: Image, ignition: str, oem_arguments: str) -> None:
        """What a finished installation leaves: the marker is there, the note is erased."""
        self.state = DiskState(
            contents=Contents.NODE,
            marker=marker,
            image=image,
            ignition=ignition,
            oem_arguments=oem_arguments,
            writes=self.state.writes,
        )
        self.save()

    def _load(self) -> DiskState:
        try:
            return DiskState.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return DiskState()
        except ValidationError as error:
            raise SimulationError(
                f"{self.path}: not a simulated disk; remove it for an empty one"
            ) from error
