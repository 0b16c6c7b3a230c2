"""The real Pulumi command line on a copy of the program, with a state backend of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
_LINKED = ("components", "providers", "kindling", "templates", "catalog", ".venv")
PASSPHRASE = "tests"


@dataclass
class Project:
    """A folder that Pulumi runs in; ``cluster`` is what the stack file will hold."""

    directory: Path
    cluster: dict[str, Any]
    stack: str = "test"
    environment: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in ("Pulumi.yaml", "__main__.py"):
            shutil.copy(ROOT / name, self.directory / name)
        for name in _LINKED:
            if (ROOT / name).exists():
                (self.directory / name).symlink_to(ROOT / name)
        (self.directory / "state").mkdir()
        self.pulumi("stack", "init", self.stack)

    def pulumi(self, *arguments: str, check: bool = True, timeout: float = 280) -> str:
        """Run the command line; its whole output. With ``check``, a failure fails the test."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.full_environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"pulumi {' '.join(arguments)} failed:\n{done.stdout}")
        if not check and not done.returncode:
            raise AssertionError(f"pulumi {' '.join(arguments)} should have failed:\n{done.stdout}")
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """The argument list, as a user without a terminal would type it."""
        return ["pulumi", *arguments, "--non-interactive", "--color", "never"]

    def full_environment(self) -> dict[str, str]:
        """Tools of this checkout first; a file backend; a passphrase."""
        path = f"{ROOT}/.venv/bin:{ROOT}/.tools/bin:{os.environ['PATH']}"
        return {
            **os.environ,
            "PATH": path,
            "PULUMI_BACKEND_URL": f"file://{self.directory}/state",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_STACK": self.stack,
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
        }

    def write(self) -> None:
        """Write the stack file from ``cluster``, keeping the encryption salt."""
        path = self.directory / f"Pulumi.{self.stack}.yaml"
        data = yaml.safe_load(path.read_text()) if path.exists() else {}
        data = data or {}
        data["config"] = {"kindling:cluster": self.cluster, **self.configuration}
        path.write_text(yaml.safe_dump(data, sort_keys=False))

    def up(self, *arguments: str, check: bool = True) -> str:
        """``pulumi up``, without the question."""
        self.write()
        return self.pulumi("up", "--yes", "--diff", *arguments, check=check)

    def preview(self, *arguments: str, check: bool = True) -> str:
        """``pulumi preview --diff``."""
        self.write()
        return self.pulumi("preview", "--diff", *arguments, check=check)

    def plan(self) -> dict[str, str]:
        """What a preview would do: resource name -> operation, without those that stay the same."""
        self.write()
        done = subprocess.run(
            self.command("preview", "--json"),
            cwd=self.directory,
            env=self.full_environment(),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"preview failed:\n{done.stdout}\n{done.stderr}")
        steps = json.loads(done.stdout)["steps"]
        return {_short(step["urn"]): step["op"] for step in steps if step["op"] != "same"}

    def refresh(self, *arguments: str) -> str:
        """``pulumi refresh``, without the question."""
        return self.pulumi("refresh", "--yes", "--diff", *arguments)

    def destroy(self) -> str:
        """``pulumi destroy``, without the question."""
        return self.pulumi("destroy", "--yes")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        return dict(json.loads(self.pulumi("stack", "output", "--json")))

    def state(self) -> str:
        """The stored checkpoint, as it lies on the disk."""
        stacks = self.directory / "state" / ".pulumi" / "stacks"
        files = sorted(stacks.rglob(f"{self.stack}.json"))
        return "\n".join(file.read_text() for file in files)


def _short(urn: str) -> str:
    """``Node cp1.example.com`` from a URN."""
    *_, kind, name = urn.split("::")
    return f"{kind.split(':')[-1]} {name}"
