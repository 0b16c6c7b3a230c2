"""What the Ignition of each role contains, and what it must not."""

import json

import pytest

from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.credentials import (
    DIGEST,
    ENCRYPTION_KEY,
    S3,
    TOKEN,
    VRRP_PASSWORD,
    make_credentials,
    pair,
    service_account_key,
)
from tests.fakes.ignition import everything

CREDENTIALS = make_credentials()
SECRETS = {
    "kubernetes authority's key": pair("kubernetes").key.strip(),
    "front-proxy authority's key": pair("front-proxy").key.strip(),
    "etcd authority's key": pair("etcd").key.strip(),
    "service account key": service_account_key().splitlines()[3],
    "join token": TOKEN,
    "authority digest": DIGEST,
    "encryption key": ENCRYPTION_KEY,
    "VRRP password": VRRP_PASSWORD,
    "S3 key": S3.secret_key,
    "stack's secret": CREDENTIALS.stack,
}
JOINS = {"join token", "authority digest"}
AUTHORITIES = {name for name in SECRETS if "authority's key" in name}
PLANE = JOINS | AUTHORITIES | {"service account key", "encryption key"}
S3_SNAPSHOTS = {
    "snapshots": {"s3": {"endpoint": "https://s3.example.com", "bucket": "etcd", "prefix": "a/"}}
}
BALANCED = (
    *(machine("control-plane", number) for number in (1, 2, 3)),
    machine("load-balancer", 1),
    machine("load-balancer", 2),
    machine("worker"),
)
VIRTUAL = {"endpoint": {"virtualAddress": "192.0.2.100/24"}}


def found(plan):
    """Names of the secrets that a machine's two Ignition documents hold anywhere."""
    own = CREDENTIALS.of(plan)
    node = plan.node
    rendered = render_node(plan, NodeSecrets.derive(own, node.hostname, node.generation))
    text = everything(json.loads(rendered.ignition)) + everything(
        json.loads(rendered.node_ignition)
    )
    return {name for name, value in SECRETS.items() if value in text}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("cp1", PLANE),
        ("cp3", PLANE),
        ("worker1", JOINS),
        ("lb1", {"VRRP password"}),
        ("lb2", {"VRRP password"}),
    ],
)
def test_a_role_gets_its_own_secrets_and_no_others(host, expected):
    plans = cluster_plans(*BALANCED, kubernetes=VIRTUAL)
    assert found(plans[host]) == expected


def test_a_machine_of_role_etcd_gets_etcds_authority_alone():
    machines = (machine("control-plane"), *(machine("etcd", number) for number in (1, 2, 3)))
    plans = cluster_plans(*machines)
    assert found(plans["etcd2"]) == {"etcd authority's key"}


def test_control_planes_that_carry_the_virtual_address_get_its_password():
    machines = [machine("control-plane", number) for number in (1, 2, 3)]
    plans = cluster_plans(*machines, kubernetes=VIRTUAL)
    assert found(plans["cp2"]) == PLANE | {"VRRP password"}


def test_the_object_stores_keys_go_where_snapshots_are_taken():
    machines = (machine("control-plane"), machine("etcd"), machine("worker"))
    plans = cluster_plans(*machines, etcd=S3_SNAPSHOTS)
    assert "S3 key" in found(plans["etcd1"])
    assert "S3 key" not in found(plans["cp1"])
    assert "S3 key" not in found(plans["worker1"])


def test_machines_without_a_cluster_get_no_credential_at_all():
    plans = cluster_plans(machine("control-plane"), assets={"kubernetes": None})
    assert found(plans["cp1"]) == set()
