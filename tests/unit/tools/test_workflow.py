"""The pull request workflow's own parts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def git(directory: Path, *arguments: str) -> str:
    """Run git with an identity of its own."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def changed_stacks(directory: Path, base: str) -> list[str]:
    """What the script prints."""
    done = subprocess.run(
        [ROOT / "tools" / "changed-stacks", base],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def test_a_stack_is_previewed_when_its_file_or_the_shared_program_changed(tmp_path: Path) -> None:
    """And no other stack, and never the demonstration."""
    git(tmp_path, "init", "-q")
    for name in ("Pulumi.staging.yaml", "Pulumi.prod.yaml", "Pulumi.demo.yaml", "README.md"):
        (tmp_path / name).write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "base")
    base = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "README.md").write_text("b")
    git(tmp_path, "commit", "-qam", "words")
    assert changed_stacks(tmp_path, base) == []
    (tmp_path / "Pulumi.prod.yaml").write_text("b")
    git(tmp_path, "commit", "-qam", "prod")
    assert changed_stacks(tmp_path, base) == ["prod"]
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "x").write_text("b")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "templates")
    assert changed_stacks(tmp_path, base) == ["prod", "staging"]


def test_a_stack_is_previewed_when_a_file_that_it_names_changed(tmp_path: Path) -> None:
    """A cluster or a lock file of its own."""
    git(tmp_path, "init", "-q")
    (tmp_path / "clusters").mkdir()
    stack = (
        "config:\n  kindling:clusterFile: clusters/edge.yaml\n  kindling:lockFile: 'edge.lock'\n"
    )
    (tmp_path / "Pulumi.edge.yaml").write_text(stack)
    for name in ("clusters/edge.yaml", "clusters/other.yaml", "edge.lock"):
        (tmp_path / name).write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "base")
    for name, expected in (
        ("clusters/other.yaml", []),
        ("clusters/edge.yaml", ["edge"]),
        ("edge.lock", ["edge"]),
    ):
        base = git(tmp_path, "rev-parse", "HEAD")
        (tmp_path / name).write_text("b")
        git(tmp_path, "commit", "-qam", name)
        assert changed_stacks(tmp_path, base) == expected


def test_every_script_of_the_workflow_is_valid_bash() -> None:
    """And it previews the stacks that `changed-stacks` names."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/preview.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    scripts = [step["run"] for step in steps if "run" in step]
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
