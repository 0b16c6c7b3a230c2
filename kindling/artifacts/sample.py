"""A local mirror of small sample artifacts, for the demonstration, the tests and the benchmark.

Nothing in it boots or installs anything, and each file's head says so.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from kindling.artifacts.sources import PUBLISHED_BELOW
from kindling.models.assets import Asset, AssetFile

IMAGE_BYTES = 2_000_000
_BYTES = {"flatcar-kernel": 256_000, "flatcar-initrd": 1_000_000}  # by asset; others: the default
_DEFAULT_BYTES = 128_000
_BLOCK = 65_536


def write_sample_mirror(
    directory: Path, assets: Iterable[Asset], *, image_bytes: int = IMAGE_BYTES
) -> tuple[Path, ...]:
    """Write a sample of every file of ``assets``, laid out as a mirror, with checksum files.

    The same assets always give the same bytes; ``image_bytes`` is the size of Flatcar's disk
    image. What is there already and right is left alone. Returns the files, without checksums.
    """
    written: list[Path] = []
    digests: dict[Path, list[Path]] = defaultdict(list)
    for asset in assets:
        size = image_bytes if asset.name == "flatcar-image" else _BYTES.get(asset.name)
        for file in asset.files:
            path = directory / file.path.removeprefix(PUBLISHED_BELOW)
            signed = directory / asset.main.path.removeprefix(PUBLISHED_BELOW)
            _write(path, _content(file, size or _DEFAULT_BYTES, signed))
            written.append(path)
            if file.checksums == "digests":
                _write(path.with_name(f"{path.name}.DIGESTS"), _digests_of(path))
            elif file.checksums not in {"signature", "own"}:
                digests[path.parent].append(path)
    for parent, files in digests.items():
        _write(parent / "SHA256SUMS", _sums_of({*files, *_listed(parent)}))
    return tuple(written)


def _content(file: AssetFile, size: int, signed: Path) -> bytes:
    """A sample's bytes; a signature belongs to ``signed``, which was written before it."""
    if file.checksums == "signature":
        return _signature_of(signed)
    if file.path.endswith(".yaml"):
        return _manifest_of(file)
    head = (
        f"KINDLING SAMPLE of {file.path}\n"
        "This is not the real file. It boots nothing and installs nothing.\n\n"
    ).encode()
    return head + _filling(file.path, max(0, size - len(head)))


def _signature_of(path: Path) -> bytes:
    """In the armour of OpenPGP, but without a key: simulated machines compare the digest in it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (
        "-----BEGIN PGP SIGNATURE-----\n"
        "Comment: KINDLING SAMPLE; this signs nothing\n"
        f"Comment: KINDLING SAMPLE of SHA-256 {digest}\n\n"
        "-----END PGP SIGNATURE-----\n"
    ).encode()


def _manifest_of(file: AssetFile) -> bytes:
    """A manifest that says what it is to a reader and to a cluster."""
    name = Path(file.path).stem.replace("_", "-")
    return (
        f"# KINDLING SAMPLE of {file.path}\n"
        "# This is not the real file. It installs nothing.\n"
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        f"  name: kindling-sample-{name}\n"
        "  namespace: default\n"
    ).encode()


def _filling(seed: str, size: int) -> bytes:
    """Bytes that no magic number of a kernel or an image stands in, different for each file."""
    blocks = range(0, size, _BLOCK)
    return b"".join(
        hashlib.shake_256(f"{seed}:{start}".encode()).digest(min(_BLOCK, size - start))
        for start in blocks
    )


def _digests_of(path: Path) -> bytes:
    """In the form of Flatcar's own (see catalog/flatcar.yaml): without SHA-256."""
    body = path.read_bytes()
    lines = []
    for algorithm in ("md5", "sha1", "sha512"):
        digest = hashlib.new(algorithm, body, usedforsecurity=False).hexdigest()
        lines += [f"# {algorithm.upper()} HASH", f"{digest}  {path.name}"]
    return ("\n".join(lines) + "\n").encode()


def _sums_of(files: Iterable[Path]) -> bytes:
    ordered = sorted(files, key=lambda path: path.name)
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in ordered
    ).encode()


def _listed(directory: Path) -> list[Path]:
    """Samples that an earlier call made there for other assets."""
    return [path for path in directory.iterdir() if path.is_file() and path.name != "SHA256SUMS"]


def _write(path: Path, body: bytes) -> None:
    if path.exists() and path.read_bytes() == body:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
