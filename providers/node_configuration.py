"""One node's configuration: rendered and validated in preview, published for the boot server.

Plan, files and history travel as JSON text: one property each, which the command line still shows
as a structured difference. As mappings they would be some hundred properties per node, which the
engine copies, compares and logs several times over (docs/benchmarks.md, engine).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, Resource

from kindling.errors import KindlingError
from kindling.models.credentials import Credentials
from kindling.models.documents import (
    NodeDocument,
    Publication,
    path_of_ignition,
    path_of_node,
)
from kindling.models.plan import NodePlan
from kindling.rendering.effects import INSTALLS, effect_of, unchangeable
from kindling.rendering.identity import renderer_digest
from kindling.rendering.secrets import NodeSecrets
from kindling.stores.base import Store
from providers.base import (
    UNKNOWN,
    Properties,
    PublishedProvider,
    has_unknowns,
    is_unknown,
    say,
)

if TYPE_CHECKING:
    from kindling.rendering.nodes import RenderedNode

# What rendering adds to the inputs; kept as they are while nothing that they depend on changed.
_RENDERED = ("files", "digest", "ignitionDigest", "documentDigest", "history")
_NOT_YET = "known after the first up"  # a digest of a placeholder would be a false one
_SHOWN = 16  # hex digits per file, to tell files apart; ``digest`` in full is what machines report


class NodeConfigurationArguments(TypedDict):
    """``plan`` is a `NodePlan`, ``secret`` its `Credentials`, both as JSON; ``mac`` the first."""

    store: Mapping[str, str]
    owner: str
    mac: str
    plan: str
    secret: pulumi.Input[str]


class NodeConfigurationProvider(PublishedProvider):
    """Publishes the node's document and its installer's Ignition, the document last."""

    not_in_outputs = (
        "secret",
        "plan",
        "renderer",
        "files",
        "effect",
        "ignitionDigest",
        "documentDigest",
    )

    def prepare(self, olds: Properties, news: Properties) -> CheckResult:
        """Render, unless neither plan, nor secret, nor renderer changed since last time.

        Failures name no property: the engine would put its whole value before the sentence.
        """
        news = {**news, "renderer": renderer_digest()}
        if refused := _lowered(olds, news) or _unchangeable(olds, news):
            return CheckResult(news, [CheckFailure("", refused)])
        unchanged = all(olds.get(key) == news[key] for key in ("plan", "secret", "renderer"))
        try:
            if unchanged and not has_unknowns([olds.get(key) for key in _RENDERED]):
                rendered = {key: olds[key] for key in _RENDERED}
            else:
                rendered = _render_inputs(news, olds)
        except KindlingError as error:
            return CheckResult(news, [CheckFailure("", str(error))])
        effect = _effect(olds, news, rendered)
        published = _published(news, rendered)
        return CheckResult(news | rendered | {"effect": effect, "published": published}, [])

    def publish(self, inputs: Properties, store: Store) -> None:
        """Ignition first: a document must never name an Ignition that is not there."""
        plan = NodePlan.model_validate_json(inputs["plan"])
        rendered = _render(inputs["plan"], inputs["secret"])
        document = _document(plan, rendered, inputs["secret"], inputs["history"])
        bodies = {
            path_of_ignition(inputs["mac"]): rendered.ignition,
            path_of_node(inputs["mac"]): document.to_json(),
        }
        for path, body in bodies.items():
            store.put(path, body, sha256=inputs["published"][path], owner=inputs["owner"])


class NodeConfiguration(Resource, module="kindling", name="NodeConfiguration"):
    """A node's published configuration; ``digest`` is what the machine will report."""

    digest: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        arguments: NodeConfigurationArguments,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(NodeConfigurationProvider(), name, {**arguments, "digest": None}, opts)


@lru_cache(maxsize=128)
def _render(plan: str, secret: str | None) -> RenderedNode:
    """Rendered once for `check` and once more used by the create or update that follows it."""
    from kindling.rendering.nodes import render_node

    parsed = NodePlan.model_validate_json(plan)
    node = parsed.node
    if secret is None:
        return render_node(parsed, NodeSecrets.placeholder(parsed))
    credentials = Credentials.model_validate_json(secret)
    return render_node(parsed, NodeSecrets.derive(credentials, node.hostname, node.generation))


def _render_inputs(news: Properties, olds: Properties) -> Properties:
    """Digests of everything the node will get; unknown where they depend on unknown values."""
    secret = None if is_unknown(news["secret"]) else news["secret"]
    rendered = _render(news["plan"], secret)
    files = {
        path: _NOT_YET if path in rendered.provisional else digest[:_SHOWN]
        for path, digest in rendered.files.items()
    }
    if secret is None or rendered.provisional:
        unknown = ("digest", "ignitionDigest", "documentDigest", "history")
        return {"files": json.dumps(files), **dict.fromkeys(unknown, UNKNOWN)}
    plan = NodePlan.model_validate_json(news["plan"])
    document = _document(plan, rendered, secret, olds.get("history"))
    return {
        "files": json.dumps(files),
        "digest": rendered.digest,
        "ignitionDigest": rendered.ignition_digest,
        "documentDigest": hashlib.sha256(document.to_json()).hexdigest(),
        "history": json.dumps([each.model_dump(by_alias=True) for each in document.history]),
    }


def _effect(olds: Properties, news: Properties, rendered: Properties) -> str:
    """What the newest change means for the machine; a further run without one says the same."""
    if not olds.get("files"):
        return INSTALLS
    if rendered["files"] == olds["files"] and news["plan"] == olds["plan"]:
        return str(olds.get("effect") or INSTALLS)
    generations = tuple(_generation(each["plan"]) for each in (olds, news))
    effect = effect_of(
        json.loads(olds["files"]),
        json.loads(rendered["files"]),
        generations=(generations[0], generations[1]),
    )
    say(f"{_hostname(news['plan'])}: {effect}")
    return effect


def _lowered(olds: Properties, news: Properties) -> str | None:
    """Why a lower generation is refused: a machine takes none but a newer one than it has."""
    before, after = (_generation(each["plan"]) if "plan" in each else 0 for each in (olds, news))
    if after >= before:
        return None
    return (
        f"{_hostname(news['plan'])}: generation: {after} is lower than {before}, which is published"
        f" already; give {before}, or {before + 1} to install the machine again"
    )


def _unchangeable(olds: Properties, news: Properties) -> str | None:
    if olds.get("plan") in (None, news["plan"]):
        return None
    old, new = (NodePlan.model_validate_json(each["plan"]) for each in (olds, news))
    return unchangeable(old, new)


def _generation(plan: str) -> int:
    return int(json.loads(plan)["node"].get("generation", 1))


def _hostname(plan: str) -> str:
    return str(json.loads(plan)["node"]["hostname"])


def _published(news: Properties, rendered: Properties) -> dict[str, str]:
    return {
        path_of_ignition(news["mac"]): rendered["ignitionDigest"],
        path_of_node(news["mac"]): rendered["documentDigest"],
    }


def _document(plan: NodePlan, rendered: RenderedNode, secret: str, history: object) -> NodeDocument:
    """The node's document; ``history`` is the JSON text of earlier ones, if there were any."""
    known = json.loads(history) if isinstance(history, str) and not is_unknown(history) else []
    publications = tuple(Publication.model_validate(entry) for entry in known)
    stack_secret = Credentials.model_validate_json(secret).stack
    return rendered.document(plan, stack_secret, publications)
