"""One artifact: fetched once into the cache, verified against its pin, published to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, Resource

from kindling.artifacts.download import fetch
from kindling.artifacts.progress import Lines
from kindling.models.assets import Asset, AssetFile
from kindling.stores.base import Store
from providers.base import UNKNOWN, Properties, PublishedProvider, say


class ArtifactArguments(TypedDict):
    """``files`` are `AssetFile`s as mappings; ``mirrors`` are tried before their URLs."""

    store: Mapping[str, str]
    owner: str
    files: Sequence[Mapping[str, Any]]
    mirrors: Sequence[str]


class ArtifactProvider(PublishedProvider):
    """Publishes the artifact's files; where they come from may change without a new upload."""

    def prepare(self, olds: Properties, news: Properties) -> CheckResult:
        """Pin by digest: the inputs name what each published file must be."""
        files = [AssetFile.model_validate(file) for file in news["files"]]
        negative = [file.path for file in files if file.size is not None and file.size < 0]
        failures = [CheckFailure("files", f"{path}: size is negative") for path in negative]
        published = {file.path: file.sha256 or UNKNOWN for file in files}
        return CheckResult(news | {"published": published}, failures)

    def publish(self, inputs: Properties, store: Store) -> None:
        """Fetch what the store does not have yet, and publish it."""
        for data in inputs["files"]:
            file = AssetFile.model_validate(data)
            assert file.sha256, "the program refuses unlocked artifacts before `up` begins"
            if store.adopt(file.path, sha256=file.sha256, owner=inputs["owner"]):
                continue
            mirrors = tuple(inputs.get("mirrors") or ())
            local = fetch(file, mirrors=mirrors, report=Lines(say))
            store.put(file.path, local, sha256=file.sha256, owner=inputs["owner"])


class Artifact(Resource, module="kindling", name="Artifact"):
    """A published artifact; ``published`` maps its store paths to their SHA-256."""

    published: pulumi.Output[dict[str, str]]

    def __init__(
        self,
        name: str,
        arguments: ArtifactArguments,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(ArtifactProvider(), name, {**arguments, "published": None}, opts)


def artifact_files(asset: Asset) -> list[dict[str, Any]]:
    """An asset's files as the resource takes them."""
    return [file.model_dump() for file in asset.files]
