"""From a cluster to everything that is going to be published: used by Pulumi and by `render`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kindling.artifacts.catalog import Catalog, load_catalog
from kindling.artifacts.lock import LockFile
from kindling.artifacts.selection import select_assets, space_needed, sysexts_of
from kindling.errors import LockError, StackFileError
from kindling.models.assets import Asset
from kindling.models.cluster import Cluster
from kindling.models.crosschecks import unknown_versions
from kindling.models.node import Node
from kindling.models.plan import NodePlan, SysextReference
from kindling.planning.addons import image_plans, manifest_plans
from kindling.planning.kubernetes import ClusterFacts, kubernetes_plan
from kindling.rendering.boot_files import BootFilesPlan


@dataclass(frozen=True)
class ClusterPlan:
    """What one stack publishes. ``unlocked`` are store paths that the lock file does not pin."""

    cluster: Cluster
    lock_file: Path
    assets: tuple[Asset, ...]
    unlocked: tuple[str, ...]
    nodes: tuple[NodePlan, ...]
    boot: BootFilesPlan

    def unlocked_error(self) -> LockError:
        """What to tell a user whose lock file has gaps."""
        shown = ", ".join(self.unlocked[:3]) + (", ..." if len(self.unlocked) > 3 else "")
        return LockError(
            f"{self.lock_file} pins no digest for {len(self.unlocked)} of the files that this "
            f"stack needs ({shown}); run `python -m kindling lock` for this stack and commit it."
        )

    def space_notice(self) -> str:
        """The room that the artifacts take, said before anything is fetched."""
        total = space_needed(self.assets)
        per = ", ".join(
            f"{architecture}: {_gigabytes(space_needed(self.assets, architecture))}"
            for architecture in self.cluster.architectures
        )
        return f"Artifacts need {_gigabytes(total)} on the boot server and in the cache ({per})"


def plan_cluster(
    cluster: Cluster, *, stack: str, lock_file: Path, catalog: Catalog | None = None
) -> ClusterPlan:
    """Choose artifacts, pin them by the lock file, and make every node's plan.

    Raises `StackFileError` for versions that nobody knows and `LockError` for an unreadable lock.
    """
    catalog = catalog or load_catalog()
    if problems := unknown_versions(cluster, catalog.known_versions()):
        raise StackFileError(problems)
    resolution = LockFile.load(lock_file).resolve(select_assets(cluster, catalog))
    by_path = {asset.main.path: asset for asset in resolution.assets}
    facts = ClusterFacts.of(
        cluster,
        manifest_plans(cluster, catalog, by_path),
        image_plans(cluster, catalog, by_path),
    )
    return ClusterPlan(
        cluster=cluster,
        lock_file=lock_file,
        assets=resolution.assets,
        unlocked=resolution.missing,
        nodes=tuple(
            _plan_node(cluster, node, stack, _references(node, cluster, catalog, by_path), facts)
            for node in cluster.nodes
        ),
        boot=_plan_boot(cluster, stack),
    )


def _references(
    node: Node, cluster: Cluster, catalog: Catalog, by_path: Mapping[str, Asset]
) -> tuple[SysextReference, ...]:
    assets = (by_path[asset.main.path] for asset in sysexts_of(node, cluster, catalog))
    return tuple(
        SysextReference(
            name=asset.name,
            version=asset.version,
            path=asset.main.path,
            sha256=asset.main.sha256,
        )
        for asset in assets
    )


def _plan_node(
    cluster: Cluster,
    node: Node,
    stack: str,
    sysexts: tuple[SysextReference, ...],
    facts: ClusterFacts,
) -> NodePlan:
    return NodePlan(
        stack=stack,
        cluster=cluster.name,
        base_url=cluster.boot_server.url,
        flatcar_version=cluster.assets.flatcar.version,
        flatcar_channel=cluster.assets.flatcar.channel,
        ssh_authorized_keys=cluster.ssh_authorized_keys,
        proxy=cluster.proxy,
        updates=cluster.updates,
        sysexts=sysexts,
        # Control planes carry the cluster's authorities: a site may want a person to let them in.
        auto_arm=cluster.boot_server.auto_arm or node.role != "control-plane",
        arm_for=cluster.boot_server.arm_for,
        kubernetes=kubernetes_plan(cluster, node, facts),
        node=node,
    )


def _plan_boot(cluster: Cluster, stack: str) -> BootFilesPlan:
    return BootFilesPlan(
        stack=stack,
        cluster=cluster.name,
        base_url=cluster.boot_server.url,
        public_page=cluster.boot_server.public_page,
        dhcp=cluster.boot_server.dhcp,
        incarnation=cluster.kubernetes.incarnation,
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
