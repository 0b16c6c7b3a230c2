"""Configuration enters here, once; nothing else reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from components.secret_settings import SecretSettings, load_secrets
from kindling.errors import KindlingError, Problem, StackFileError
from kindling.models.cluster import Cluster
from kindling.models.loading import load_cluster, load_file, warnings
from kindling.planning.cluster import ClusterPlan, plan_cluster


@dataclass(frozen=True)
class Settings:
    """What the program is made from: the plan, the store that files go to, and secrets."""

    stack: str
    plan: ClusterPlan
    store: Mapping[str, str]
    secrets: SecretSettings

    def owner(self, resource: str) -> str:
        """The name under which a resource owns its files in a store that stacks may share.

        Where the store is belongs to it: a server that gets another name is a new store to the
        engine, which publishes there first and deletes in the old one afterwards. With one owner
        for both, that would empty the server.
        """
        place = hashlib.sha256(json.dumps(dict(self.store), sort_keys=True).encode()).hexdigest()
        return f"{self.stack}/{resource}@{place[:8]}"


def load_settings() -> Settings:
    """Read, validate and plan; a mistake ends the program with its sentences, not a traceback."""
    try:
        return _load(pulumi.Config(), pulumi.get_stack())
    except KindlingError as error:
        raise pulumi.RunError(str(error)) from error


def _load(config: pulumi.Config, stack: str) -> Settings:
    cluster = _cluster(config)
    secrets = load_secrets(config, cluster)
    plan = plan_cluster(cluster, stack=stack, lock_file=Path(config.require("lockFile")))
    for warning in (*warnings(cluster), *_lock_warnings(plan)):
        pulumi.log.warn(warning)
    store = cluster.boot_server.store_location
    return Settings(stack=stack, plan=plan, store=store, secrets=secrets)


def _cluster(config: pulumi.Config) -> Cluster:
    inline = config.get_object("cluster") or {}
    file = config.get("clusterFile") or ""
    if bool(inline) == bool(file):
        given = "both are given" if file else "neither is given"
        raise StackFileError(
            (
                Problem(
                    "kindling:cluster", f"{given}; give kindling:cluster or kindling:clusterFile"
                ),
            )
        )
    return load_file(Path(file)) if file else load_cluster(inline, source="kindling:cluster")


def _lock_warnings(plan: ClusterPlan) -> tuple[str, ...]:
    """A preview may show what is planned before it is pinned; `up` publishes pinned bytes only."""
    if not plan.unlocked:
        return ()
    if not pulumi.runtime.is_dry_run():
        raise plan.unlocked_error()
    return (f"{plan.unlocked_error()} `pulumi up` will refuse until then.",)
