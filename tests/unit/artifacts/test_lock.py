from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from kindling.artifacts.cache import Cache
from kindling.artifacts.lock import LockFile, update_lock
from kindling.artifacts.pinning import Pin
from kindling.artifacts.progress import Lines
from kindling.artifacts.transfer import Manner
from kindling.artifacts.web import Patience
from kindling.errors import LockError
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset, AssetFile, ChecksumFormat
from tests.fakes.artifacts import BODY, PATH, sha256
from tests.fakes.web import Answer, Web

SIGNATURE = b"\x89\x02\x33" + b"s" * 560  # an OpenPGP signature packet, old format
NAME = "etcd-3.6.7-arm64.raw"


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "assets.lock.yaml"


@pytest.fixture
def manner(report: Lines, patience: Patience) -> Manner:
    return Manner(report, patience)


def asset(
    url: str,
    *,
    checksums: ChecksumFormat | None = "sha256sums",
    path: str = PATH,
    digest: str | None = None,
) -> Asset:
    file = AssetFile(path=path, url=url, checksums=checksums, sha256=digest)
    arm64 = Architecture.ARM64
    return Asset(name="etcd", kind="sysext", version="3.6.7", arch=arm64, files=(file,))


def sums(*bodies: tuple[str, bytes]) -> bytes:
    return "".join(f"{sha256(body)}  {name}\n" for name, body in bodies).encode()


def digests(name: str, body: bytes) -> bytes:
    return f"# SHA512 HASH\n{hashlib.sha512(body).hexdigest()}  {name}\n".encode()


@pytest.fixture
def publisher(web: Web) -> Web:
    """Has an extension with a SHA256SUMS beside it."""
    web.files = {f"/r/{NAME}": BODY, "/r/SHA256SUMS": sums(("other.raw", b"x"), (NAME, BODY))}
    return web


def test_a_published_sha256_is_pinned_without_fetching_the_file(
    publisher: Web, lock_file: Path, manner: Manner
) -> None:
    url = f"{publisher.url}/r/{NAME}"
    update_lock([asset(url)], lock_file, manner=manner)
    pin = {"url": url, "size": len(BODY), "sha256": sha256(BODY)}
    assert yaml.safe_load(lock_file.read_text()) == {"version": 1, "artifacts": {PATH: pin}}
    assert publisher.requests("GET", f"/r/{NAME}") == []


def test_a_published_sha512_is_verified_by_one_fetch_and_said_so(
    web: Web, lock_file: Path, manner: Manner, cache: Cache, said: list[str]
) -> None:
    web.files = {"/image.bin": BODY, "/image.bin.DIGESTS": digests("image.bin", BODY)}
    lock = update_lock(
        [asset(f"{web.url}/image.bin", checksums="digests")], lock_file, manner=manner
    )
    assert lock.artifacts[PATH].sha256 == sha256(BODY)
    assert cache.find(sha256(BODY), len(BODY)) is not None
    assert any("publishes SHA-512 only; fetching it once to verify" in line for line in said)


def test_what_does_not_match_its_published_sha512_is_not_pinned(
    web: Web, lock_file: Path, manner: Manner
) -> None:
    web.files = {"/image.bin": BODY, "/image.bin.DIGESTS": digests("image.bin", b"other")}
    with pytest.raises(LockError, match="downloading options exhausted"):
        update_lock([asset(f"{web.url}/image.bin", checksums="digests")], lock_file, manner=manner)
    assert LockFile.load(lock_file).artifacts == {}


def test_without_a_checksum_the_flag_is_named_and_with_it_the_download_is_trusted(
    web: Web, lock_file: Path, manner: Manner, said: list[str]
) -> None:
    assets = [asset(f"{web.url}/file", checksums=None)]
    with pytest.raises(LockError, match="run `python -m kindling lock --trust-download`") as raised:
        update_lock(assets, lock_file, manner=manner)
    assert f"{web.url}/file: its publisher gives no checksums" in str(raised.value)
    lock = update_lock(assets, lock_file, manner=manner, trust_download=True)
    assert lock.artifacts[PATH].sha256 == sha256(BODY)
    assert any("trusting what arrives" in line for line in said)


