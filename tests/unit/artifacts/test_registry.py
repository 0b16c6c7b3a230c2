"""Images as artifacts: from a real registry to an archive that a real containerd takes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindling.artifacts.cache import Cache
from kindling.artifacts.download import fetch
from kindling.artifacts.lock import update_lock
from kindling.artifacts.progress import Lines
from kindling.artifacts.references import parse_reference
from kindling.artifacts.sources import sources_of
from kindling.artifacts.transfer import Manner
from kindling.artifacts.web import Patience
from kindling.errors import DownloadExhausted, LockError
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset, AssetFile
from tests.fakes.programs import need
from tests.fakes.registry import RunningRegistry, registry, token_server
from tools.places import BIN

PATH = "assets/images/haproxy-3.2.22-arm64.tar"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that has library/haproxy:3.2.22 for two architectures."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        running.push("library/haproxy", "3.2.22", "amd64", "arm64")
        yield running


@pytest.fixture
def manner(report: Lines, patience: Patience) -> Manner:
    return Manner(report, patience)


def image(host: str, name: str = "library/haproxy:3.2.22", platform: str = "linux/arm64") -> Asset:
    url = f"oci://{host}/{name}?platform={platform}"
    file = AssetFile(path=PATH, url=url, checksums="registry")
    arm64 = Architecture.ARM64
    return Asset(name="haproxy", kind="image", version="3.2.22", arch=arm64, files=(file,))


def lock(asset: Asset, tmp_path: Path, manner: Manner, *mirrors: str) -> AssetFile:
    """The asset's file, pinned."""
    made = update_lock([asset], tmp_path / "lock.yaml", mirrors=mirrors, manner=manner)
    return made.resolve([asset]).assets[0].main


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        found = {}
        for member in opened:
            assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
            stream = opened.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
        return found


