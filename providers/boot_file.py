"""One published text that machines read before they are anybody: iPXE entry, dnsmasq, site."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, Resource

from kindling.errors import RenderError
from kindling.rendering.boot_files import BootFilesPlan, render_boot_file
from kindling.stores.base import Store
from providers.base import Properties, PublishedProvider


class BootFileArguments(TypedDict):
    """``path`` is one of those that `render_boot_file` makes; ``plan`` is its plan as JSON."""

    store: Mapping[str, str]
    owner: str
    path: str
    plan: str


class BootFileProvider(PublishedProvider):
    """Renders in `check`, so that an error shows in the preview."""

    def prepare(self, olds: Properties, news: Properties) -> CheckResult:
        """Render and pin the digest of the text."""
        try:
            digest = hashlib.sha256(_text(news)).hexdigest()
        except RenderError as error:
            return CheckResult(news, [CheckFailure("", str(error))])
        return CheckResult(news | {"published": {news["path"]: digest}}, [])

    def publish(self, inputs: Properties, store: Store) -> None:
        """Put the text."""
        digest = inputs["published"][inputs["path"]]
        store.put(inputs["path"], _text(inputs), sha256=digest, owner=inputs["owner"])


class BootFile(Resource, module="kindling", name="BootFile"):
    """A published boot file; ``published`` maps its store path to its SHA-256."""

    published: pulumi.Output[dict[str, str]]

    def __init__(
        self,
        name: str,
        arguments: BootFileArguments,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(BootFileProvider(), name, {**arguments, "published": None}, opts)


def _text(inputs: Properties) -> bytes:
    plan = BootFilesPlan.model_validate_json(inputs["plan"])
    return render_boot_file(inputs["path"], plan)