def test_every_place_where_a_checksum_was_looked_for_is_named(
    web: Web, lock_file: Path, manner: Manner, tmp_path: Path
) -> None:
    web.files["/SHA256SUMS"] = sums(("other.raw", b"x"))
    with pytest.raises(LockError) as raised:
        update_lock([asset(f"{web.url}/file")], lock_file, mirrors=(str(tmp_path),), manner=manner)
    assert f"{tmp_path}/extensions/SHA256SUMS: No such file or directory" in str(raised.value)
    assert f"{web.url}/SHA256SUMS: does not list file" in str(raised.value)


def test_a_mirrors_checksums_are_used_before_upstreams(
    publisher: Web, lock_file: Path, manner: Manner
) -> None:
    with Web(
        {f"/{PATH[7:]}": b"mirrored", "/extensions/SHA256SUMS": sums((NAME, b"mirrored"))}
    ) as m:
        url = f"{publisher.url}/r/{NAME}"
        lock = update_lock([asset(url)], lock_file, mirrors=(m.url,), manner=manner)
    assert lock.artifacts[PATH] == Pin(url=url, size=8, sha256=sha256(b"mirrored"))
    assert publisher.seen == []


def test_a_mirror_may_publish_checksums_where_upstream_does_not(
    tmp_path: Path, lock_file: Path, manner: Manner
) -> None:
    directory = tmp_path / "mirror" / "extensions"
    directory.mkdir(parents=True)
    (directory / NAME).write_bytes(BODY)
    (directory / "SHA256SUMS").write_bytes(sums((NAME, BODY)))
    unreachable = asset("http://127.0.0.1:9/etcd.raw", checksums=None)
    lock = update_lock([unreachable], lock_file, mirrors=(str(tmp_path / "mirror"),), manner=manner)
    assert lock.artifacts[PATH].sha256 == sha256(BODY)


def test_a_file_url_is_pinned_like_any_other(
    tmp_path: Path, lock_file: Path, manner: Manner
) -> None:
    (tmp_path / NAME).write_bytes(BODY)
    (tmp_path / "SHA256SUMS").write_bytes(sums((NAME, BODY)))
    lock = update_lock([asset(f"file://{tmp_path}/{NAME}")], lock_file, manner=manner)
    assert lock.artifacts[PATH].size == len(BODY)


def test_a_signature_needs_no_checksum(web: Web, lock_file: Path, manner: Manner) -> None:
    web.files["/image.sig"] = SIGNATURE
    signed = asset(f"{web.url}/image.sig", checksums="signature")
    assert update_lock([signed], lock_file, manner=manner).artifacts[PATH].size == len(SIGNATURE)


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"\x89" + bytes(100_000)])
def test_a_page_in_place_of_a_signature_is_not_pinned(
    web: Web, lock_file: Path, manner: Manner, body: bytes
) -> None:
    web.files["/image.sig"] = body
    with pytest.raises(LockError, match="is not an OpenPGP signature"):
        update_lock(
            [asset(f"{web.url}/image.sig", checksums="signature")], lock_file, manner=manner
        )


def test_a_digest_in_the_stack_file_is_a_checksum(
    web: Web, lock_file: Path, manner: Manner
) -> None:
    given = asset(f"{web.url}/file", digest=sha256(BODY))
    assert update_lock([given], lock_file, manner=manner).artifacts[PATH].size == len(BODY)
    assert web.requests("GET") == []


def test_a_size_that_nobody_tells_is_found_by_fetching(
    publisher: Web, lock_file: Path, manner: Manner
) -> None:
    publisher.always = Answer(chunked=True)
    lock = update_lock([asset(f"{publisher.url}/r/{NAME}")], lock_file, manner=manner)
    assert lock.artifacts[PATH].size == len(BODY)


def test_what_is_pinned_is_asked_for_again_only_on_request(
    publisher: Web, lock_file: Path, manner: Manner
) -> None:
    assets = [asset(f"{publisher.url}/r/{NAME}")]
    update_lock(assets, lock_file, manner=manner)
    publisher.files |= {f"/r/{NAME}": b"rebuilt", "/r/SHA256SUMS": sums((NAME, b"rebuilt"))}
    assert update_lock(assets, lock_file, manner=manner).artifacts[PATH].size == len(BODY)
    refreshed = update_lock(assets, lock_file, manner=manner, refresh=True)
    assert refreshed.artifacts[PATH].size == len(b"rebuilt")


