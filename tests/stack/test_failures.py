"""What goes wrong gives a clear error and leaves the published tree as it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.fakes.pulumi import ROOT, Project
from tests.fakes.server import Server, running_server

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def tree(server: Server) -> dict[str, bytes]:
    """Every published file with its bytes."""
    root = Path(server.directory)
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}


def smallest(project: Project) -> Project:
    """Only one machine, where more would show nothing more."""
    project.cluster["nodes"] = project.cluster["nodes"][:1]
    return project


@pytest.fixture
def published(project: Project, server: Server) -> dict[str, bytes]:
    """One machine, published as it should be; then its owner changes it."""
    smallest(project).up()
    before = tree(server)
    project.cluster["nodes"][0]["kernelParameters"] = {"vm.swappiness": "10"}
    return before


def test_an_artifact_with_a_wrong_digest_is_never_published(
    project: Project, server: Server, published: dict[str, bytes], mirror: Path, tmp_path: Path
) -> None:
    """The error names the source and the reason; the machine that needs it is not changed."""
    lock = tmp_path / "assets.lock.yaml"
    pins = yaml.safe_load((mirror / "assets.lock.yaml").read_text())
    path = next(path for path in pins["artifacts"] if "kubernetes" in path and "x86" in path)
    pins["artifacts"][path]["sha256"] = "0" * 64
    lock.write_text(yaml.safe_dump(pins))
    project.configuration["kindling:lockFile"] = str(lock)
    shown = project.up(check=False)
    assert "downloading options exhausted" in shown
    assert str(mirror) in shown
    assert "0" * 64 in shown
    assert tree(server) == published


def test_a_dead_boot_server_is_named_and_asked_about(
    project: Project, server: Server, published: dict[str, bytes]
) -> None:
    """Previews need no server; up says which address did not answer."""
    server.kill()
    project.preview()
    shown = project.up(check=False)
    assert server.url in shown
    assert "is the boot server running?" in shown
    assert tree(server) == published


def test_a_wrong_token_names_the_configuration_key(
    project: Project, server: Server, published: dict[str, bytes]
) -> None:
    """Nothing is published with it."""
    project.environment["KINDLING_STORE_TOKEN"] = "not-the-token-of-this-server"
    shown = project.up(check=False)
    assert "kindling:storeToken" in shown
    assert tree(server) == published


def test_a_full_disk_is_said_and_nothing_changes(
    project: Project, server: Server, published: dict[str, bytes]
) -> None:
    """The server keeps room for its records, here more than any disk has."""
    server.stop()
    with running_server(Path(server.directory), port=server.port, keep_free=2**60):
        shown = project.up(check=False)
    assert "the store has no room" in shown
    assert tree(server) == published
    assert not list((Path(server.directory) / ".kindling" / "incoming").iterdir())


def make_up(project: Project) -> str:
    """What `make up` prints when Pulumi fails; its recipe is this script."""
    script = ROOT / "tools" / "with-stack"
    command = [str(script), project.stack, *project.command("up", "--yes", "--skip-preview")]
    done = subprocess.run(
        command,
        cwd=project.directory,
        env=project.full_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    return done.stdout


def test_a_killed_up_is_continued_after_cancel(project: Project, server: Server) -> None:
    """kill -9 in the middle, `pulumi cancel`, `pulumi up`: the end is as if nothing happened."""
    project.write()
    running = subprocess.Popen(
        project.command("up", "--yes", "--skip-preview"),
        cwd=project.directory,
        env=project.full_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not tree(server) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert tree(server), "the run was killed before it published anything"
    refused = make_up(project)
    assert "pulumi cancel --stack test" in refused
    assert "lock" in project.up("--skip-preview", check=False), "nobody broke the lock by itself"
    project.pulumi("cancel", "--yes")
    project.up()
    assert len([path for path in tree(server) if path.startswith("nodes/")]) == 12
    assert project.plan() == {}


def test_problems_of_the_stack_file_are_all_shown_before_anything_is_touched(
    project: Project, server: Server
) -> None:
    """No traceback: the sentences, all of them."""
    smallest(project).cluster["nodes"][0]["arch"] = "amd64"
    project.cluster["nodes"][0]["rol"] = "worker"
    shown = project.preview(check=False)
    assert "arch must be one of: x86-64, arm64" in shown
    assert "rol" in shown
    assert "Traceback" not in shown
    assert tree(server) == {}


def test_what_the_lock_file_does_not_pin_is_previewed_but_never_published(
    project: Project, server: Server, tmp_path: Path
) -> None:
    """A preview warns; up refuses before it touches anything."""
    smallest(project).configuration["kindling:lockFile"] = str(tmp_path / "nothing.yaml")
    assert "python -m kindling lock" in project.preview()
    refused = project.up("--skip-preview", check=False)
    assert "python -m kindling lock" in refused
    assert tree(server) == {}


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_environments_preview_without_a_boot_server(stack: str, tmp_path: Path) -> None:
    """Pull requests preview staging and prod where no boot server can be reached."""
    project = Project(tmp_path / stack, {}, stack=stack)
    shutil.copy(ROOT / f"Pulumi.{stack}.yaml", project.directory)
    if (ROOT / "assets.lock.yaml").exists():
        shutil.copy(ROOT / "assets.lock.yaml", project.directory)
    shown = project.pulumi("preview", "--diff")
    assert "NodeConfiguration" in shown
