"""The file that holds the cluster, as text: the stack file itself, or its `clusterFile`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindling.errors import RollError
from kindling.models.cluster import Cluster
from kindling.models.loading import load_cluster, load_file
from kindling.models.yamlfile import parse_yaml, read_yaml
from kindling.rolling import yamltext

_LOCK = "assets.lock.yaml"


@dataclass(frozen=True)
class StackFile:
    """``path`` is ``Pulumi.<stack>.yaml``; ``file`` has the cluster, below the keys ``keys``."""

    path: Path
    file: Path
    keys: tuple[str, ...]
    lock: Path

    @classmethod
    def of(cls, folder: Path, stack: str) -> StackFile:
        """The stack's file in the project's folder. Raises `RollError`, `StackFileError`."""
        path = folder / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
        if not path.exists():
            there = ", ".join(sorted(each.name for each in folder.glob("Pulumi.*.yaml"))) or "none"
            raise RollError(f"there is no {path.name} in {folder}; stack files here: {there}")
        load_file(path)  # with its own sentences about what is wrong
        config: dict[str, Any] = read_yaml(path)["config"]
        given = {str(key).rpartition(":")[2]: str(key) for key in config}
        lock = folder / str(config.get(given.get("lockFile", ""), _LOCK))
        if file := config.get(given.get("clusterFile", "")):
            return cls(path, (folder / str(file)).resolve(), (), lock)
        return cls(path, path.resolve(), ("config", given["cluster"]), lock)

    def cluster(self) -> Cluster:
        """The cluster as it is described now."""
        return load_file(self.path)

    def cluster_of(self, text: str) -> Cluster:
        """The cluster that another version of the file describes. Raises `StackFileError`."""
        return load_cluster(self._below(text, self.keys), source=self.file.name)

    def text(self) -> str:
        """The text of the file with the cluster, with the line ends that it has."""
        with self.file.open(encoding="utf-8", newline="") as stream:
            return stream.read()

    def assets(self, text: str) -> Any:
        """What the assets section of a text means, whatever its comments."""
        return self._below(text, (*self.keys, "assets"))

    def _below(self, text: str, keys: tuple[str, ...]) -> Any:
        data = parse_yaml(text, self.file.name)
        for key in keys:
            if not isinstance(data, Mapping) or key not in data:
                raise RollError(f"{self.file.name}: has no {key}: where it is expected")
            data = data[key]
        return data

    def raised(self, text: str, wanted: Mapping[str, int]) -> str:
        """The text with other generations, by host."""
        return yamltext.with_generations(text, self.keys, wanted, self.file.name)

    def raise_generations(self, wanted: Mapping[str, int]) -> None:
        """Write generations into the file, which is replaced as a whole."""
        _replace(self.file, self.raised(self.text(), wanted))


def _replace(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(file.stat().st_mode & 0o777)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
