"""Debian's packages: installed by root, named to anybody else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import debian
from tools.problems import ToolError

NOWHERE = "a-program-that-nobody-has"


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What apt-get was asked to do; it only notes it."""
    asked: list[list[str]] = []

    def note(argv: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(list(argv))
        return subprocess.CompletedProcess(argv, int("unknown" in argv), b"", b"E: no such package")

    monkeypatch.setattr(debian, "run", note)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(
        debian, "find", lambda name: None if name == NOWHERE else f"/usr/bin/{name}"
    )
    return asked


def test_nothing_is_installed_for_what_is_there(apt: list[list[str]]) -> None:
    debian.ensure_programs({"sh": "dash"}, "this test")
    assert apt == []


def test_root_installs_each_package_once(apt: list[list[str]]) -> None:
    debian.ensure_programs({NOWHERE: "gcc libc6-dev gcc"}, "this test")
    assert [argv[3] for argv in apt] == ["update", "install"]
    assert apt[1][-2:] == ["gcc", "libc6-dev"]


def test_others_are_told_what_to_install(
    apt: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ToolError, match=r"^building runc needs gcc, libc6-dev \(Debian's names\)"):
        debian.ensure_programs({NOWHERE: "gcc libc6-dev"}, "building runc")
    assert apt == []


def test_what_apt_says_of_a_failure_is_passed_on(apt: list[list[str]]) -> None:
    with pytest.raises(ToolError, match="install failed; apt said:\nE: no such package"):
        debian.ensure_programs({NOWHERE: "unknown"}, "this test")


def test_a_missing_library_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real pkg-config, which the compiler's packages bring."""
    debian.ensure_programs({"pkg-config": "pkg-config"}, "this test")
    monkeypatch.setattr(debian, "ensure_programs", lambda programs, purpose: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ToolError, match="needs libnowhere-dev"):
        debian.ensure_c({"nowhere": "libnowhere-dev"}, "this test")


def test_administrators_programs_are_found_without_their_folders_on_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Path("/usr/sbin/ldconfig").exists() or Path("/sbin/ldconfig").exists()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert debian.find("ldconfig")
