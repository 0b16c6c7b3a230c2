"""What `kindling lock` does: pin every artifact, read the manifests, check their images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kindling.artifacts.cache import Cache
from kindling.artifacts.catalog import Catalog
from kindling.artifacts.download import fetch
from kindling.artifacts.image_pins import Findings, NeededImage, check_images
from kindling.artifacts.lock import LockFile, save_images, update_lock
from kindling.artifacts.manifest_images import images_of
from kindling.artifacts.manifests import addon_asset, user_asset
from kindling.artifacts.selection import select_assets
from kindling.artifacts.web import Patience
from kindling.errors import LockError
from kindling.models.addon_checks import manifest_problem, policies_enforced
from kindling.models.addons import chosen_addons
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset
from kindling.models.cluster import Cluster
from kindling.models.manifest_text import Object, objects_of
from kindling.models.role import Role


@dataclass(frozen=True)
class Wishes:
    """How to lock. ``require_images``: an image that no registry tells of is an error, too."""

    trust_download: bool = False
    prune: bool = False
    refresh: bool = False
    require_images: bool = False


@dataclass(frozen=True)
class Locked:
    """``artifacts`` and ``images`` are counts; ``warnings`` are sentences."""

    artifacts: int
    images: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Manifest:
    """A manifest as a stack uses it."""

    name: str
    objects: tuple[Object, ...]
    patches: tuple[Object, ...] = ()


def lock_stacks(
    clusters: Sequence[Cluster],
    lock_file: Path,
    catalog: Catalog,
    wishes: Wishes,
    patience: Patience | None = None,
) -> Locked:
    """Pin what the stacks need, all problems together as one `LockError`.

    What is good is saved even when other things are not.
    """
    assets = {a.main.path: a for cluster in clusters for a in select_assets(cluster, catalog)}
    mirrors = tuple(dict.fromkeys(m for c in clusters for m in c.assets.mirrors))
    lock = update_lock(
        tuple(assets.values()),
        lock_file,
        trust_download=wishes.trust_download,
        mirrors=mirrors,
        prune=wishes.prune,
        refresh=wishes.refresh,
    )
    needed = _needed(clusters, catalog, lock, mirrors)
    known = {} if wishes.refresh else lock.images
    found = check_images(needed, known, patience or Patience())
    save_images(lock_file, found.pins, prune=wishes.prune, cache=Cache())
    return Locked(len(assets), len(found.pins), _judged(found, wishes))


def _judged(found: Findings, wishes: Wishes) -> tuple[str, ...]:
    problems = found.problems + (found.unknown if wishes.require_images else [])
    if problems:
        count = f"{len(problems)} image" + ("s" if len(problems) != 1 else "")
        raise LockError(f"{count} will not do:\n" + "\n".join(problems))
    remedy = "not checked for the stack's architectures; lock again where its registry answers"
    return tuple(f"{reason}; {remedy}" for reason in found.unknown)


def _needed(
    clusters: Sequence[Cluster], catalog: Catalog, lock: LockFile, mirrors: tuple[str, ...]
) -> list[NeededImage]:
    """Every image of every stack. Raises `LockError` for manifests that cannot be used."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    architectures: dict[str, set[Architecture]] = defaultdict(set)
    problems: dict[str, None] = {}
    for cluster in clusters:
        joining = cluster.nodes_of(Role.CONTROL_PLANE, Role.WORKER)
        for manifest in _manifests(cluster, catalog, lock, mirrors, problems):
            for image in images_of(manifest.objects, manifest.patches):
                users[image][manifest.name] = None
                architectures[image] |= {node.arch for node in joining}
    if problems:
        raise LockError("\n".join(problems))
    return [
        NeededImage(image, tuple(users[image]), tuple(sorted(architectures[image], key=_order)))
        for image in sorted(users)
    ]


def _order(architecture: Architecture) -> int:
    return tuple(Architecture).index(architecture)


def _manifests(
    cluster: Cluster,
    catalog: Catalog,
    lock: LockFile,
    mirrors: tuple[str, ...],
    problems: dict[str, None],
) -> Iterator[_Manifest]:
    """The stack's manifests; what is wrong with one goes into ``problems``."""
    if cluster.assets.kubernetes is None:
        return
    enforced = policies_enforced(cluster)

    def read(asset: Asset, key: str, *, given: bool, policies: bool) -> tuple[Object, ...]:
        (pinned,) = lock.resolve([asset]).assets
        text = fetch(pinned.main, mirrors=mirrors).read_text(encoding="utf-8", errors="replace")
        problem = manifest_problem(text, policies_enforced=policies, secrets_allowed=not given)
        if problem is not None:
            problems[f"{key}: {pinned.main.url} {problem}"] = None
            return ()
        return objects_of(text)

    for chosen in chosen_addons(cluster.cni, cluster.addons):
        # Upstream's own policies come with the add-on; that nobody enforces them breaks nothing.
        given, key = chosen.settings.url is not None, f"addons.{chosen.key}"
        asset = addon_asset(chosen, catalog)
        objects = read(asset, f"{key}.url" if given else key, given=given, policies=True)
        yield _Manifest(chosen.name, objects, chosen.settings.patches)
    for index, manifest in enumerate(cluster.manifests):
        key = f"manifests[{index}]"
        if manifest.inline is not None:
            yield _Manifest(f"manifest {manifest.name}", objects_of(manifest.inline))
        elif manifest.url is not None:
            asset = user_asset(manifest, manifest.url)
            objects = read(asset, f"{key}.url", given=True, policies=enforced)
            yield _Manifest(f"manifest {manifest.name}", objects)
