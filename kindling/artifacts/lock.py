"""``assets.lock.yaml``: what every artifact must be. What it does not pin is not published.

    version: 1
    artifacts:
      assets/extensions/etcd-3.6.7-arm64.raw:
        url: https://...
        size: 25165824        # bytes
        sha256: 3b1d...
    images:                   # what manifests name, as registries had it; for review
      quay.io/metallb/speaker:v0.15.3:
        digest: sha256:9f2c...
        architectures: [x86-64, arm64]

Several stacks share one lock file; an entry belongs to a store path, whoever uses it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kindling.artifacts.cache import Cache
from kindling.artifacts.download import WORKERS
from kindling.artifacts.image_pins import ImagePin
from kindling.artifacts.pinning import Pin, pin
from kindling.artifacts.progress import shown_progress
from kindling.artifacts.transfer import Manner
from kindling.errors import ArtifactError, LockError
from kindling.models.assets import Asset, AssetFile

_HEAD = (
    "# Written by `python -m kindling lock`. Commit it: what it does not pin is not published.\n"
)


@dataclass(frozen=True)
class Resolution:
    """Assets with what the lock file knows of them; ``missing`` are store paths it has not."""

    assets: tuple[Asset, ...]
    missing: tuple[str, ...]

    @property
    def locked(self) -> tuple[Asset, ...]:
        """The assets whose every file is pinned."""
        return tuple(asset for asset in self.assets if asset.locked)


class LockFile(BaseModel):
    """The lock file's content; a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    artifacts: Mapping[str, Pin] = Field(default_factory=dict)
    images: Mapping[str, ImagePin] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> LockFile:
        """Read a lock file; a missing one is empty. Raises `LockError` for an unreadable one."""
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise LockError(f"{path}: cannot be read: {error}") from error
        try:
            return cls.model_validate(data or {})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise LockError(
                f"{path}: {where}: {first['msg']}; restore the committed file, or remove the "
                "entry and run `python -m kindling lock`"
            ) from error

    def save(self, path: Path) -> None:
        """Write it sorted and in one step: readers see the old file or the new one."""
        content = {"version": self.version, "artifacts": _entries(self.artifacts)}
        content |= {"images": _entries(self.images)} if self.images else {}
        body = yaml.safe_dump(content, sort_keys=False, width=1000)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(_HEAD + body)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def resolve(self, assets: Iterable[Asset]) -> Resolution:
        """Give every file its pinned size and SHA-256.

        A pin for another URL counts as missing: it was made for other bytes. Raises `LockError`
        where the stack file itself names another digest than the lock file.
        """
        resolved, missing = [], []
        for asset in assets:
            files = tuple(self._pinned(file) for file in asset.files)
            missing += [file.path for file in files if file.size is None]
            resolved.append(asset.model_copy(update={"files": files}))
        return Resolution(tuple(resolved), tuple(missing))

    def pin_of(self, file: AssetFile) -> Pin | None:
        """The pin that was made for this file at this URL."""
        found = self.artifacts.get(file.path)
        return found if found is not None and found.url == file.url else None

    def _pinned(self, file: AssetFile) -> AssetFile:
        found = self.pin_of(file)
        if found is None:
            return file.model_copy(update={"sha256": None, "size": None})
        if file.sha256 is not None and file.sha256 != found.sha256:
            raise LockError(
                f"{file.path}: the stack file says SHA-256 {file.sha256}, the lock file says "
                f"{found.sha256}; correct the stack file, or run `python -m kindling lock`"
            )
        return file.model_copy(update={"sha256": found.sha256, "size": found.size})


def update_lock(
    assets: Iterable[Asset],
    path: Path,
    *,
    trust_download: bool = False,
    mirrors: Iterable[str] = (),
    prune: bool = False,
    refresh: bool = False,
    cache: Cache | None = None,
    manner: Manner | None = None,
) -> LockFile:
    """Pin what is not pinned yet and save the lock file.

    ``trust_download`` pins what arrives where nobody publishes a checksum; ``refresh`` asks again
    for what is pinned already; ``prune`` drops entries of other assets, which are kept otherwise
    because other stacks may use them. Good entries are saved even when others fail; the failures
    are raised together as one `LockError`. Shows its progress unless ``manner`` reports elsewhere.
    """
    files = {file.path: file for asset in assets for file in asset.files}
    old, cache = LockFile.load(path), cache or Cache()
    todo = [file for file in files.values() if refresh or not _agrees(old.pin_of(file), file)]
    with nullcontext(manner) if manner else _shown() as chosen:
        pins, failures = _pin_all(todo, tuple(mirrors), trust_download, cache, chosen)
    new = _save_merged(path, pins, set(files) if prune else None, cache)
    if failures:
        listed = "\n".join(failures)
        raise LockError(f"{len(failures)} of {len(files)} files could not be pinned:\n{listed}")
    return new


def save_images(path: Path, pins: Mapping[str, ImagePin], *, prune: bool, cache: Cache) -> None:
    """Write down what images are; ``prune`` drops those of other stacks."""
    with _held(path, cache):
        now = LockFile.load(path)
        new = now.model_copy(update={"images": {**({} if prune else now.images), **pins}})
        if new != now:
            new.save(path)


@contextmanager
def _held(path: Path, cache: Cache) -> Iterator[None]:
    """Several runs may write one lock file."""
    key = f"lockfile-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()}"
    with cache.locked(key):
        yield


def _entries(pins: Mapping[str, BaseModel]) -> dict[str, Any]:
    return {name: pins[name].model_dump(mode="json") for name in sorted(pins)}


@contextmanager
def _shown() -> Iterator[Manner]:
    with shown_progress() as report:
        yield Manner(report)


def _save_merged(
    path: Path, pins: Mapping[str, Pin], only: set[str] | None, cache: Cache
) -> LockFile:
    """Add the pins to the file as it is by now: another run may have pinned things meanwhile."""
    with _held(path, cache):
        now = LockFile.load(path)
        kept = {n: each for n, each in now.artifacts.items() if only is None or n in only}
        new = now.model_copy(update={"artifacts": {**kept, **pins}})
        if new != now or not path.exists():
            new.save(path)
    return new


def _agrees(found: Pin | None, file: AssetFile) -> bool:
    """Whether a pin may stay. The user's own file changes without a new URL: it is read again."""
    return found is not None and file.sha256 in {None, found.sha256} and file.checksums != "own"


def _pin_all(
    files: list[AssetFile], mirrors: tuple[str, ...], trust: bool, cache: Cache, manner: Manner
) -> tuple[dict[str, Pin], list[str]]:
    def one(file: AssetFile) -> Pin | str:
        try:
            return pin(file, mirrors, trust, cache, manner)
        except (ArtifactError, LockError) as error:
            return str(error)

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="lock") as pool:
        results = dict(zip((file.path for file in files), pool.map(one, files), strict=True))
    pins = {path: result for path, result in results.items() if isinstance(result, Pin)}
    return pins, [result for result in results.values() if isinstance(result, str)]
