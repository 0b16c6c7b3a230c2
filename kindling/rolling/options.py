"""The options of ``python -m kindling roll``. Every command's start reads this, so it is light."""

from __future__ import annotations

import argparse

from pydantic import TypeAdapter, ValidationError

from kindling.models.types import Duration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("stack", help="as Pulumi knows it; its file is Pulumi.<stack>.yaml here")
    parser.add_argument("--all", action="store_true", help="also machines that are not outdated")
    parser.add_argument(
        "--pool", action="append", default=[], metavar="NAME", help="only outdated ones of it"
    )
    parser.add_argument(
        "--node", action="append", default=[], metavar="HOST", help="this one, outdated or not"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan, do nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--max-unavailable", type=_count, metavar="N", help="of a pool, at once")
    for name in ("drain", "ready"):
        parser.add_argument(f"--{name}-timeout", type=_duration, metavar="TIME", help="such as 10m")
    parser.add_argument("--url", help="the boot server, where the stack's own address is not it")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a number, at least 1")
    return int(text)


def _duration(text: str) -> int:
    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(error.errors()[0]["msg"]) from error
