"""What every dynamic resource shares: comparison, credentials, and drift of published files.

Providers are stored in the state by module and class name only, so these import paths must not
change (a test pins them), and an instance holds nothing but the token that `configure` gave it.
"""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from pulumi.dynamic import (
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown
from pulumi.runtime import rpc

from kindling.stores.base import Store
from kindling.stores.opening import open_store

Properties = dict[str, Any]
UNKNOWN: str = rpc.UNKNOWN  # what `check` puts into inputs that only `up` can compute


def is_unknown(value: object) -> bool:
    """Whether a property is not known yet (only in previews), however it arrived."""
    return isinstance(value, Unknown) or value == UNKNOWN


def has_unknowns(value: object) -> bool:
    """Whether a property holds an unknown at any depth."""
    if isinstance(value, Mapping):
        return any(has_unknowns(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_unknowns(item) for item in value)
    return is_unknown(value)


def say(line: str) -> None:
    """Tell the user; the engine shows what a provider writes there."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class PublishedProvider(ResourceProvider):
    """Base of the resources that publish files: subclasses say what, this says when.

    ``published`` (store path -> SHA-256) is an input that `check` adds, so a preview names each
    published file that changes. `read` puts what the store really holds there, so that altered
    files show in a refresh and are mended by the next update.
    """

    serialize_as_secret_always = False  # it holds no data; a secret would cost an encryption each
    not_in_outputs: ClassVar[tuple[str, ...]] = ()

    def configure(self, req: ConfigureRequest) -> None:
        """Take the credential of the store from secret configuration, never from properties."""
        configured = cast("str | None", req.config.get("storeToken"))
        self._token = configured or os.environ.get("KINDLING_STORE_TOKEN")

    @abstractmethod
    def prepare(self, olds: Properties, news: Properties) -> CheckResult:
        """Validate, render what can be rendered, and add ``published`` to the inputs."""

    @abstractmethod
    def publish(self, inputs: Properties, store: Store) -> None:
        """Put every file of ``published`` into the store; doing it twice is doing it once."""

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """`prepare`, without the engine's own key."""
        return self.prepare(_olds or {}, {k: v for k, v in news.items() if k != "__provider"})

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Compare what is published. Another place or another path is another resource."""
        moved = _news.get("store") != _olds.get("store") and not has_unknowns(_news.get("store"))
        if moved or _paths(_olds) != _paths(_news, default=_paths(_olds)):
            return DiffResult(changes=True, replaces=["store" if moved else "published"])
        published = _news.get("published")
        return DiffResult(changes=has_unknowns(published) or _olds.get("published") != published)

    def create(self, props: Properties) -> CreateResult:
        """Publish; what an interrupted run left in the store is adopted, not sent again."""
        self.publish(props, self.store(props))
        return CreateResult(id_=props["owner"], outs=self.outputs(props))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Publish the new files over the old ones, each atomically."""
        self.publish(_news, self.store(_news))
        return UpdateResult(outs=self.outputs(_news))

    def delete(self, _id: str, _props: Properties) -> None:
        """Give up what this resource owns; files that are gone already are no error."""
        store = self.store(_props)
        for path in _props.get("published") or {}:
            store.delete(path, owner=_props.get("owner", _id))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Compare the store with what was published: gone, altered, or as it should be."""
        expected: dict[str, str] = props.get("published") or {}
        store = self.store(props)
        stats = {path: store.stat(path) for path in expected}
        if not any(stats.values()):
            return ReadResult(None, {})
        found = {path: stat.sha256 if stat else "missing" for path, stat in stats.items()}
        known = {k: v for k, v in props.items() if k != "__provider"}
        if found == expected:
            return ReadResult(id_, known)
        return ReadResult(id_, known | {"published": found}, known | {"published": found})

    def outputs(self, inputs: Properties) -> Properties:
        """Inputs that the state keeps; secrets and the engine's own key stay out."""
        left_out = {"__provider", *self.not_in_outputs}
        return {key: value for key, value in inputs.items() if key not in left_out}

    def store(self, props: Properties) -> Store:
        """The store that the properties name, with the credential of the configuration."""
        return open_store(props["store"], getattr(self, "_token", None))


def _paths(props: Properties, default: set[str] | None = None) -> set[str]:
    published = props.get("published")
    if is_unknown(published) and default is not None:
        return default
    return set(published or {})
