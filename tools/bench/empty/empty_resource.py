"""A dynamic resource without anything: what it costs is the engine's and the SDK's."""

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class EmptyProvider(ResourceProvider):
    """Creates nothing. Stored without encryption, as ours are: that would be a cost apart."""

    serialize_as_secret_always = False

    def create(self, _inputs: dict[str, object]) -> CreateResult:
        """Do nothing."""
        return CreateResult("empty", {})


class Empty(Resource):
    """Nothing."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(EmptyProvider(), name, {}, opts)
