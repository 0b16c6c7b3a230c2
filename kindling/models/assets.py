"""Artifacts as values: what is fetched, where it is published, and what its bytes must be."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kindling.models.architecture import Architecture

AssetKind = Literal["flatcar", "sysext", "ipxe", "manifest", "image"]

# How a publisher tells what a file must be: a Gentoo-style `<file>.DIGESTS`, a SHA256SUMS beside
# it, or not at all, because the file is itself a signature that its consumer verifies, because
# everything in it is addressed by digest (an image of a registry), or because it is the user's own.
ChecksumFormat = Literal["digests", "sha256sums", "signature", "registry", "own"]


class AssetFile(BaseModel):
    """One file. ``sha256`` (hex) and ``size`` (bytes) are None until the lock file gives them."""

    model_config = ConfigDict(frozen=True)

    path: str  # where it is published: assets/flatcar/x86-64/4230.2.3/...
    url: str  # upstream
    sha256: str | None = None
    size: int | None = None
    # Only locking asks for it, so it stays out of dumps and thereby out of the engine's state.
    checksums: ChecksumFormat | None = Field(default=None, exclude=True)


class Asset(BaseModel):
    """One artifact, of one architecture or (None) for all; a signature travels with its file."""

    model_config = ConfigDict(frozen=True)

    name: str  # unique per architecture: flatcar-kernel, containerd, ipxe-efi, ...
    kind: AssetKind
    version: str
    arch: Architecture | None
    files: tuple[AssetFile, ...]  # the first is the artifact itself, the rest belong to it
    estimated_size: int = 0  # bytes, for the notice before anything is fetched

    @property
    def main(self) -> AssetFile:
        """The artifact's own file."""
        return self.files[0]

    @property
    def locked(self) -> bool:
        """Whether the bytes of every file are pinned."""
        return all(file.sha256 and file.size is not None for file in self.files)
