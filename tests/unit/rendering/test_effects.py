"""What a change means for its machine, and which changes no running cluster takes."""

import pytest

from kindling.rendering.effects import effect_of, unchangeable
from tests.fakes.cluster_plans import cluster_plans, machine

OLD = {"/etc/a": "1", "live/haproxy.cfg": "1", "install/settings": "1"}


@pytest.mark.parametrize(
    ("changes", "generations", "expected"),
    [
        ({}, (1, 1), "none: nothing on the machine"),
        ({"install/settings": "2"}, (1, 1), "none: only the next installation uses install/"),
        ({"live/haproxy.cfg": "2"}, (1, 1), "live, within minutes and without a restart: haproxy"),
        ({"/etc/a": "2"}, (3, 3), "re-install, once the generation is raised above 3: /etc/a"),
        (
            {"/etc/a": "2", "live/haproxy.cfg": "2"},
            (1, 1),
            "re-install, once the generation is raised above 1: /etc/a; live, within minutes: hap",
        ),
        ({"/etc/a": "2"}, (1, 2), "re-install: generation 1 -> 2"),
    ],
)
def test_a_change_is_none_live_or_re_install(changes, generations, expected):
    assert effect_of(OLD, OLD | changes, generations=generations).startswith(expected)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"kubernetes": {"networking": {"podSubnet": "10.42.0.0/16"}}}, "kubernetes.networking"),
        ({"etcd": {"mode": "static-pod"}}, "etcd.mode"),
    ],
)
def test_what_a_running_cluster_cannot_change_is_refused_unless_it_begins_anew(keys, named):
    old = cluster_plans(machine("control-plane"))["cp1"]
    new = cluster_plans(machine("control-plane"), **keys)["cp1"]
    said = unchangeable(old, new) or ""
    assert said.startswith(f"cp1.example.com: {named} cannot change in a cluster that exists;")
    again = {**keys, "kubernetes": {**keys.get("kubernetes", {}), "incarnation": 2}}
    assert unchangeable(old, cluster_plans(machine("control-plane"), **again)["cp1"]) is None


def test_an_incarnation_only_rises():
    old = cluster_plans(machine("control-plane"), kubernetes={"incarnation": 2})["cp1"]
    said = unchangeable(old, cluster_plans(machine("control-plane"))["cp1"]) or ""
    assert "kubernetes.incarnation (which only rises)" in said


def test_other_changes_are_nobodys_business() -> None:
    old = cluster_plans(machine("control-plane"))["cp1"]
    audit: dict[str, dict[str, object]] = {"apiServer": {"audit": {}}}
    audited = cluster_plans(machine("control-plane"), kubernetes=audit)
    assert unchangeable(old, audited["cp1"]) is None
