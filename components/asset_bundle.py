"""Everything that machines of one architecture download, and what all of them do."""

from __future__ import annotations

import pulumi

from components.settings import Settings
from kindling.models.architecture import Architecture
from providers.artifact import Artifact, artifact_files


class AssetBundle(pulumi.ComponentResource):
    """The artifacts of one architecture, each published once for all its nodes.

    The bundle without an architecture, "common", has what is the same for all: manifests.
    """

    def __init__(
        self,
        architecture: Architecture | None,
        settings: Settings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        bundle = str(architecture or "common")
        super().__init__("kindling:AssetBundle", bundle, None, opts)
        self.artifacts: list[Artifact] = []
        mirrors = settings.plan.cluster.assets.mirrors
        for asset in settings.plan.assets:
            if asset.arch is not architecture:
                continue
            name = f"{bundle}-{asset.name}"
            self.artifacts.append(
                Artifact(
                    name,
                    {
                        "store": settings.store,
                        "owner": settings.owner(name),
                        "files": artifact_files(asset),
                        "mirrors": list(mirrors),
                    },
                    pulumi.ResourceOptions(parent=self),
                )
            )
        self.register_outputs({"artifacts": len(self.artifacts)})
