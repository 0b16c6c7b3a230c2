"""An image of one platform as an OCI archive: the same image always gives the same bytes.

The form is the image layout (OCI image specification, image-layout.md) in a tar file, sorted and
without times or owners. Layers stay compressed as the registry has them, so every byte follows
from the image's digest, and the archive can be pinned like any other artifact.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kindling.artifacts.registry import INDEXES, Descriptor, Document, Registry
from kindling.artifacts.web import SourceFailed

_BLOCK = 512  # bytes, of a tar file
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
# Annotations by which containerd and podman know what an image is called.
_CONTAINERD_NAME = "io.containerd.image.name"
_OCI_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Platform:
    """As Go and registries write it: linux, arm64."""

    os: str
    architecture: str

    @classmethod
    def parse(cls, text: str) -> Platform:
        """From ``linux/arm64``."""
        system, _, architecture = text.partition("/")
        return cls(system, architecture)

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True)
class Archive:
    """What an archive will hold; ``size`` in bytes of the whole."""

    manifest: Document
    blobs: tuple[Descriptor, ...]  # config and layers, each once
    index: bytes

    @property
    def size(self) -> int:
        """Everything with headers and padding."""
        sizes = [blob.size for blob in self.blobs]
        sizes += [len(self.manifest.body), len(self.index), len(_LAYOUT)]
        return sum(_BLOCK + _padded(size) for size in sizes) + 2 * _BLOCK


def plan_archive(registry: Registry, platform: Platform) -> Archive:
    """Find the image of a platform. Raises `SourceFailed` and what `Registry.manifest` raises."""
    manifest = _manifest_for(registry, platform)
    data = manifest.data
    config = Descriptor.of(data.get("config") or {})
    layers = [Descriptor.of(layer) for layer in data.get("layers") or ()]
    blobs = {blob.digest: blob for blob in (config, *layers)}
    return Archive(manifest, tuple(blobs.values()), _index(registry, manifest, platform))


def archive_chunks(registry: Registry, archive: Archive) -> Iterator[bytes]:
    """The bytes of the archive. Raises what `Registry.blob` raises."""
    entries = {f"blobs/sha256/{blob.digest[7:]}": blob for blob in archive.blobs}
    own = f"blobs/sha256/{archive.manifest.digest[7:]}"
    for name in sorted((*entries, own)):
        if name == own:
            yield from _entry(name, archive.manifest.body)
        else:
            blob = entries[name]
            yield _header(name, blob.size)
            yield from registry.blob(blob)
            yield bytes(_padded(blob.size) - blob.size)
    yield from _entry("index.json", archive.index)
    yield from _entry("oci-layout", _LAYOUT)
    yield bytes(2 * _BLOCK)


def platforms_of(registry: Registry) -> tuple[Document, dict[Platform, str]]:
    """The document that the reference leads to, and the digests of its manifests by platform."""
    found = registry.manifest()
    if found.media_type not in INDEXES:
        return found, {_platform_of(registry, found): found.digest}
    entries = found.data.get("manifests") or ()
    by_platform: dict[Platform, str] = {}
    for entry in entries:
        told = entry.get("platform") or {}
        platform = Platform(told.get("os", ""), told.get("architecture", ""))
        by_platform.setdefault(platform, Descriptor.of(entry).digest)
    return found, by_platform


def _manifest_for(registry: Registry, platform: Platform) -> Document:
    found, by_platform = platforms_of(registry)
    if platform not in by_platform:
        known = ", ".join(sorted(str(each) for each in by_platform if each.os == platform.os))
        raise SourceFailed(f"{registry.reference} has no image for {platform} (it has: {known})")
    if by_platform[platform] == found.digest:
        return found
    return registry.manifest(by_platform[platform])


def _platform_of(registry: Registry, manifest: Document) -> Platform:
    """An image without an index tells its platform in its configuration."""
    config = Descriptor.of(manifest.data.get("config") or {})
    told: dict[str, Any] = json.loads(b"".join(registry.blob(config)))
    return Platform(told.get("os", ""), told.get("architecture", ""))


def _index(registry: Registry, manifest: Document, platform: Platform) -> bytes:
    reference = registry.reference
    entry = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.body),
        "platform": {"architecture": platform.architecture, "os": platform.os},
        "annotations": {_CONTAINERD_NAME: str(reference), _OCI_NAME: reference.wanted},
    }
    media_type = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}
    return json.dumps(index, separators=(",", ":"), sort_keys=True).encode()


def _entry(name: str, body: bytes) -> Iterator[bytes]:
    yield _header(name, len(body))
    yield body.ljust(_padded(len(body)), b"\0")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
