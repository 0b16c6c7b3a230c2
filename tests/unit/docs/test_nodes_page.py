"""docs/nodes.md says what a preview says: each line of its table is worked out again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kindling.models.loading import load_cluster
from kindling.models.plan import NodePlan
from kindling.pki.sample import sample_credentials
from kindling.planning.cluster import plan_cluster
from kindling.rendering.effects import INSTALLS, effect_of
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.cluster_plans import machine
from tests.unit.docs.pages import ROOT, section_of, table_in

Stack = dict[str, Any]
_GROUPS = {"control-plane": "control planes", "load-balancer": "load balancers"}


def the_cluster() -> Stack:
    """Three control planes, two load balancers and a worker that DHCP gives its address."""
    worker = machine("worker")
    del worker["network"]
    roles = ("control-plane",) * 3 + ("load-balancer",) * 2
    numbered = [machine(role, roles[: index + 1].count(role)) for index, role in enumerate(roles)]
    return {
        "name": "test",
        "bootServer": {"url": "https://boot.example.com"},
        "assets": {
            "flatcar": {"version": "4230.2.3"},
            "kubernetes": "1.33.6",
            "containerd": "2.1.4",
            "etcd": "3.6.6",
            "keepalived": "2.3.4",
            "haproxy": "3.2.22",
        },
        "cni": "none",
        "kubernetes": {"endpoint": {"virtualAddress": "192.0.2.100/24"}},
        "nodes": [*numbered, worker],
    }


def changes(**fields: Any) -> Callable[[Stack], None]:
    """Give the worker other values."""
    return lambda stack: stack["nodes"][-1].update(fields)


def adds(role: str, number: int) -> Callable[[Stack], None]:
    """Put one more machine of a role into the stack."""
    return lambda stack: stack["nodes"].append(machine(role, number))


def removes(name: str) -> Callable[[Stack], None]:
    """Take a machine out."""

    def change(stack: Stack) -> None:
        kept = [each for each in stack["nodes"] if not each["hostname"].startswith(f"{name}.")]
        stack["nodes"] = kept

    return change


TAINT = {"key": "example.com/slow", "effect": "NoSchedule"}
# The first cell of a line -> the machine that it is about, and the change.
LINES: dict[str, tuple[str, Callable[[Stack], None]]] = {
    "a worker is added": ("worker2", adds("worker", 2)),
    "a control plane is added": ("cp4", adds("control-plane", 4)),
    "a load balancer is added": ("lb3", adds("load-balancer", 3)),
    "a worker is removed": ("worker1", removes("worker1")),
    "a control plane is removed": ("cp3", removes("cp3")),
    "`labels` or `pool` of a worker": ("worker1", changes(pool="edge")),
    "`taints` of a worker": ("worker1", changes(taints=[TAINT])),
    "`macAddress`": ("worker1", changes(macAddress="52:54:00:00:00:99")),
    "`generation` from 1 to 2": ("worker1", changes(generation=2)),
    "`preInstallCommands`": ("worker1", changes(preInstallCommands=["echo hello"])),
    "`bootServer.armFor`": ("worker1", lambda stack: stack["bootServer"].update(armFor="48h")),
}


def test_the_table_says_what_a_preview_says() -> None:
    """Of the machine itself, and of every other one for which it is not `none`."""
    page = section_of(ROOT / "docs/nodes.md", "What a change means")
    told = {cells[0]: (cells[1], cells[2]) for cells in table_in(page)}
    assert told == {line: worked_out(*LINES[line]) for line in LINES}


def worked_out(name: str, change: Callable[[Stack], None]) -> tuple[str, str]:
    """The second and the third cell of a line."""
    before, stack = plans_of(the_cluster()), copy.deepcopy(the_cluster())
    change(stack)
    after = plans_of(stack)
    effects = {each: _effect(before.get(each), plan) for each, plan in after.items()}
    others: dict[str, set[str]] = {}
    for each, effect in effects.items():
        if each != name and not effect.startswith("none"):
            others.setdefault(_GROUPS[str(after[each].node.role)], set()).add(effect)
    own = f"`{effects[name]}`" if name in effects else ""
    return own, "; ".join(f"{group}: {_only(found)}" for group, found in others.items())


def plans_of(stack: Stack) -> dict[str, NodePlan]:
    """The machines' plans by short name."""
    plan = plan_cluster(load_cluster(stack), stack="test", lock_file=Path("nothing.lock"))
    return {each.node.short_name: each for each in plan.nodes}


def _effect(before: NodePlan | None, after: NodePlan) -> str:
    if before is None:
        return INSTALLS
    generations = (before.node.generation, after.node.generation)
    return effect_of(_files(before), _files(after), generations=generations)


def _files(plan: NodePlan) -> dict[str, str]:
    credentials = _CREDENTIALS.of(plan)
    secrets = NodeSecrets.derive(credentials, plan.node.hostname, plan.node.generation)
    return dict(render_node(plan, secrets).files)


def _only(effects: set[str]) -> str:
    (effect,) = effects
    return f"`{effect}`"


_CREDENTIALS = sample_credentials("a secret of the tests, long enough to be one")
