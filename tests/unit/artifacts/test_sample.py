from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kindling.artifacts.download import fetch
from kindling.artifacts.lock import update_lock
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.transfer import Manner
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset, AssetFile

BASE = "https://upstream.invalid"
VERSION = "assets/flatcar/arm64/1.2.3"
IMAGE = AssetFile(path=f"{VERSION}/image.bz2", url=f"{BASE}/image.bz2", checksums="digests")
SIGNATURE = AssetFile(
    path=f"{VERSION}/image.bz2.sig", url=f"{BASE}/image.bz2.sig", checksums="signature"
)
SYSEXT = AssetFile(
    path="assets/extensions/etcd-1-arm64.raw", url=f"{BASE}/etcd.raw", checksums="sha256sums"
)
IPXE = AssetFile(path="assets/ipxe/ipxe-arm64.efi", url=f"{BASE}/ipxe.efi")


def asset(name: str, *files: AssetFile) -> Asset:
    return Asset(name=name, kind="flatcar", version="1", arch=Architecture.ARM64, files=files)


ASSETS = (asset("flatcar-image", IMAGE, SIGNATURE), asset("etcd", SYSEXT), asset("ipxe", IPXE))


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_sample_mirror_can_be_locked_and_fetched_without_any_upstream(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    write_sample_mirror(mirror, ASSETS, image_bytes=300_000)
    lock = update_lock(ASSETS, tmp_path / "lock.yaml", mirrors=(str(mirror),), manner=Manner())
    resolution = lock.resolve(ASSETS)
    assert resolution.missing == ()
    for locked in resolution.assets:
        for file in locked.files:
            assert fetch(file, mirrors=(str(mirror),)).stat().st_size == file.size


def test_every_sample_says_what_it_is_in_its_head(tmp_path: Path) -> None:
    for path in write_sample_mirror(tmp_path, ASSETS):
        assert b"KINDLING SAMPLE" in path.read_bytes()[:100]


@pytest.mark.parametrize("magic", [b"MZ", b"\x7fELF", b"BZh", b"\x1f\x8b", b"hsqs"])
def test_no_sample_begins_like_something_that_boots_or_unpacks(
    tmp_path: Path, magic: bytes
) -> None:
    for path in write_sample_mirror(tmp_path, ASSETS):
        assert not path.read_bytes().startswith(magic)


def test_the_same_assets_give_the_same_bytes_and_other_files_give_others(tmp_path: Path) -> None:
    write_sample_mirror(tmp_path / "one", ASSETS)
    write_sample_mirror(tmp_path / "two", reversed(ASSETS))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    samples = [path.read_bytes() for path in write_sample_mirror(tmp_path / "one", ASSETS)]
    assert len(set(samples)) == len(samples)


def test_a_second_call_for_other_assets_keeps_the_checksums_of_the_first(tmp_path: Path) -> None:
    write_sample_mirror(tmp_path, [asset("etcd", SYSEXT)])
    other = SYSEXT.model_copy(update={"path": "assets/extensions/kubernetes-1-arm64.raw"})
    write_sample_mirror(tmp_path, [asset("kubernetes", other)])
    listed = (tmp_path / "extensions" / "SHA256SUMS").read_text().split()
    assert listed[1::2] == ["etcd-1-arm64.raw", "kubernetes-1-arm64.raw"]


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    first = {path: path.stat().st_ino for path in write_sample_mirror(tmp_path, ASSETS)}
    times = {path: path.stat().st_mtime_ns for path in first}
    write_sample_mirror(tmp_path, ASSETS)
    assert times == {path: path.stat().st_mtime_ns for path in first}


def test_the_image_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    image, *_ = write_sample_mirror(tmp_path, ASSETS, image_bytes=123_456)
    assert image.stat().st_size == 123_456


def test_a_sample_signature_tells_the_digest_of_its_image_and_that_it_signs_nothing(
    tmp_path: Path,
) -> None:
    image, signature, *_ = write_sample_mirror(tmp_path, ASSETS, image_bytes=5_000)
    text = signature.read_text()
    assert hashlib.sha256(image.read_bytes()).hexdigest() in text
    assert "signs nothing" in text
