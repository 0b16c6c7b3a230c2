"""The command line: what can be done without Pulumi, and what an operator does beside it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kindling.errors import KindlingError

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it succeeded, 1 when the user has something to mend."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    command: Command = arguments.command
    try:
        return command(arguments)
    except KindlingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def check(arguments: argparse.Namespace) -> int:
    """Validate a stack file or a cluster file."""
    from kindling.artifacts.catalog import load_catalog
    from kindling.errors import StackFileError
    from kindling.models.crosschecks import unknown_versions
    from kindling.models.loading import load_file, warnings

    cluster = load_file(arguments.file)
    if problems := unknown_versions(cluster, load_catalog().known_versions()):
        raise StackFileError(problems, str(arguments.file))
    for warning in warnings(cluster):
        print(f"warning: {warning}")
    architectures = ", ".join(str(each) for each in cluster.architectures)
    print(f"{arguments.file}: {len(cluster.nodes)} nodes ({architectures}): no problems")
    return 0


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of a stack file, or its reference page."""
    from kindling.models.reference import reference_page
    from kindling.models.schema import stack_schema

    if arguments.markdown:
        print(reference_page(), end="")
    else:
        print(json.dumps(stack_schema(), indent=2))
    return 0


def lock(arguments: argparse.Namespace) -> int:
    """Pin every artifact that the given stacks need."""
    from kindling.artifacts.catalog import load_catalog
    from kindling.artifacts.lock import update_lock
    from kindling.artifacts.selection import select_assets
    from kindling.models.loading import load_file

    clusters = [load_file(file) for file in arguments.files]
    catalog = load_catalog()
    selected = [asset for cluster in clusters for asset in select_assets(cluster, catalog)]
    unique = {asset.main.path: asset for asset in selected}
    update_lock(
        tuple(unique.values()),
        arguments.lock_file,
        trust_download=arguments.trust_download,
        mirrors=tuple(dict.fromkeys(m for c in clusters for m in c.assets.mirrors)),
        prune=arguments.prune,
        refresh=arguments.refresh,
    )
    print(f"{arguments.lock_file}: {len(unique)} artifacts pinned")
    return 0


def render(arguments: argparse.Namespace) -> int:
    """Write everything that the stack would publish, without Pulumi and without a server."""
    from kindling.models.loading import load_file
    from kindling.planning import plan_cluster
    from kindling.rendering.tree import render_tree

    cluster = load_file(arguments.file)
    plan = plan_cluster(cluster, stack=arguments.stack, lock_file=arguments.lock_file)
    if plan.unlocked:
        raise plan.unlocked_error()
    secret = os.environ.get("KINDLING_STACK_SECRET", "")
    if not secret:
        print("note: KINDLING_STACK_SECRET is unset; status tokens are not the stack's own")
        secret = "rendered-without-the-stack-secret"
    render_tree(plan.nodes, plan.boot, secret, arguments.out)
    print(f"{arguments.out}: {len(plan.nodes)} nodes rendered")
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Run the boot server until it is stopped."""
    from kindling.bootserver.server import serve as run
    from kindling.bootserver.settings import settings_from

    run(settings_from(arguments))
    return 0


def operate(arguments: argparse.Namespace) -> int:
    """Arm or disarm one node."""
    from kindling.bootserver.client import operate as ask

    print(ask(arguments.url, arguments.node, arguments.action))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kindling", description="Bare machines in, Kubernetes cluster out."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_file_commands(commands)
    _add_server_commands(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=(command.__doc__ or "").strip().splitlines()[0])
    parser.set_defaults(command=command)
    return parser


def _add_file_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _add(commands, "check", check).add_argument("file", type=Path)
    made = _add(commands, "schema", schema)
    made.add_argument("--markdown", action="store_true", help="the page docs/reference/stack.md")
    made = _add(commands, "lock", lock)
    made.add_argument("files", type=Path, nargs="+", help="stack files")
    made.add_argument("--lock-file", type=Path, default=Path("assets.lock.yaml"))
    made.add_argument(
        "--trust-download",
        action="store_true",
        help="pin what is downloaded where upstream publishes no checksum",
    )
    made.add_argument("--prune", action="store_true", help="drop what these stacks do not use")
    made.add_argument("--refresh", action="store_true", help="pin again what is pinned already")
    made = _add(commands, "render", render)
    made.add_argument("file", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--stack", default="rendered")
    made.add_argument("--lock-file", type=Path, default=Path("assets.lock.yaml"))


def _add_server_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from kindling.bootserver.settings import add_arguments
    from kindling.simulator.command import add_arguments as add_simulation
    from kindling.simulator.command import run as simulate

    add_arguments(_add(commands, "serve", serve))
    add_simulation(_add(commands, "simulate", simulate))
    for action in ("arm", "disarm"):
        made = _add(commands, action, operate)
        made.set_defaults(action=action)
        made.add_argument("node", help="host name or MAC address")
        made.add_argument("--url", default=os.environ.get("KINDLING_URL", "http://127.0.0.1:8080"))
