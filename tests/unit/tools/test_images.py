"""Images are made of what is built here, and the same content gives the same archive."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import images, system_files
from tools.catalog import TOOLS
from tools.docker_archive import Entry, Settings, write_archive
from tools.golang import build
from tools.images import IMAGES, Image

REFERENCE = "registry.example.com/hello:1"


@pytest.fixture(autouse=True)
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in an image of this test, with a cache of this test."""
    program = tmp_path / "hello"
    program.write_text("hello")
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    image = Image(REFERENCE, system=lambda: [Entry("/usr/bin/hello", program)])
    monkeypatch.setitem(IMAGES, "hello", image)
    return program


def _opened(archive: Path) -> tuple[dict[str, Any], dict[str, Any], tarfile.TarFile]:
    """Return the manifest, the configuration and the layer."""
    packed = tarfile.open(archive)  # noqa: SIM115 - the layer is read from it

    def read(name: str) -> bytes:
        file = packed.extractfile(name)
        assert file
        return file.read()

    [manifest] = json.loads(read("manifest.json"))
    configuration = json.loads(read(manifest["Config"]))
    [layer] = manifest["Layers"]
    digest = hashlib.sha256(read(layer)).hexdigest()
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    return manifest, configuration, tarfile.open(fileobj=packed.extractfile(layer))


def test_the_archive_holds_the_files_their_folders_and_how_to_start_them(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"a program")
    entries = [
        Entry("/usr/bin/one", program),
        Entry("/usr/bin/two", target="one"),
        Entry("/etc/words", b"words", mode=0o644),
        Entry("/var/lib/one", owner=99),
    ]
    settings = Settings(entrypoint=["one"], command=["-v"], user="99", directory="/var/lib/one")
    write_archive(tmp_path / "image.tar", REFERENCE, entries, settings)
    manifest, configuration, layer = _opened(tmp_path / "image.tar")
    assert manifest["RepoTags"] == [REFERENCE]
    config = configuration["config"]
    assert (config["Entrypoint"], config["Cmd"], config["User"]) == (["one"], ["-v"], "99")
    assert layer.getnames() == [
        *("etc", "etc/words", "usr", "usr/bin", "usr/bin/one", "usr/bin/two"),
        *("var", "var/lib", "var/lib/one"),
    ]
    assert layer.getmember("usr/bin/two").linkname == "one"
    assert layer.getmember("var/lib/one").isdir() and layer.getmember("var/lib/one").uid == 99
    words = layer.extractfile("etc/words")
    assert words and words.read() == b"words"
    assert list(tmp_path.glob("layer*")) == []


def test_the_same_content_gives_the_same_bytes(hello: Path, tmp_path: Path) -> None:
    first = images.archive("hello").read_bytes()
    copy = tmp_path / "another"
    copy.write_text("hello")
    copy.chmod(0o600)
    os.utime(copy, (1, 1))
    write_archive(
        tmp_path / "image.tar",
        REFERENCE,
        [*images._BASE, Entry("/usr/bin/hello", copy)],
        Settings(),
    )
    assert (tmp_path / "image.tar").read_bytes() == first


def test_an_image_is_made_once_until_its_content_changes(hello: Path) -> None:
    first = images.archive("hello")
    made = first.stat().st_mtime_ns
    assert images.archive("hello") == first
    assert first.stat().st_mtime_ns == made
    hello.write_text("goodbye")
    assert images.archive("hello") != first


def test_an_image_can_have_the_name_that_a_manifest_asks_for(tmp_path: Path) -> None:
    asked = "docker.io/library/haproxy:3.2.4"
    assert images.main(["--out", str(tmp_path / "out"), f"hello={asked}"]) == 0
    manifest, _, _ = _opened(tmp_path / "out" / "hello.tar")
    assert manifest["RepoTags"] == [asked]


def test_an_archive_from_before_is_replaced(hello: Path, tmp_path: Path) -> None:
    [path] = images.provide(["hello"], tmp_path / "out")
    before = path.read_bytes()
    hello.write_text("goodbye")
    images.provide(["hello"], tmp_path / "out")
    assert path.read_bytes() != before


def test_an_unknown_image_is_refused_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        images.main(["--out", str(tmp_path), "nginx=x"])
    assert "nginx=x is not one of: kube-apiserver, " in capsys.readouterr().err


def test_kubeadm_asks_for_no_image_that_is_not_made_here(tmp_path: Path) -> None:
    """With the real kubeadm; etcd's tag is what its configuration says."""
    document = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": f"v{TOOLS['kubeadm'].version}",
        "etcd": {"local": {"imageTag": f"{TOOLS['etcd'].version}-0"}},
    }
    path = tmp_path / "kubeadm.yaml"
    path.write_text(yaml.safe_dump(document))
    argv = ["kubeadm", "config", "images", "list", "--config", str(path)]
    asked = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert len(asked) == 7
    assert set(asked) <= {image.reference for image in IMAGES.values()}


def test_a_program_of_the_system_brings_its_libraries_and_their_loader() -> None:
    entries = [entry.path for entry in system_files._libraries([Path("/bin/ls")])]
    assert any("/libc.so" in path for path in entries)
    assert any("/ld-linux" in path for path in entries)


def test_pause_reaps_what_it_inherits_and_ends_when_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KINDLING_CACHE")
    program = build(TOOLS["pause"]) / "pause"
    argv = ["sh", "-c", f'sleep 0.1 & echo $!; exec "{program}"']
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as pause:
        assert pause.stdout
        orphan = Path("/proc", pause.stdout.readline().strip())
        assert _gone(orphan), "a process that ended was not waited for"
        assert pause.poll() is None
        pause.terminate()
        assert pause.wait(10) == 0


def _gone(path: Path) -> bool:
    import time

    deadline = time.monotonic() + 20
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not path.exists()
