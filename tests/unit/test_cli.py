"""``python -m kindling``: what a user types, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.selection import select_assets
from kindling.cli import main
from kindling.models.loading import load_cluster
from tests.fakes.clusters import cluster, node

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack file whose artifacts are in a mirror beside it."""
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    data = cluster(node())
    data["assets"] = data["assets"] | {"mirrors": [str(tmp_path / "mirror")]}
    assets = select_assets(load_cluster(data), load_catalog())
    write_sample_mirror(tmp_path / "mirror", assets, image_bytes=50_000)
    path = tmp_path / "Pulumi.test.yaml"
    path.write_text(yaml.safe_dump({"config": {"kindling:cluster": data}}))
    return path


def test_a_sound_file_is_checked_without_pulumi(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what was found."""
    assert main(["check", str(stack)]) == 0
    assert "1 nodes (x86-64): no problems" in capsys.readouterr().out


def test_every_problem_is_told_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Path, value and remedy, all at once, and no traceback."""
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(cluster(node(arch="amd64", rol="worker"))))
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().err
    assert "arch must be one of: x86-64, arm64" in said
    assert "role" in said
    assert "Traceback" not in said


def test_a_version_that_the_catalog_does_not_know_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With known ones named."""
    data = cluster(node())
    data["assets"] = data["assets"] | {"kubernetes": "1.99.0"}
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(data))
    assert main(["check", str(path)]) == 1
    assert "assets.urls.kubernetes" in capsys.readouterr().err


def test_the_schema_is_printed_as_it_is_committed(capsys: pytest.CaptureFixture[str]) -> None:
    """Editors and the command say the same."""
    assert main(["schema"]) == 0
    committed = json.loads((ROOT / "docs/reference/stack.schema.json").read_text())
    assert json.loads(capsys.readouterr().out) == committed


def test_nothing_is_rendered_before_it_is_locked(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the command that helps."""
    lock = tmp_path / "assets.lock.yaml"
    out = tmp_path / "out"
    assert main(["render", str(stack), "--out", str(out), "--lock-file", str(lock)]) == 1
    assert "python -m kindling lock" in capsys.readouterr().err
    assert not out.exists()


def test_a_locked_stack_is_rendered_without_pulumi_and_twice_the_same(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole published tree but the artifacts."""
    monkeypatch.setenv("KINDLING_STACK_SECRET", "the stack's secret, as its owner keeps it")
    lock = str(tmp_path / "assets.lock.yaml")
    assert main(["lock", str(stack), "--lock-file", lock, "--trust-download"]) == 0
    trees = []
    kept = tmp_path / "credentials.json"
    for name in ("one", "two"):
        out = tmp_path / name
        options = ["--lock-file", lock, "--credentials", str(kept)]
        assert main(["render", str(stack), "--out", str(out), *options]) == 0
        files = sorted(path for path in out.rglob("*") if path.is_file())
        trees.append({str(path.relative_to(out)): path.read_bytes() for path in files})
    assert trees[0] == trees[1]
    assert {"boot.ipxe", "sites/rendered.json", "nodes/52-54-00-00-00-01.ign"} <= set(trees[0])


@pytest.mark.parametrize(
    "words",
    [
        "arm n1.example.com",
        "disarm n1.example.com",
        "reboot n1.example.com",
        "reboot n1.example.com --cancel",
        "release prod kubernetes",
    ],
)
def test_an_operator_hears_that_no_server_answers(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the address that was asked."""
    monkeypatch.setenv("KINDLING_STORE_TOKEN", "0123456789abcdef")
    assert main([*words.split(), "--url", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9" in capsys.readouterr().err
