"""The administrator's credential: a resource of its own, since it alone is renewed by the calendar.

In the same resource as the authorities, every machine would be shown as changing with it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TypedDict

import pulumi
from pulumi.dynamic import (
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from kindling.models.credentials import KeyPair
from kindling.pki.authorities import make_admin
from kindling.pki.certificates import LEAF_LIFE, authority_digest, end_of
from providers.base import UNKNOWN, Properties, is_unknown, say

_BEFORE_END = timedelta(days=60)  # it is renewed by an `up` that comes so long before its end


class AdminCredentialArguments(TypedDict):
    """``authority`` is the Kubernetes authority as `KeyPair` in JSON, secret."""

    cluster: str
    authority: pulumi.Input[str]


class AdminCredentialProvider(ResourceProvider):
    """Signs anew when the authority is another one, or the credential's end is near."""

    serialize_as_secret_always = False  # it holds no data

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Add to the inputs who signs and since when: what decides, and what the preview shows."""
        inputs = {k: v for k, v in news.items() if k != "__provider"}
        signer, today = _signer(inputs["authority"]), _now().date()
        issued = str((_olds or {}).get("issued") or today)
        if signer != (_olds or {}).get("signer"):
            issued = str(today)
        elif (end := date.fromisoformat(issued) + LEAF_LIFE) - today <= _BEFORE_END:
            say(
                f"{inputs['cluster']}: the admin credential in the kubeconfig ends on {end}; "
                "`up` makes a new one, and the old one stays good until then"
            )
            issued = str(today)
        return CheckResult(inputs | {"signer": signer, "issued": issued}, [])

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """An authority that is not known yet is another one."""
        return DiffResult(changes=any(_olds.get(k) != _news.get(k) for k in ("signer", "issued")))

    def create(self, props: Properties) -> CreateResult:
        """Sign."""
        return CreateResult(id_=f"admin of {props['cluster']}", outs=_outputs(props))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Sign anew."""
        return UpdateResult(outs=_outputs(_news))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """The state is the only place where it is."""
        return ReadResult(id_, {k: v for k, v in props.items() if k != "__provider"})


class AdminCredential(Resource, module="kindling", name="AdminCredential"):
    """``credential`` is a `KeyPair` as JSON, secret."""

    credential: pulumi.Output[str]
    ends: pulumi.Output[str]  # date

    def __init__(
        self,
        name: str,
        arguments: AdminCredentialArguments,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        made = {"credential": None, "ends": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["credential"])
        super().__init__(
            AdminCredentialProvider(),
            name,
            {**arguments, **made},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def _signer(authority: object) -> str:
    if is_unknown(authority):
        return UNKNOWN
    return authority_digest(KeyPair.model_validate_json(str(authority)).certificate)


def _outputs(inputs: Properties) -> Properties:
    made = make_admin(KeyPair.model_validate_json(inputs["authority"]), _now())
    return {
        "cluster": inputs["cluster"],
        "signer": inputs["signer"],
        "issued": inputs["issued"],
        "credential": made.model_dump_json(),
        "ends": f"{end_of(made.certificate):%Y-%m-%d}",
    }


def _now() -> datetime:
    return datetime.now(UTC)
