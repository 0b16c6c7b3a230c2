"""Pulumi programs with stacks of their own, run by the real command line on a file backend."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.bench.problems import NotMeasured, search_path
from tools.catalog import ROOT

_FILES = ("Pulumi.yaml", "__main__.py")
_FOLDERS = ("components", "providers", "kindling", "templates", "catalog")
_EMPTY = Path(__file__).parent / "empty"
_COMPILED = shutil.ignore_patterns("__pycache__")
_PATIENCE = 1800.0  # seconds for one command on a busy machine


@dataclass(frozen=True)
class Stack:
    """One program in ``directory`` with one stack, and a state backend inside the directory."""

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_kindling(
        cls, directory: Path, configuration: Mapping[str, Any], environment: Mapping[str, str]
    ) -> Stack:
        """This checkout's program; a copy, so that nobody's edit changes what is measured."""
        directory.mkdir()
        for name in _FILES:
            shutil.copy(ROOT / name, directory)
        for name in _FOLDERS:
            shutil.copytree(ROOT / name, directory / name, ignore=_COMPILED)
        (directory / ".venv").symlink_to(ROOT / ".venv")
        return cls(directory, environment)._begun(configuration)

    @classmethod
    def of_nothing(cls, directory: Path, count: int) -> Stack:
        """The program of ``count`` empty dynamic resources."""
        shutil.copytree(_EMPTY, directory, ignore=_COMPILED)
        (directory / ".venv").symlink_to(ROOT / ".venv")
        return cls(directory)._begun({"empty:count": count})

    def preview(self) -> None:
        """`pulumi preview`; raises `NotMeasured` when it shows any change."""
        self._pulumi("preview", "--expect-no-changes")

    def up(self) -> None:
        """`pulumi up` without the question and without the preview before it."""
        self._pulumi("up", "--yes", "--skip-preview")

    def resources(self) -> int:
        """How many resources the program registered: without the stack and the providers."""
        exported = json.loads(self._pulumi("stack", "export"))
        types = [each["type"] for each in exported["deployment"]["resources"]]
        return sum(not each.startswith("pulumi:") for each in types)

    def _begun(self, configuration: Mapping[str, Any]) -> Stack:
        (self.directory / "state").mkdir()
        self._pulumi("stack", "init", "bench")
        path = self.directory / "Pulumi.bench.yaml"  # init wrote the encryption's salt there
        known = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**(known or {}), "config": dict(configuration)}))
        return self

    def keep_secret(self, key: str, value: str) -> None:
        """Set a secret key of the configuration, encrypted, as a user does."""
        self._pulumi("config", "set", "--secret", key, stdin=value)

    def _pulumi(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.directory,
            env=self._full_environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            shown = f"{done.stdout}\n{done.stderr}".strip()[-2000:]
            raise NotMeasured(f"pulumi {' '.join(arguments)} failed: {shown}")
        return done.stdout

    def _full_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            # The language host of the checkout takes the first Python on PATH.
            "PATH": f"{ROOT}/.venv/bin:{search_path()}",
            "PULUMI_BACKEND_URL": f"file://{self.directory}/state",
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_STACK": "bench",
            # As on a user's machine: else Python compiles every module at each start.
            "PYTHONDONTWRITEBYTECODE": "",
            **self.environment,
        }
