"""Carries out Ignition configs: fetches what they refer to, verifies it, fills a `System`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from kindling.errors import SimulationError
from kindling.simulator import resources
from kindling.simulator.console import Console, redact
from kindling.simulator.ignition_config import Config, parse, validated
from kindling.simulator.ignition_storage import File, Resource, Storage
from kindling.simulator.patience import Patience
from kindling.simulator.resources import Content
from kindling.simulator.system import StoredFile, System
from kindling.simulator.transport import Network, TransferFailed

_FILE_MODE, _DIRECTORY_MODE = 0o644, 0o755  # Ignition's defaults
_DEPTH_LIMIT = 8
_DOCUMENT = 32 * 1024 * 1024  # bytes: a config that another one refers to
_KEYS = ("path", "device", "name", "number")  # what makes two list entries the same one


class Executor:
    """Applies one config. ``system`` is filled as far as it went, also after a failure."""

    def __init__(self, network: Network, console: Console, patience: Patience) -> None:
        self.system = System()
        self._network = network
        self._console = console
        self._patience = patience
        self._open = ExitStack()

    def apply(self, body: bytes, origin: str) -> System:
        """Carry out a config; ``origin`` names it in the `SimulationError` of what is wrong."""
        with self._open:
            config = validated(self._resolved(body, redact(origin), 0), redact(origin))
            _refuse_conflicts(config.storage, redact(origin))
            self._fill(config)
            self._write_files(config.storage.files)
        return self.system

    def _resolved(self, body: bytes, origin: str, depth: int) -> dict[str, Any]:
        """The config after ``replace`` and ``merge``; its authorities are trusted from here on."""
        if depth > _DEPTH_LIMIT:
            raise SimulationError(f"{origin}: more than {_DEPTH_LIMIT} configs inside each other")
        config = parse(body, origin)
        self._trust(config)
        references = config.ignition.config
        if references.replace.source:
            return self._referred(references.replace, depth)
        merged: dict[str, Any] = json.loads(body)
        merged["ignition"].pop("config", None)
        for resource in references.merge:
            merged = _merge(merged, self._referred(resource, depth))
        return merged

    def _referred(self, resource: Resource, depth: int) -> dict[str, Any]:
        origin = "inline config" if not resources.is_remote(resource) else str(resource.source)
        content = resources.read(resource, self._network, self._patience, keep=_DOCUMENT)
        return self._resolved(content.data or b"", redact(origin), depth + 1)

    def _trust(self, config: Config) -> None:
        authorities = config.ignition.security.tls.certificate_authorities
        if not authorities:
            return
        contents = [resources.read(each, self._network, self._patience) for each in authorities]
        texts = [(content.data or b"").decode("ascii", errors="replace") for content in contents]
        self._network = self._open.enter_context(self._network.trusting(texts))

    def _fill(self, config: Config) -> None:
        storage = config.storage
        self.system.directories = {d.path: d.mode or _DIRECTORY_MODE for d in storage.directories}
        self.system.links = {link.path: link.target for link in storage.links}
        self.system.units = {unit.name: unit for unit in config.systemd.units}
        self.system.users = tuple(user.name for user in config.passwd.users)
        self.system.groups = tuple(group.name for group in config.passwd.groups)
        self.system.disks = tuple(disk.device for disk in storage.disks)
        self.system.kernel_arguments = tuple(config.kernel_arguments.should_exist)
        for volume in storage.luks:
            self._read(volume.key_file, f"luks {volume.name}")

    def _write_files(self, files: Iterable[File]) -> None:
        """Inline files first, so that a failed download can be reported with what is there."""
        for file in sorted(files, key=_is_remote):
            pieces = [self._read(piece, file.path) for piece in (file.contents, *file.append)]
            mode = _FILE_MODE if file.mode is None else file.mode
            self.system.files[file.path] = StoredFile(_joined(pieces), mode)

    def _read(self, resource: Resource, path: str) -> Content:
        try:
            content = resources.read(resource, self._network, self._patience)
        except TransferFailed as failure:
            raise TransferFailed(path, str(failure), failure.status) from failure
        except SimulationError as error:
            raise SimulationError(f"{path}: {redact(str(error))}") from error
        if resources.is_remote(resource):
            verified = "verified" if resource.verification.hash else "without a hash to verify"
            self._console.line(f"ignition: {path}: {content.size} bytes, {verified}")
        return content


def _is_remote(file: File) -> bool:
    return any(resources.is_remote(piece) for piece in (file.contents, *file.append))


def _joined(pieces: list[Content]) -> Content:
    """One content of a file and what is appended to it (appended pieces must be small)."""
    written = [piece for piece in pieces if piece.size]
    if len(written) == 1:
        return written[0]
    data = b"".join(piece.data or b"" for piece in written)
    if len(data) != sum(piece.size for piece in written):
        raise SimulationError("appending to or from a file of more than 1 MiB is not simulated")
    return Content.of(data)


def _refuse_conflicts(storage: Storage, origin: str) -> None:
    """One path is one thing, and nothing lies below a link: Ignition refuses both too."""
    links = {link.path for link in storage.links}
    seen: set[str] = set()
    for entry in (*storage.files, *storage.directories, *storage.links):
        if entry.path in seen:
            raise SimulationError(f"{origin}: {entry.path} is there twice")
        seen.add(entry.path)
        parts = entry.path.split("/")
        if above := links & {"/".join(parts[:end]) for end in range(2, len(parts))}:
            raise SimulationError(f"{origin}: {entry.path} lies below the link {above.pop()}")


def _merge(parent: Any, child: Any) -> Any:
    """Ignition's rule: the child wins; lists grow, entries with the same key become one."""
    if isinstance(parent, dict) and isinstance(child, dict):
        both = {key: _merge(parent[key], child[key]) for key in parent.keys() & child.keys()}
        return {**parent, **child, **both}
    if isinstance(parent, list) and isinstance(child, list):
        return _merge_lists(parent, child)
    return child


def _merge_lists(parent: list[Any], child: list[Any]) -> list[Any]:
    merged = list(parent)
    for entry in child:
        for index, present in enumerate(merged):
            if _same(present, entry):
                merged[index] = _merge(present, entry)
                break
        else:
            merged.append(entry)
    return merged


def _same(one: Any, other: Any) -> bool:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return bool(one == other)
    return any(key in one and one.get(key) == other.get(key) for key in _KEYS)
