"""The command line: what can be done without Pulumi, and what an operator does beside it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kindling.errors import KindlingError

if TYPE_CHECKING:
    from kindling.models.credentials import Credentials

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
    """Pin every artifact that the given stacks need, and check the images of their manifests."""
    from kindling.artifacts.catalog import load_catalog
    from kindling.models.loading import load_file
    from kindling.planning.locking import Wishes, lock_stacks

    clusters = [load_file(file) for file in arguments.files]
    wishes = Wishes(
        trust_download=arguments.trust_download,
        prune=arguments.prune,
        refresh=arguments.refresh,
        require_images=arguments.require_images,
    )
    locked = lock_stacks(clusters, arguments.lock_file, load_catalog(), wishes)
    for warning in locked.warnings:
        print(f"warning: {warning}")
    images = f", {locked.images} images checked" if locked.images else ""
    print(f"{arguments.lock_file}: {locked.artifacts} artifacts pinned{images}")
    return 0


def render(arguments: argparse.Namespace) -> int:
    """Write everything that the stack would publish, without Pulumi and without a server."""
    from kindling.models.loading import load_file
    from kindling.planning.cluster import plan_cluster
    from kindling.rendering.tree import render_tree

    cluster = load_file(arguments.file)
    plan = plan_cluster(cluster, stack=arguments.stack, lock_file=arguments.lock_file)
    if plan.unlocked:
        raise plan.unlocked_error()
    render_tree(plan.nodes, plan.boot, _credentials(arguments.credentials), arguments.out)
    print(f"{arguments.out}: {len(plan.nodes)} nodes rendered")
    return 0


def _credentials(file: Path | None) -> Credentials:
    """Credentials for a rendering: those of a file, which is made where it is missing."""
    from kindling.models.credentials import Credentials
    from kindling.pki.sample import sample_credentials

    if file is not None and file.exists():
        try:
            return Credentials.model_validate_json(file.read_bytes())
        except ValueError:
            raise KindlingError(
                f"{file}: is no file of credentials; name one that `render` made, or a new one"
            ) from None  # pydantic's error would show what is in the file
    print("note: keys, certificates and tokens are made for this rendering, not the stack's own")
    made = sample_credentials(os.environ.get("KINDLING_STACK_SECRET"))
    if file is not None:
        file.touch(mode=0o600)
        file.write_text(made.to_json())
    return made


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


def reboot(arguments: argparse.Namespace) -> int:
    """Ask one machine to restart, or take that back."""
    from kindling.bootserver.client import operate as ask

    print(ask(arguments.url, arguments.node, "cancel" if arguments.cancel else "reboot"))
    return 0


def release(arguments: argparse.Namespace) -> int:
    """Let another machine initialise the cluster, when the one that began never will."""
    from kindling.bootserver.client import release as ask

    print(ask(arguments.url, arguments.stack, arguments.purpose))
    return 0


def roll(arguments: argparse.Namespace) -> int:
    """Install outdated machines again, a few at a time, while the cluster works on."""
    from kindling.rolling.command import run

    return run(arguments)


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
    made.add_argument(
        "--require-images",
        action="store_true",
        help="fail when a registry does not tell which architectures an image has",
    )
    made = _add(commands, "render", render)
    made.add_argument("file", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--stack", default="rendered")
    made.add_argument(
        "--credentials",
        type=Path,
        help="file (kept private) with the keys to render; made when missing, so that a second "
        "rendering gives the same bytes",
    )
    made.add_argument("--lock-file", type=Path, default=Path("assets.lock.yaml"))


def _add_server_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from kindling.bootserver.settings import add_arguments
    from kindling.rolling.options import add_arguments as add_rolling
    from kindling.simulator.command import add_arguments as add_simulation
    from kindling.simulator.command import run as simulate

    add_arguments(_add(commands, "serve", serve))
    add_simulation(_add(commands, "simulate", simulate))
    add_rolling(_add(commands, "roll", roll))
    for action in ("arm", "disarm"):
        made = _add(commands, action, operate)
        made.set_defaults(action=action)
        made.add_argument("node", help="host name or MAC address")
        _add_url(made)
    made = _add(commands, "reboot", reboot)
    made.add_argument("node", help="host name or MAC address")
    made.add_argument("--cancel", action="store_true", help="take the request back")
    _add_url(made)
    made = _add(commands, "release", release)
    made.add_argument("stack", help="whose unfinished claim is taken back")
    made.add_argument("purpose", choices=["kubernetes", "etcd"])
    _add_url(made)


def _add_url(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("KINDLING_URL", "http://127.0.0.1:8080")
    parser.add_argument("--url", default=default, help="boot server (default: %(default)s)")