def test_an_image_is_pinned_without_trust_and_its_archive_is_an_image_layout(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    file = lock(image(shared.host), tmp_path, manner)
    archive = fetch(file)
    assert (archive.stat().st_size, file.sha256) == (
        file.size,
        hashlib.sha256(archive.read_bytes()).hexdigest(),
    )
    found = members(archive)
    assert list(found) == sorted(found)
    for name, body in found.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(body).hexdigest() == name.rpartition("/")[2]
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}
    names = entry["annotations"]
    assert names["io.containerd.image.name"] == f"{shared.host}/library/haproxy:3.2.22"
    manifest = json.loads(found[f"blobs/sha256/{entry['digest'][7:]}"])
    blobs = {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    assert {f"blobs/sha256/{digest[7:]}" for digest in blobs} < found.keys()
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_the_same_image_gives_the_same_bytes_each_time(
    shared: RunningRegistry, tmp_path: Path, manner: Manner, cache: Cache
) -> None:
    file = lock(image(shared.host), tmp_path, manner)
    assert file.sha256 is not None
    first = fetch(file).read_bytes()
    cache.discard(file.sha256)
    assert fetch(file).read_bytes() == first


def test_a_real_containerd_takes_the_archive_under_its_name(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    archive = fetch(lock(image(shared.host, platform="linux/amd64"), tmp_path, manner))
    need("containerd")
    sock = tmp_path / "socket"
    (tmp_path / "config.toml").write_text(
        f'version = 3\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{sock}"\n[ttrpc]\naddress = "{tmp_path}/ttrpc"\n'
    )
    environment = os.environ | {"PATH": os.pathsep.join([str(BIN), os.environ["PATH"]])}
    command = [str(BIN / "containerd"), "--config", str(tmp_path / "config.toml")]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stderr=log)
    try:
        for _ in range(300):
            assert server.poll() is None, (tmp_path / "log").read_text()
            if sock.exists():
                break
            time.sleep(0.1)
        ctr = [str(BIN / "ctr"), "--address", str(sock), "images"]
        subprocess.run([*ctr, "import", "--no-unpack", str(archive)], check=True)
        listed = subprocess.run([*ctr, "list"], check=True, capture_output=True, text=True)
    finally:
        server.terminate()
        server.wait(30)
    assert f"{shared.host}/library/haproxy:3.2.22" in listed.stdout
    assert "linux/amd64" in listed.stdout


def test_a_mirror_may_hold_the_archive_itself(
    shared: RunningRegistry, tmp_path: Path, manner: Manner, cache: Cache
) -> None:
    file = lock(image(shared.host), tmp_path, manner)
    mirror = tmp_path / "mirror" / "images"
    mirror.mkdir(parents=True)
    archive = fetch(file)
    (mirror / Path(PATH).name).write_bytes(archive.read_bytes())
    assert file.sha256 is not None
    cache.discard(file.sha256)
    gone = file.model_copy(update={"url": "oci://127.0.0.1:1/gone:1?platform=linux/arm64"})
    assert fetch(gone, mirrors=(str(mirror.parent),)).stat().st_size == file.size


def test_an_image_without_the_platform_names_those_that_it_has(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    asset = image(shared.host, platform="linux/riscv64")
    with pytest.raises(LockError, match=r"no image for linux/riscv64 .it has: linux/amd64, linux"):
        lock(asset, tmp_path, manner)


def test_an_image_without_an_index_tells_its_platform_itself(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    shared.push_single("team/single", "1", "arm64")
    assert fetch(lock(image(shared.host, "team/single:1"), tmp_path, manner)).exists()
    other = image(shared.host, "team/single:1", "linux/amd64")
    with pytest.raises(LockError, match=r"no image for linux/amd64 .it has: linux/arm64"):
        lock(other, tmp_path / "other", manner)


def test_an_image_that_is_not_there_is_named(
    shared: RunningRegistry, tmp_path: Path, manner: Manner, waits: list[float]
) -> None:
    with pytest.raises(LockError, match=rf"has no {shared.host}/library/absent:1 that anybody"):
        lock(image(shared.host, "library/absent:1"), tmp_path, manner)
    assert not waits


def test_a_blob_that_was_altered_in_the_registry_is_refused(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    shared.push("team/altered", "1", "arm64")
    index = shared.manifest("team/altered", "1")
    layer = shared.manifest("team/altered", index["manifests"][0]["digest"])["layers"][0]
    file = shared.blob_file(layer["digest"])
    body = bytearray(file.read_bytes())
    body[-1] ^= 1
    file.write_bytes(body)
    with pytest.raises(LockError, match=rf"sha256 is [0-9a-f]+, expected {layer['digest']}"):
        lock(image(shared.host, "team/altered:1"), tmp_path, manner)
    assert not any((tmp_path / "cache/parts").glob("*"))


def test_a_tag_that_was_moved_no_longer_gives_the_pinned_bytes(
    shared: RunningRegistry, tmp_path: Path, manner: Manner, cache: Cache
) -> None:
    shared.push("team/moved", "1", "arm64", size=5000)
    file = lock(image(shared.host, "team/moved:1"), tmp_path, manner)
    shared.push("team/moved", "1", "arm64", size=6000)
    assert file.sha256 is not None
    cache.discard(file.sha256)
    with pytest.raises(DownloadExhausted, match="team/moved:1 for linux/arm64: size is"):
        fetch(file)


def test_a_digest_in_the_name_is_what_counts(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    digest = shared.push("team/exact", "1", "arm64")
    shared.push("team/exact", "1", "arm64", size=100)
    file = lock(image(shared.host, f"team/exact:1@{digest}"), tmp_path, manner)
    index = json.loads(members(fetch(file))["index.json"])
    wanted = shared.manifest("team/exact", digest)["manifests"][0]["digest"]
    assert index["manifests"][0]["digest"] == wanted


def test_a_token_is_asked_for_where_the_registry_says_and_used_for_everything(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    with (
        token_server(tmp_path / "tokens") as tokens,
        registry(shared.storage.parent, tokens.settings) as guarded,
    ):
        archive = fetch(lock(image(guarded.host), tmp_path, manner))
        assert "index.json" in members(archive)
        assert tokens.asked == 1


def test_a_password_comes_from_netrc_and_does_not_get_in_the_tokens_way(
    shared: RunningRegistry, tmp_path: Path, manner: Manner
) -> None:
    with (
        token_server(tmp_path / "tokens", "robot:sesame") as tokens,
        registry(shared.storage.parent, tokens.settings) as guarded,
    ):
        with pytest.raises(LockError, match="HTTP 401"):
            lock(image(guarded.host), tmp_path, manner)
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login robot password sesame\n")
        netrc.chmod(0o600)
        assert fetch(lock(image(guarded.host), tmp_path, manner)).exists()


def test_a_registry_that_does_not_answer_is_tried_again_and_named(
    tmp_path: Path, manner: Manner, waits: list[float]
) -> None:
    with pytest.raises(LockError, match=r"127\.0\.0\.1:1/library/haproxy:3\.2\.22 for linux/arm64"):
        lock(image("127.0.0.1:1"), tmp_path, manner)
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("text", "full", "host"),
    [
        ("nginx", "docker.io/library/nginx:latest", "registry-1.docker.io"),
        ("grafana/loki:3.0", "docker.io/grafana/loki:3.0", "registry-1.docker.io"),
        ("docker.io/library/haproxy:3", "docker.io/library/haproxy:3", "registry-1.docker.io"),
        ("quay.io/metallb/speaker:v0.15.2", "quay.io/metallb/speaker:v0.15.2", "quay.io"),
        ("localhost/a:1", "localhost/a:1", "localhost"),
        ("reg.example.com:5000/a/b/c:1", "reg.example.com:5000/a/b/c:1", "reg.example.com:5000"),
        (f"quay.io/a@sha256:{'a' * 64}", f"quay.io/a@sha256:{'a' * 64}", "quay.io"),
    ],
)
def test_names_of_images_are_read_as_docker_reads_them(text: str, full: str, host: str) -> None:
    found = parse_reference(text)
    assert (str(found), found.host) == (full, host)


@pytest.mark.parametrize("text", ["", "a b", "quay.io/UPPER", "a@sha256:12", "https://quay.io/a"])
def test_what_is_no_name_of_an_image_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the name of an image"):
        parse_reference(text)


def test_an_image_is_the_last_of_its_sources() -> None:
    file = image("quay.io").main
    mirror, upstream = sources_of(file, ("https://mirror.example.com",))
    assert mirror.url == "https://mirror.example.com/images/haproxy-3.2.22-arm64.tar"
    assert str(upstream) == "quay.io/library/haproxy:3.2.22 for linux/arm64"
