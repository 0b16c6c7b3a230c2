"""What a change of a node's configuration means for its machine: none, live, or re-install.

Ignition runs once (design decision 10). So a changed file reaches a machine only when it is
installed again, which its generation decides; its live document reaches it within minutes.
"""

from __future__ import annotations

from collections.abc import Mapping

from kindling.models.plan import NodePlan

_SHOWN = 4  # names; the difference itself lists all of them
INSTALLS = "install: the machine is new here"


def effect_of(
    old: Mapping[str, str], new: Mapping[str, str], *, generations: tuple[int, int]
) -> str:
    """One sentence about the change from ``old`` to ``new`` (names to digests, as rendered).

    ``generations`` are the published one before and after. Begins with none, live or re-install.
    """
    before, after = generations
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    system = [name for name in changed if not name.startswith(("live/", "install/"))]
    live = [name.removeprefix("live/") for name in changed if name.startswith("live/")]
    if after > before:
        return f"re-install: generation {before} -> {after}"
    if system:
        also = f"; live, within minutes: {_names(live)}" if live else ""
        return f"re-install, once the generation is raised above {after}: {_names(system)}{also}"
    if live:
        return f"live, within minutes and without a restart: {_names(live)}"
    if changed:
        return f"none: only the next installation uses {_names(changed)}"
    return "none: nothing on the machine"


def unchangeable(old: NodePlan, new: NodePlan) -> str | None:
    """Why a change is refused that no cluster takes machine by machine; None when it may be made.

    Machines that are installed one after the other would be in two networks, or in two etcds.
    """
    before, after = old.kubernetes, new.kubernetes
    if before is None or after is None:
        return None
    if after.settings.incarnation > before.settings.incarnation:
        return None
    changed = [
        key
        for key, one, other in (
            ("kubernetes.networking", before.settings.networking, after.settings.networking),
            ("etcd.mode", before.etcd.mode, after.etcd.mode),
            ("nodes with role etcd", before.dedicated_etcd, after.dedicated_etcd),
        )
        if one != other
    ]
    if after.settings.incarnation < before.settings.incarnation:
        changed.append("kubernetes.incarnation (which only rises)")
    if not changed:
        return None
    return (
        f"{new.node.hostname}: {' and '.join(changed)} cannot change in a cluster that exists; "
        "take it back, or raise kubernetes.incarnation and credentials.rotation for a new cluster"
    )


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
