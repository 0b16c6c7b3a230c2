"""Every example, every node: Butane strictly, and the real ignition-validate on both documents."""

from pathlib import Path

import pytest

from kindling.models.loading import load_file
from kindling.pki.sample import sample_credentials
from kindling.planning.cluster import plan_cluster
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.ignition import file_text, validate
from tests.fakes.plans import make_plan

CREDENTIALS = sample_credentials()
ROOT = Path(__file__).resolve().parents[3]
NODES = [
    (file.name, plan)
    for file in sorted([*ROOT.glob("examples/*.yaml"), *ROOT.glob("Pulumi.*.yaml")])
    for plan in plan_cluster(load_file(file), stack="test", lock_file=ROOT / "nothing.lock").nodes
]


@pytest.mark.parametrize(
    "plan",
    [each for _, each in NODES],
    ids=[f"{name}-{each.node.hostname}" for name, each in NODES],
)
def test_both_documents_of_every_node_are_valid_ignition(plan):
    node = plan.node
    credentials = CREDENTIALS.of(plan)
    secrets = NodeSecrets.derive(credentials, node.hostname, node.generation)
    rendered = render_node(plan, secrets)
    assert validate(rendered.node_ignition) == ""
    assert validate(rendered.ignition) == ""


def test_the_examples_are_found():
    assert {"basic.yaml", "all-arm64.yaml", "mixed-arch.yaml", "full.yaml"} <= {
        name for name, _ in NODES
    }


def test_encrypted_volumes_are_valid_ignition_although_butane_has_no_word_for_them():
    tang = [{"url": "http://tang.example.com", "thumbprint": "t"}]
    clevis = {"tpm2": True, "tang": tang, "threshold": 2}
    luks = [{"name": "vault", "device": "/dev/sdd", "clevis": clevis}]
    plan = make_plan(storage={"installDisk": "/dev/sda", "luks": luks})
    rendered = render_node(plan, NodeSecrets.placeholder(plan))
    assert validate(rendered.node_ignition) == ""
    assert '"clevis":{"tpm2":true,"tang":[{' in rendered.node_ignition.decode()


def test_the_validator_would_have_said_something():
    relative = b'{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "a"}]}}'
    assert "path not absolute" in validate(relative)


def test_the_installer_holds_the_very_node_that_was_validated():
    plan = NODES[0][1]
    rendered = render_node(plan, NodeSecrets.placeholder(plan))
    inside = file_text(rendered.ignition, "/opt/kindling/node.ign")
    assert inside.encode() == rendered.node_ignition
