"""The ``storage`` section of Ignition 3.x, and the resources that all sections share.

Source: https://coreos.github.io/ignition/configuration-v3_5/
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_HASH = re.compile(r"sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128}")


def _absolute(path: str) -> str:
    if not path.startswith("/") or "/../" in f"{path}/":
        raise ValueError("must be an absolute path")
    return path


def _hash(value: str | None) -> str | None:
    if value is not None and not _HASH.fullmatch(value):
        raise ValueError("must be sha256- or sha512- and the digest in lower-case hex")
    return value


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


class Section(BaseModel):
    """Base: frozen, camelCase keys, unknown keys and loose types refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class Verification(Section):
    """``hash`` is over the content after decompression."""

    hash: Annotated[str | None, AfterValidator(_hash)] = None


class Header(Section):
    """One HTTP header of a request; no value removes it."""

    name: str
    value: str | None = None


class Resource(Section):
    """Content that lies elsewhere, or in a data: URL."""

    source: str | None = None
    compression: str | None = Field(default=None, pattern="^(gzip)?$")
    http_headers: tuple[Header, ...] = ()
    verification: Verification = Verification()


class Principal(Section):
    """A user or a group, by number or by name."""

    id: int | None = None
    name: str | None = None


class _Path(Section):
    path: AbsolutePath
    overwrite: bool | None = None
    user: Principal = Principal()
    group: Principal = Principal()


class File(_Path):
    """One entry of ``storage.files``; ``mode`` is a decimal number."""

    mode: int | None = Field(default=None, ge=0, le=0o7777)
    contents: Resource = Resource()
    append: tuple[Resource, ...] = ()


class Directory(_Path):
    """One entry of ``storage.directories``."""

    mode: int | None = Field(default=None, ge=0, le=0o7777)


class Link(_Path):
    """One entry of ``storage.links``."""

    target: str = Field(min_length=1)
    hard: bool | None = None


class Partition(Section):
    """One partition of a disk."""

    number: int = 0
    label: str | None = None
    guid: str | None = None
    type_guid: str | None = None
    size_mib: int | None = Field(default=None, alias="sizeMiB")
    start_mib: int | None = Field(default=None, alias="startMiB")
    resize: bool | None = None
    should_exist: bool | None = None
    wipe_partition_entry: bool | None = None


class Disk(Section):
    """One entry of ``storage.disks``."""

    device: AbsolutePath
    wipe_table: bool | None = None
    partitions: tuple[Partition, ...] = ()


class Raid(Section):
    """One entry of ``storage.raid``."""

    name: str
    level: str | None = None
    devices: tuple[AbsolutePath, ...] = ()
    spares: int | None = None
    options: tuple[str, ...] = ()


class Tang(Section):
    """One Tang server."""

    url: str
    thumbprint: str | None = None
    advertisement: str | None = None


class ClevisCustom(Section):
    """A Clevis pin of its own."""

    config: str | None = None
    needs_network: bool | None = None
    pin: str | None = None


class Clevis(Section):
    """How a LUKS volume is unlocked without a typed key."""

    custom: ClevisCustom = ClevisCustom()
    tang: tuple[Tang, ...] = ()
    threshold: int | None = None
    tpm2: bool | None = None


class Cex(Section):
    """IBM's Crypto Express."""

    enabled: bool | None = None


class Luks(Section):
    """One entry of ``storage.luks``."""

    name: str
    device: AbsolutePath | None = None
    label: str | None = None
    uuid: str | None = None
    key_file: Resource = Resource()
    options: tuple[str, ...] = ()
    open_options: tuple[str, ...] = ()
    discard: bool | None = None
    wipe_volume: bool | None = None
    clevis: Clevis = Clevis()
    cex: Cex = Cex()


class Filesystem(Section):
    """One entry of ``storage.filesystems``."""

    device: AbsolutePath
    format: str | None = None
    path: str | None = None
    label: str | None = None
    uuid: str | None = None
    options: tuple[str, ...] = ()
    mount_options: tuple[str, ...] = ()
    wipe_filesystem: bool | None = None


class Storage(Section):
    """The ``storage`` section."""

    disks: tuple[Disk, ...] = ()
    raid: tuple[Raid, ...] = ()
    luks: tuple[Luks, ...] = ()
    filesystems: tuple[Filesystem, ...] = ()
    files: tuple[File, ...] = ()
    directories: tuple[Directory, ...] = ()
    links: tuple[Link, ...] = ()
