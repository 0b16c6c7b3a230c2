"""The boot server's own files: the iPXE entry, dnsmasq's configuration, and the site document."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.settings import Settings
from kindling.models.documents import path_of_site
from kindling.rendering.boot_files import boot_file_paths
from providers.boot_file import BootFile


class IpxeHost(pulumi.ComponentResource):
    """Publishes what machines meet first. ``site`` comes last and stands for the whole site.

    Nodes depend on ``site`` alone: it waits for every artifact, so a node's state names one
    dependency instead of twenty, and no machine is served before what it downloads is there.
    """

    def __init__(
        self,
        settings: Settings,
        artifacts: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("kindling:IpxeHost", "boot-server", None, opts)
        self._settings = settings
        last = path_of_site(settings.stack)
        files = [self._file(path) for path in boot_file_paths(settings.plan.boot) if path != last]
        self.site = self._file(last, [*artifacts, *files])
        self.register_outputs({"url": settings.plan.boot.base_url})

    def _file(self, path: str, after: Sequence[pulumi.Resource] = ()) -> BootFile:
        return BootFile(
            path,
            {
                "store": self._settings.store,
                "owner": self._settings.owner(path),
                "path": path,
                "plan": self._settings.plan.boot.to_json(),
            },
            pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )
