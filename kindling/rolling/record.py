"""The last good state of a stack: which versions ran when everybody was as published.

It lies in the store (``rolls/<stack>.json``, for the operator only), because a roll may be begun by
somebody else, on another computer, after the change was committed. Without a record, the newest
commit with other versions is taken for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.lock import LockFile
from kindling.artifacts.pinning import Pin
from kindling.artifacts.selection import select_assets
from kindling.errors import CommandError, KindlingError, RollError
from kindling.models.cluster import Cluster
from kindling.models.yamlfile import parse_yaml
from kindling.process import run
from kindling.rolling import yamltext
from kindling.rolling.stackfile import StackFile
from kindling.stores.base import Store

_COMMITS = 30  # how far back the history is searched


class GoodState(BaseModel):
    """What is needed to describe the way back to a state that was good."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    schema_version: Literal[1] = 1
    stack: str
    origin: str  # for people: when it was good, or which commit it is from
    generations: Mapping[str, int]  # by host
    assets: str  # the text of the stack file's section
    pins: Mapping[str, Pin]  # of the lock file, those that these assets need

    def to_json(self) -> bytes:
        """The same state always gives the same bytes."""
        return (self.model_dump_json(by_alias=True, indent=1) + "\n").encode()

    def same_as(self, other: GoodState | None) -> bool:
        """Whether both describe the same, whenever it was."""
        return other is not None and self.model_copy(update={"origin": other.origin}) == other


def present(file: StackFile, stack: str, origin: str) -> GoodState:
    """The state that the files describe now."""
    return _state(file, file.text(), LockFile.load(file.lock), stack, origin)


def recorded(store: Store, stack: str, generations: Mapping[str, int]) -> GoodState | None:
    """The record, unless it is of an earlier life of the stack: its generations are newer."""
    body = store.read(path_of(stack))
    if body is None:
        return None
    try:
        found = GoodState.model_validate_json(body)
    except ValidationError as error:
        raise RollError(f"{path_of(stack)} in the store cannot be read: {error}") from error
    newer = [host for host, n in found.generations.items() if n > generations.get(host, n)]
    return None if newer else found


def record(store: Store, state: GoodState) -> None:
    """Keep the state as the last good one."""
    body = state.to_json()
    digest = sha256(body).hexdigest()
    store.put(path_of(state.stack), body, sha256=digest, owner=f"{state.stack}/roll")


def path_of(stack: str) -> str:
    """Where the record lies in the store."""
    return f"rolls/{stack}.json"


def committed(file: StackFile, stack: str) -> GoodState | None:
    """The newest commit with other assets than now; None without one, or without git."""
    folder, name, now = file.file.parent, file.file.name, file.assets(file.text())
    for commit in git(folder, "log", "--format=%h", f"-{_COMMITS}", "--", name).split():
        try:
            text = git(folder, "show", f"{commit}:./{name}")
            if text and file.assets(text) != now:
                return _state(file, text, _lock_at(file, commit), stack, f"commit {commit}")
        except KindlingError:
            continue  # what was committed then is no stack file of today
    return None


def good_now() -> str:
    """The origin of a state that is good at this moment."""
    return f"good on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC"


def _state(file: StackFile, text: str, lock: LockFile, stack: str, origin: str) -> GoodState:
    cluster = file.cluster_of(text)
    return GoodState(
        stack=stack,
        origin=origin,
        generations={node.hostname: node.generation for node in cluster.nodes},
        assets=yamltext.section(text, file.keys),
        pins={path: lock.artifacts[path] for path in _needed(cluster) if path in lock.artifacts},
    )


def _needed(cluster: Cluster) -> list[str]:
    assets = select_assets(cluster, load_catalog())
    return [file.path for asset in assets for file in asset.files]


def _lock_at(file: StackFile, commit: str) -> LockFile:
    """The lock file of a commit; empty where it had none."""
    name = file.lock.name
    text = git(file.lock.parent, "show", f"{commit}:./{name}")
    try:
        return LockFile.model_validate(parse_yaml(text, name) or {})
    except ValidationError as error:
        raise RollError(f"{name} of commit {commit} cannot be read: {error}") from error


def git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing when it fails, or when there is no git."""
    try:
        done = run(["git", *arguments], directory=folder)
    except CommandError:
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
