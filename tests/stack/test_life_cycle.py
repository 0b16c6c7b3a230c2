"""A stack's life with the real command line, step by step as its owner would take them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.pulumi import Project
from tests.fakes.server import Server

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def published(server: Server) -> set[str]:
    """Store paths of everything the server has."""
    root = Path(server.directory)
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {str(path) for path in files if not str(path).startswith(".")}


def node(project: Project, hostname: str) -> dict[str, object]:
    """One machine of the project's cluster, to be edited."""
    nodes: list[dict[str, object]] = project.cluster["nodes"]
    return next(each for each in nodes if each["hostname"] == hostname)


def status_tokens(ignition: dict[str, Any]) -> Iterator[str]:
    """The status token that an installer's Ignition carries."""
    for file in ignition["storage"]["files"]:
        if file["path"] == "/opt/kindling/status.token":
            data = file["contents"]["source"]
            with urllib.request.urlopen(data) as content:  # a data: URL
                yield content.read().decode().strip()


def test_a_stack_is_previewed_published_changed_and_destroyed(
    project: Project, server: Server
) -> None:
    """First preview and up; no-op; one changed address; a new node; the last arm64 node gone."""
    first = project.preview()
    assert "Detected architectures in cluster: [x86-64 arm64]" in first
    assert "on the boot server and in the cache (x86-64: " in first
    assert published(server) == set()

    project.up()
    paths = published(server)
    assert len([path for path in paths if path.startswith("nodes/")]) == 12
    assert len([path for path in paths if path.endswith(".raw")]) == 8
    images = [path for path in paths if path.startswith("assets/flatcar/")]
    assert len([path for path in images if not path.endswith(".sig")]) == 6
    outputs = project.outputs()
    assert outputs["architectures"] == ["x86-64", "arm64"]
    assert {entry["hostname"] for entry in outputs["nodes"]} == {
        entry["hostname"] for entry in project.cluster["nodes"]
    }
    assert all(len(entry["digest"]) == 64 for entry in outputs["nodes"])
    assert set(outputs["artifacts"]) == {path for path in paths if path.startswith("assets/")}

    assert project.plan() == {}
    again = project.up()
    assert "unchanged" in again
    assert not [word for word in ("created", "updated", "replaced") if f" {word}" in again]

    network = node(project, "cp1.demo.example")["network"]
    network["ethernets"]["eth0"]["addresses"] = ["192.0.2.99/24"]  # type: ignore[index]
    carriers = ("cp1", "cp2", "cp3", "lb1", "lb2")
    moved = {f"NodeConfiguration {name}.demo.example": "update" for name in carriers}
    assert project.plan() == moved
    changed = project.preview()
    assert "eth0.network" in changed
    assert "cp1.demo.example: re-install, once the generation is raised above 1: " in changed
    assert "cp2.demo.example: live, within minutes and without a restart: etcd-members" in changed
    assert "lb1.demo.example: live, within minutes and without a restart: haproxy.cfg" in changed
    assert "::worker1.demo.example]" not in changed

    project.cluster["nodes"].append(
        {"hostname": "worker2.demo.example", "macAddress": "525400de0007", "role": "worker"}
    )
    added = project.plan()
    assert added == moved | {
        "NodeConfiguration worker2.demo.example": "create",
        "Node worker2.demo.example": "create",
    }
    project.up()

    project.cluster["nodes"] = [n for n in project.cluster["nodes"] if n.get("arch") != "arm64"]
    gone = project.plan()
    dropped = {name for name, op in gone.items() if op == "delete"}
    assert len([name for name in dropped if name.startswith("Artifact arm64-")]) == 9
    assert not [name for name in gone if "x86-64" in name]
    project.up()
    assert not [path for path in published(server) if "arm64" in path and "assets" in path]
    assert [path for path in published(server) if "x86-64" in path]

    project.destroy()
    assert published(server) == set()


