"""What the options of a roll mean, and the command that goes on with it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from kindling.models.cluster import Roll
from kindling.rolling.outside import Manner
from kindling.rolling.plan import Plan, Wishes


def wishes_of(arguments: argparse.Namespace) -> Wishes:
    """Who is to be rolled."""
    return Wishes(arguments.all, tuple(arguments.pool), tuple(arguments.node))


def manner_of(arguments: argparse.Namespace, settings: Roll) -> Manner:
    """How: the stack's settings, unless an option says otherwise."""
    return Manner(
        at_once=arguments.max_unavailable or settings.max_unavailable,
        drain_timeout=arguments.drain_timeout or settings.drain_timeout,
        ready_timeout=arguments.ready_timeout or settings.ready_timeout,
    )


def to_resume(arguments: argparse.Namespace, plan: Plan, done: set[str]) -> str:
    """The command that goes on where this one stopped; ``done`` are the hosts that are through."""
    words = ["python", "-m", "kindling", "roll", arguments.stack]
    left = [host for host in plan.hosts if host not in done]
    if arguments.all or arguments.node:  # who is through is not outdated, and would be rolled again
        words += [word for host in left for word in ("--node", host)]
    else:
        words += [word for pool in arguments.pool for word in ("--pool", pool)]
    return shlex.join([*words, *_overrides(arguments)])


def _overrides(arguments: argparse.Namespace) -> Iterator[str]:
    for name in ("max_unavailable", "drain_timeout", "ready_timeout", "url"):
        value = getattr(arguments, name)
        if value:
            unit = "s" if name.endswith("timeout") else ""
            yield from (f"--{name.replace('_', '-')}", f"{value}{unit}")
