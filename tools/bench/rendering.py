"""Rendering changed nodes against the butane command alone on the same documents."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

from kindling.models.credentials import Credentials
from kindling.models.loading import load_cluster
from kindling.models.plan import NodePlan
from kindling.pki.sample import sample_credentials
from kindling.planning.cluster import plan_cluster
from kindling.process import run
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from tools.bench.fleet import make_cluster, make_fleet
from tools.bench.measuring import Aim, Figure, compared, in_turns, seconds
from tools.bench.problems import program, require
from tools.bench.sizes import Sizes

_AT_ONCE = 2
_SECRET = "the secret of a stack that is only measured"
_URL = "http://10.60.0.4:8080"
# What a node costs in the fastest other program that makes Ignition from a template, in ms; half
# of it is the aim.
_BEST_PEER = 19.0

_NOTE = (
    "rendering: models to published bytes, two nodes at a time in threads; the baseline is "
    "`xargs -P 2 butane --strict` on the very documents that Kindling gives to Butane"
)


def measure(sizes: Sizes, folder: Path) -> list[Figure]:
    """Seconds for all nodes, and milliseconds for one."""
    require("butane", "xargs")
    lock_file = make_fleet(folder, sizes.rendered, _URL).lock_file
    revisions = itertools.count(1)

    def fresh() -> Sequence[NodePlan]:
        cluster = load_cluster(make_cluster(sizes.rendered, _URL, next(revisions)))
        return plan_cluster(cluster, stack="bench", lock_file=lock_file).nodes

    documents = _documents(fresh(), folder / "documents")

    def kindling() -> float:
        plans = fresh()  # nodes that no memory has seen; making them is not rendering
        return seconds(lambda: _render_all(plans))

    sides = {"kindling": kindling, "butane": lambda: seconds(partial(_butane_alone, documents))}
    taken = in_turns(sides, sizes.turns)
    return _figures(sizes.rendered, taken["kindling"], taken["butane"])


def _figures(nodes: int, ours: tuple[float, ...], baseline: tuple[float, ...]) -> list[Figure]:
    figure = compared(
        "rendering",
        f"{nodes} changed nodes / butane alone",
        "s",
        ours,
        baseline,
        Aim("at most", 1.3),
        _NOTE,
    )
    per_node = Figure(
        "rendering",
        "one node",
        "ms",
        figure.ours / nodes * 1000,
        aim=Aim("at most", _BEST_PEER / 2),
    )
    return [figure, per_node]


@cache
def _credentials() -> Credentials:
    """Made once: what is measured is the rendering."""
    return sample_credentials(_SECRET)


def _render(plan: NodePlan) -> bytes:
    node = plan.node
    secrets = NodeSecrets.derive(_credentials().of(plan), node.hostname, node.generation)
    return render_node(plan, secrets).ignition


def _render_all(plans: Sequence[NodePlan]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(_render, plans):
            pass


def _documents(plans: Sequence[NodePlan], folder: Path) -> list[Path]:
    """The Butane documents of the nodes, as files: recorded on their way to Butane."""
    _render(plans[0])  # afterwards the installer's document, common to all nodes, is not made again
    recorded: list[bytes] = []

    def recording(*arguments: object, stdin: bytes, **options: object) -> object:
        recorded.append(stdin)
        return run(*arguments, stdin=stdin, **options)  # type: ignore[arg-type]

    with patch("kindling.rendering.butane.run", recording):
        _render_all(plans)
    folder.mkdir()
    files = [folder / f"{number}.bu" for number in range(len(recorded))]
    for file, document in zip(files, recorded, strict=True):
        file.write_bytes(document)
    return files


def _butane_alone(documents: Sequence[Path]) -> None:
    command = [program("xargs"), "-P", str(_AT_ONCE), "-n", "1", program("butane"), "--strict"]
    names = "\n".join(map(str, documents))
    subprocess.run(command, input=names.encode(), stdout=subprocess.DEVNULL, check=True)
