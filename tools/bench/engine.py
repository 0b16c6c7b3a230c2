"""Preview and no-op up of a large stack, against a program whose resources do nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tools.bench.fleet import make_fleet
from tools.bench.measuring import Aim, Figure, compared, in_turns, seconds
from tools.bench.problems import require
from tools.bench.servers import Server, boot_server
from tools.bench.sizes import Sizes
from tools.bench.stacks import Stack

_AIM = Aim("at most", 1.5)


def measure(sizes: Sizes, folder: Path) -> list[Figure]:
    """Seconds of `pulumi preview` and of an `up` that changes nothing; the first `up` once."""
    require("pulumi", "butane")
    with boot_server(folder / "served") as server:
        ours = _kindling(folder, sizes.nodes, server)
        first = seconds(ours.up)
        resources = ours.resources()
        as_many = Stack.of_nothing(folder / "as-many", resources)
        only_nodes = Stack.of_nothing(folder / "only-nodes", sizes.nodes)
        first_empty = seconds(as_many.up)
        only_nodes.up()
        return [
            *_compare({"ours": ours, "as many": as_many, "nodes": only_nodes}, sizes, resources),
            compared(
                "engine",
                f"first up of {sizes.nodes} nodes, everything rendered and published"
                f" / {resources} empty resources",
                "s",
                (first,),
                (first_empty,),
            ),
        ]


def _kindling(folder: Path, nodes: int, server: Server) -> Stack:
    fleet = make_fleet(folder, nodes, server.url)
    configuration = {"kindling:cluster": fleet.cluster, "kindling:lockFile": str(fleet.lock_file)}
    environment = {"KINDLING_CACHE": str(folder / "cache")}
    stack = Stack.of_kindling(folder / "kindling", configuration, environment)
    stack.keep_secret("kindling:storeToken", server.token)
    return stack


def _compare(stacks: dict[str, Stack], sizes: Sizes, resources: int) -> list[Figure]:
    figures = []
    note = (
        f"engine: {sizes.nodes} nodes are {resources} resources in the state (components"
        " included); the aim speaks of as many empty dynamic resources, without any component"
    )
    for name, command in (("preview", Stack.preview), ("no-op up", Stack.up)):
        sides = {side: partial(seconds, partial(command, stack)) for side, stack in stacks.items()}
        taken = in_turns(sides, sizes.turns)
        title = f"{name} of {sizes.nodes} nodes /"
        ours, as_many, only = taken["ours"], taken["as many"], taken["nodes"]
        figures += [
            compared("engine", f"{title} {resources} empty", "s", ours, as_many, _AIM, note),
            compared("engine", f"{title} {sizes.nodes} empty", "s", ours, only),
        ]
    return figures