def test_entries_of_other_stacks_stay_unless_they_are_pruned(
    publisher: Web, lock_file: Path, manner: Manner
) -> None:
    other = Pin(url="https://example.com/a", size=1, sha256="ab" * 32)
    LockFile(artifacts={"assets/other": other}).save(lock_file)
    assets = [asset(f"{publisher.url}/r/{NAME}")]
    assert update_lock(assets, lock_file, manner=manner).artifacts.keys() == {"assets/other", PATH}
    assert update_lock(assets, lock_file, manner=manner, prune=True).artifacts.keys() == {PATH}


def test_good_entries_are_saved_and_all_failures_are_told_together(
    publisher: Web, lock_file: Path, manner: Manner
) -> None:
    good = asset(f"{publisher.url}/r/{NAME}")
    bad = [asset(f"{publisher.url}/q/{n}", path=f"assets/{n}") for n in ("one", "two")]
    with pytest.raises(LockError, match=r"^2 of 3 files could not be pinned") as raised:
        update_lock([bad[0], good, bad[1]], lock_file, manner=manner)
    assert "assets/one: " in str(raised.value)
    assert "assets/two: " in str(raised.value)
    assert LockFile.load(lock_file).artifacts.keys() == {PATH}


def test_the_file_is_sorted_stable_and_written_in_one_step(
    lock_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = {name: Pin(url=f"https://e.com/{name}", size=1, sha256="ab" * 32) for name in "ba"}
    LockFile(artifacts=pins).save(lock_file)
    before = lock_file.read_bytes()
    assert list(yaml.safe_load(before)["artifacts"]) == ["a", "b"]
    LockFile.load(lock_file).save(lock_file)
    assert lock_file.read_bytes() == before

    def broken(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kindling.artifacts.lock.os.fsync", broken)
    with pytest.raises(OSError, match="No space"):
        LockFile().save(lock_file)
    assert lock_file.read_bytes() == before
    assert [path.name for path in lock_file.parent.iterdir()] == [lock_file.name]


def test_a_missing_lock_file_pins_nothing(lock_file: Path) -> None:
    resolution = LockFile.load(lock_file).resolve([asset("https://example.com/a")])
    assert resolution.missing == (PATH,)
    assert resolution.locked == ()


def test_resolving_gives_digest_and_size_and_keeps_the_order(lock_file: Path) -> None:
    pin = Pin(url="https://example.com/a", size=7, sha256="ab" * 32)
    lock = LockFile(artifacts={PATH: pin})
    other = asset("https://example.com/b", path="assets/b")
    resolution = lock.resolve([other, asset("https://example.com/a")])
    assert [each.main.path for each in resolution.assets] == ["assets/b", PATH]
    assert [each.main.sha256 for each in resolution.locked] == ["ab" * 32]
    assert resolution.missing == ("assets/b",)


def test_a_pin_for_another_url_is_no_pin() -> None:
    lock = LockFile(artifacts={PATH: Pin(url="https://example.com/a", size=7, sha256="ab" * 32)})
    assert lock.resolve([asset("https://example.com/b")]).missing == (PATH,)


def test_a_stack_file_and_a_lock_file_that_disagree_are_refused() -> None:
    lock = LockFile(artifacts={PATH: Pin(url="https://example.com/a", size=7, sha256="ab" * 32)})
    with pytest.raises(LockError, match="the stack file says SHA-256 cdcd"):
        lock.resolve([asset("https://example.com/a", digest="cd" * 32)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 2\n", "version: "),
        ("artifacts: {a: {url: u, size: -1, sha256: x}}\n", r"artifacts\.a\."),
        ("artifacts: [", "cannot be read"),
        ("just text\n", "restore the committed file"),
    ],
)
def test_an_unreadable_lock_file_is_named_with_the_place(
    lock_file: Path, text: str, told: str
) -> None:
    lock_file.write_text(text)
    with pytest.raises(LockError, match=rf"assets\.lock\.yaml: .*{told}"):
        LockFile.load(lock_file)
