"""A control plane's own directory tree, in which the real script `addons` runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kindling.models.plan import ManifestPlan
from tests.fakes.control_plane import ControlPlane
from tests.fakes.web import Web
from tools.catalog import ROOT
from tools.places import BIN

_SCRIPTS = ROOT / "templates" / "kubernetes"


@dataclass(frozen=True)
class AddonMachine:
    """One machine; ``web`` is its boot server, ``root`` stands before every path."""

    root: Path
    web: Web
    host: str = "cp1.example.com"

    @classmethod
    def make(
        cls, root: Path, web: Web, cluster: ControlPlane, host: str = "cp1.example.com"
    ) -> AddonMachine:
        """Install the scripts, as they are rendered, and their configuration."""
        for folder in ("opt/kindling", "etc/kindling", "etc/kubernetes", "var/lib/kindling/live"):
            (root / folder).mkdir(parents=True)
        for name in ("common", "inventory", "addons"):
            shutil.copy(_SCRIPTS / name, root / "opt/kindling" / name)
        shutil.copy(cluster.kubeconfig, root / "etc/kubernetes/admin.conf")
        (root / "etc/kindling/node.env").write_text(f"KINDLING_HOST={host}\n")
        (root / "etc/kindling/cluster.env").write_text(f"KINDLING_BASE_URL={web.url}\n")
        return cls(root, web, host)

    def told(self, *plans: ManifestPlan) -> None:
        """The live document names these manifests now."""
        data = [plan.model_dump(by_alias=True, exclude_defaults=True) for plan in plans]
        self._live("manifests.json").write_text(json.dumps(data))

    def told_coredns(self, text: str) -> None:
        """The live document has these settings of CoreDNS now."""
        self._live("coredns.json").write_text(text)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script once, with little patience."""
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        environment = {"PATH": path, "KINDLING_ROOT": str(self.root)}
        quick = {"KINDLING_ADDON_PATIENCE": "3"}
        return subprocess.run(
            ["bash", str(self.root / "opt/kindling/addons"), *arguments],
            env=environment | quick | variables,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def apply(self, *plans: ManifestPlan, **variables: str) -> str:
        """What a run prints that has to succeed."""
        self.told(*plans)
        done = self.run(**variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def show(self, *plans: ManifestPlan) -> str:
        """What would be applied, as YAML."""
        self.told(*plans)
        done = self.run("show")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def status(self) -> dict[str, str]:
        """State and text by add-on, as the last run wrote them."""
        lines = (self.root / "run/kindling/addons.status").read_text().splitlines()
        return dict(line.partition(" ")[::2] for line in lines)

    @property
    def warning(self) -> str:
        """What the heartbeat tells the boot server."""
        file = self.root / "run/kindling/warnings/add-ons"
        return file.read_text() if file.exists() else ""

    def _live(self, name: str) -> Path:
        return self.root / "var/lib/kindling/live" / name
