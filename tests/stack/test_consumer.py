"""examples/consumer reads a Kindling stack by StackReference, with the real command line."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.fakes.pulumi import ROOT, Project

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@dataclass
class Consumer(Project):
    """A copy of the example, as deep below the Python environment as the original."""

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / "examples" / "consumer", self.directory)
        (self.directory.parents[1] / ".venv").symlink_to(ROOT / ".venv")
        self.pulumi("stack", "init", self.stack)

    def write(self) -> None:
        """Its stack file has no cluster."""


def consumer_of(cluster: Project, folder: Path, stack: str, **environment: str) -> Consumer:
    """The example as a stack of its own, in the backend of the cluster's project."""
    backend = {"PULUMI_BACKEND_URL": f"file://{cluster.directory}/state"}
    made = Consumer(folder / "examples" / "consumer", {}, stack, backend | environment)
    made.pulumi("config", "set", "kindlingStack", "organization/kindling/test")
    return made


def test_another_program_gets_the_cluster_and_its_secrets_stay_secrets(
    small: Project, tmp_path: Path
) -> None:
    """In its own state and outputs, too.

    Before the cluster is there, the consumer says what is missing; with another passphrase, that
    it cannot read the secret, which Pulumi itself would hand over as an empty map.
    """
    consumer = consumer_of(small, tmp_path / "own", "apps")
    refused = consumer.preview(check=False)
    assert "the stack organization/kindling/test has no output " in refused
    assert "Run `pulumi up` there" in refused
    assert "Traceback" not in refused

    small.up("--skip-preview")
    shown = consumer.up("--skip-preview")
    outputs = consumer.outputs()
    assert outputs["api"] == small.outputs()["endpoint"]["url"]
    assert outputs["monitored"] == ["cp1.demo.example", "worker1.demo.example"]
    assert outputs["kubeconfig"] == "[secret]"
    kubeconfigs = [
        each.pulumi("stack", "output", "kubeconfig", "--show-secrets") for each in (small, consumer)
    ]
    assert kubeconfigs[0] == kubeconfigs[1]
    (user,) = yaml.safe_load(kubeconfigs[0])["users"]
    key = user["user"]["client-key-data"]
    state = (small.directory / "state").rglob("*")
    texts = [shown, *(file.read_text() for file in state if file.is_file())]
    assert "client-key-data" in kubeconfigs[0]
    assert not [text for text in texts if key[:60] in text or "client-key-data" in text]

    stranger = consumer_of(small, tmp_path / "other", "stranger", PULUMI_CONFIG_PASSPHRASE="other")
    refused = stranger.preview(check=False)
    assert "the output kubeconfig of the stack organization/kindling/test cannot be decr" in refused
    assert "the same PULUMI_CONFIG_PASSPHRASE for both" in refused
