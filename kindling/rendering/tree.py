"""The whole published tree as a directory, without a server and without Pulumi."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kindling.errors import RenderError
from kindling.models.credentials import Credentials
from kindling.models.documents import path_of_ignition, path_of_node
from kindling.models.plan import NodePlan
from kindling.rendering.boot_files import BootFilesPlan, render_boot_files
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets


def render_tree(
    plans: Iterable[NodePlan], boot_plan: BootFilesPlan, credentials: Credentials, out_dir: Path
) -> list[str]:
    """Write every published file but the artifacts; the store paths written, sorted.

    The same input gives the same bytes. Files that are there already are replaced, others are
    left alone. Raises `RenderError` with what is wrong with each node, all of them together.
    """
    files = render_boot_files(boot_plan)
    problems: list[str] = []
    with ThreadPoolExecutor() as pool:  # threads wait for Butane most of the time
        for result in pool.map(lambda plan: _node_files(plan, credentials), plans):
            if isinstance(result, RenderError):
                problems.append(str(result))
            else:
                files |= result
    if problems:
        raise RenderError("\n".join(problems))
    for path, body in files.items():
        _write(out_dir / path, body)
    return sorted(files)


def _node_files(plan: NodePlan, credentials: Credentials) -> dict[str, bytes] | RenderError:
    node = plan.node
    try:
        own = credentials.of(plan)
        secrets = NodeSecrets.derive(own, node.hostname, node.generation)
        rendered = render_node(plan, secrets)
    except RenderError as error:
        return error
    return {
        path_of_ignition(node.primary_mac): rendered.ignition,
        path_of_node(node.primary_mac): rendered.document(plan, own.stack).to_json(),
    }


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nodes' documents hold secrets: for the owner's eyes, from the first byte on.
    path.unlink(missing_ok=True)
    path.touch(mode=0o600 if path.parent.name == "nodes" else 0o644)
    path.write_bytes(body)