def test_a_new_arm64_node_adds_only_what_is_missing(project: Project, server: Server) -> None:
    """With x86-64 machines running, one arm64 worker adds its artifacts and itself."""
    everything = project.cluster["nodes"]
    project.cluster["nodes"] = [each for each in everything if each.get("arch") != "arm64"]
    project.up()
    before = published(server)
    project.cluster["nodes"] = [
        *project.cluster["nodes"],
        next(each for each in everything if each["hostname"] == "worker1.demo.example"),
    ]
    plan = project.plan()
    live = "NodeConfiguration cp"  # control planes learn of the new machine's labels
    others = {name: op for name, op in plan.items() if not name.startswith(("BootFile", live))}
    assert set(others.values()) == {"create"}
    assert not [name for name in plan if "x86-64" in name]
    project.up()
    new = published(server) - before
    assert {Path(path).name.split("-")[0] for path in new if path.endswith(".raw")} == {
        "containerd",
        "kubernetes",
    }


def test_a_boot_server_that_gets_another_name_keeps_its_files(
    project: Project, server: Server
) -> None:
    """To the engine it is another store: everything is published there, then deleted here."""
    project.cluster["nodes"] = project.cluster["nodes"][:1]
    project.up()
    before = published(server)
    renamed = server.url.replace("127.0.0.1", "localhost")
    project.cluster["bootServer"]["url"] = renamed
    project.up()
    assert published(server) == before
    document = json.loads(next(Path(server.directory).glob("nodes/*.json")).read_text())
    assert document["boot"]["baseUrl"] == renamed
    assert project.plan() == {}
    project.destroy()
    assert published(server) == set()


def test_two_stacks_share_a_boot_server_and_its_artifacts(
    project: Project, server: Server, tmp_path: Path
) -> None:
    """Destroying one leaves everything that the other one needs."""
    first, second = project.cluster["nodes"][:2]
    project.cluster["nodes"] = [first]
    project.up()
    mine = published(server)
    other = Project(
        tmp_path / "other",
        project.cluster | {"nodes": [second]},
        stack="other",
        environment=project.environment,
        configuration=project.configuration,
    )
    other.up()
    assert published(server) > mine
    other.destroy()
    assert published(server) == mine
    assert project.plan() == {}


def test_what_was_altered_or_deleted_on_the_server_is_found_and_mended(
    project: Project, server: Server
) -> None:
    """Refresh shows drift of files; the next up restores every byte."""
    project.up()
    root = Path(server.directory)
    document = next(iter(sorted(root.glob("nodes/*.json"))))
    kernel = next(iter(sorted(root.glob("assets/flatcar/x86-64/*/*.vmlinuz"))))
    extension = next(iter(sorted(root.glob("assets/extensions/kubernetes-*-arm64.raw"))))
    kept = {path: path.read_bytes() for path in (document, kernel, extension)}
    document.write_bytes(document.read_bytes().replace(b'"generation": 1', b'"generation": 7'))
    kernel.write_bytes(b"altered")
    extension.unlink()

    shown = project.refresh()
    assert "Artifact" in shown
    plan = project.plan()
    assert "create" in plan.values()
    assert "update" in plan.values()
    project.up()
    assert {path: path.read_bytes() for path in kept} == kept
    assert project.plan() == {}


def test_no_secret_is_in_plain_in_state_preview_or_logs(project: Project, server: Server) -> None:
    """The stack's secret, the tokens derived from it and the store's token appear nowhere."""
    shown = project.preview() + project.up()
    node(project, "cp1.demo.example")["generation"] = 2
    shown += project.preview() + project.up()
    exported = json.loads(project.pulumi("stack", "export", "--show-secrets"))
    resources = exported["deployment"]["resources"]
    secret = next(each for each in resources if each["urn"].endswith("::secret"))
    plain = json.loads(secret["outputs"]["result"]["plaintext"])
    assert len(plain) == 43
    tokens = {
        token
        for path in Path(server.directory).glob("nodes/*.ign")
        for token in status_tokens(json.loads(path.read_text()))
    }
    assert len(tokens) == 6
    for kept in (plain, server.token, *tokens):
        assert kept not in shown
        assert kept not in project.state()
        assert kept not in server.log
