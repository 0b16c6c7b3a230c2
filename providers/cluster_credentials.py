"""The cluster's authorities and service-account key: made once, and never by the way.

What is made is in the state alone, as secrets. What the preview shows is what decides: the
rotation, where each part comes from, and in words what the newest change means.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from kindling.models.credentials import Authorities
from kindling.pki.authorities import ends_of, make_authorities
from kindling.pki.brought_in import PARTS, BroughtIn
from kindling.pki.certificates import authority_digest
from kindling.pki.changes import describe_change, replaced_parts
from kindling.pki.reading import ending_soon
from providers.base import Properties, say

_FIRST = "made for the first time"


class ClusterCredentialsArguments(TypedDict):
    """``broughtIn`` is `BroughtIn` as JSON, secret; ``cluster`` is named in messages only."""

    cluster: str
    rotation: int
    broughtIn: pulumi.Input[str]


class ClusterCredentialsProvider(ResourceProvider):
    """Makes anew what the rotation or another source asks for; keeps everything else."""

    serialize_as_secret_always = False  # it holds no data

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Add to the inputs where each part comes from, and what the change means."""
        brought_in = BroughtIn.from_json(news["broughtIn"])
        inputs = {k: v for k, v in news.items() if k != "__provider"}
        inputs |= {"rotation": int(news["rotation"]), "sources": brought_in.sources()}
        change = _change(_olds or {}, inputs)
        if change:
            say(f"warning: {inputs['cluster']}: {change}")
        inputs["change"] = change or (_olds or {}).get("change") or _FIRST
        problems = ending_soon(brought_in, _replaced(_olds or {}, inputs), _now())
        # Without a property: the engine would print its value beside the reason.
        return CheckResult(inputs, [CheckFailure("", str(problem)) for problem in problems])

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Never a replacement: what depends on it would be planned as new, too."""
        return DiffResult(
            changes=any(_olds.get(k) != _news.get(k) for k in ("rotation", "sources"))
        )

    def create(self, props: Properties) -> CreateResult:
        """Make everything that is not brought in."""
        made = make_authorities(BroughtIn.from_json(props["broughtIn"]), _now())
        return CreateResult(id_=f"credentials of {props['cluster']}", outs=_outputs(props, made))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Make anew what changed; the other parts stay byte for byte."""
        made = make_authorities(
            BroughtIn.from_json(_news["broughtIn"]),
            _now(),
            kept=Authorities.model_validate_json(_olds["authorities"]),
            anew=_replaced(_olds, _news),
        )
        return UpdateResult(outs=_outputs(_news, made))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """The state is the only place where they are."""
        return ReadResult(id_, {k: v for k, v in props.items() if k != "__provider"})


class ClusterCredentials(Resource, module="kindling", name="ClusterCredentials"):
    """``authorities`` is `Authorities` as JSON, secret; the rest may be seen."""

    authorities: pulumi.Output[str]
    certificate: pulumi.Output[str]  # of the Kubernetes authority, PEM
    digest: pulumi.Output[str]  # sha256:<hex> of its public key
    ends: pulumi.Output[dict[str, str]]  # part -> date

    def __init__(
        self,
        name: str,
        arguments: ClusterCredentialsArguments,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        made = dict.fromkeys(("authorities", "certificate", "digest", "ends"))
        secret = pulumi.ResourceOptions(additional_secret_outputs=["authorities"])
        super().__init__(
            ClusterCredentialsProvider(),
            name,
            {**arguments, **made},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def _change(olds: Properties, inputs: Properties) -> str | None:
    if not olds.get("sources"):
        return None
    rotations = (int(olds["rotation"]), inputs["rotation"])
    return describe_change(olds["sources"], inputs["sources"], rotations)


def _replaced(olds: Properties, news: Properties) -> tuple[str, ...]:
    """Everything, the first time."""
    if not olds.get("sources"):
        return PARTS
    rotated = int(olds["rotation"]) != int(news["rotation"])
    return replaced_parts(olds["sources"], news["sources"], rotated=rotated)


def _outputs(inputs: Properties, made: Authorities) -> Properties:
    certificate = made.kubernetes.certificate
    return {
        "cluster": inputs["cluster"],
        "rotation": int(inputs["rotation"]),
        "sources": inputs["sources"],
        "authorities": made.model_dump_json(by_alias=True),
        "certificate": certificate,
        "digest": authority_digest(certificate),
        "ends": {part: f"{end:%Y-%m-%d}" for part, end in ends_of(made).items()},
    }


def _now() -> datetime:
    return datetime.now(UTC)
