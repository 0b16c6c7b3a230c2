"""What goes wrong gives a clear error and leaves the published tree as it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_an_artifact_with_a_wrong_digest_is_never_published(
    project: Project, server: Server, mirror: Path, tmp_path: Path
) -> None:
    """The error names the source, what was expected and what came."""
    broken = tmp_path / "broken"
    shutil.copytree(mirror, broken)
    image = next(broken.rglob("kubernetes-*-x86-64.raw"))
    image.write_bytes(image.read_bytes()[:-1] + b"!")
    smallest(project).cluster["assets"]["mirrors"] = [str(broken)]
    shown = project.up(check=False)
    assert "downloading options exhausted" in shown
    assert "kubernetes" in shown
    assert not [path for path in tree(server) if "kubernetes" in path or path.startswith("nodes/")]


def test_a_dead_boot_server_is_named_and_asked_about(project: Project) -> None:
    """Previews need no server; up says which address did not answer."""
    smallest(project).cluster["bootServer"]["url"] = "http://127.0.0.1:9"
    project.preview()
    shown = project.up(check=False)
    assert "http://127.0.0.1:9" in shown
    assert "is the boot server running?" in shown


def test_a_wrong_token_names_the_configuration_key(project: Project, server: Server) -> None:
    """Nothing is published with it."""
    smallest(project).environment["KINDLING_STORE_TOKEN"] = "not-the-token-of-this-server"
    shown = project.up(check=False)
    assert "storeToken" in shown
    assert tree(server) == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has room for the server's own needs, and little more."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=66m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_nothing_half_written_stays(
    project: Project, small_disk: Path, tmp_path: Path
) -> None:
    """What fitted stays whole; what did not fit is not there at all."""
    database = f"sqlite:///{tmp_path}/records.sqlite"
    with running_server(small_disk / "served", database=database) as server:
        smallest(project).cluster["bootServer"]["url"] = server.url
        project.environment["KINDLING_STORE_TOKEN"] = server.token or ""
        shown = project.up(check=False)
        assert "no room" in shown or "full" in shown
        published = tree(server)
        assert not [path for path in published if path.startswith("nodes/")]
        assert not list(Path(server.directory).rglob("*.part"))


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
