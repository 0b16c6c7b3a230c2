"""The catalog of tools agrees with the modules that pin them."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tools import catalog, golang
from tools.catalog import MODULES, TOOLS, Tool

OURS = {"pause"}
"""Programs whose sources lie in the module's folder."""


def _all_tools() -> list[Tool]:
    return [part for tool in TOOLS.values() for part in (tool, *tool.beside)]


def test_every_module_belongs_to_a_tool() -> None:
    assert {path.name for path in MODULES.iterdir()} == {tool.folder.name for tool in _all_tools()}


@pytest.mark.parametrize("tool", _all_tools(), ids=lambda tool: str(tool.name))
def test_each_package_is_a_tool_of_its_module(tool: Tool) -> None:
    """Else `go mod tidy` drops what the build needs from go.mod and go.sum."""
    text = (tool.folder / "go.mod").read_text()
    if tool.name not in OURS:
        assert set(tool.packages.values()) <= set(re.findall(r"^(?:tool|\t) ?(\S+)$", text, re.M))


@pytest.mark.parametrize("tool", _all_tools(), ids=lambda tool: str(tool.name))
def test_the_version_is_the_one_that_the_module_requires(tool: Tool) -> None:
    required = re.findall(
        r"^(?:require )?\t?(\S+) v(\S+)", (tool.folder / "go.mod").read_text(), re.M
    )
    for package in tool.packages.values():
        if tool.name not in OURS:
            versions = {
                version for module, version in required if f"{package}/".startswith(f"{module}/")
            }
            assert tool.version in versions


def test_kubernetes_and_its_parts_are_of_one_release() -> None:
    text = (MODULES / "kubernetes" / "go.mod").read_text()
    parts = re.findall(r"^\tk8s\.io/\S+ => k8s\.io/\S+ v(\S+)$", text, re.M)
    assert len(parts) > 20
    assert {f"1.{version.removeprefix('0.')}" for version in parts} == {TOOLS["kubeadm"].version}


def test_programs_of_one_module_are_kept_apart() -> None:
    """So that kubectl is there without a build of kubelet."""
    assert TOOLS["kubeadm"].folder == TOOLS["kubectl"].folder
    assert golang._key(TOOLS["kubeadm"]) != golang._key(TOOLS["kubectl"])


def test_a_program_of_ours_is_built_anew_when_its_source_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = golang._key(TOOLS["pause"])
    shutil.copytree(MODULES / "pause", tmp_path / "pause")
    monkeypatch.setattr(catalog, "MODULES", tmp_path)
    assert golang._key(TOOLS["pause"]) == before
    (tmp_path / "pause" / "main.go").write_text("package main\n\nfunc main() {}\n")
    assert golang._key(TOOLS["pause"]) != before


def test_what_a_program_needs_of_c_is_part_of_its_key() -> None:
    assert TOOLS["runc"].uses_c
    dynamic = replace(TOOLS["runc"], uses_c=replace(TOOLS["runc"].uses_c, static=False))
    assert golang._key(TOOLS["runc"]) != golang._key(dynamic)
