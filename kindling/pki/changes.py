"""What a change of the credentials means, in words for whoever reads the preview."""

from __future__ import annotations

from collections.abc import Mapping

from kindling.pki.brought_in import MADE, PARTS

_MACHINES = {
    "kubernetes": "every control plane and worker, and every kubeconfig is replaced",
    "frontProxy": "every control plane",
    "etcd": "every control plane and etcd node",
    "serviceAccount": "every control plane, and no pod's token is good any more",
}
_ORDER = (
    "No machine is installed again until its generation rises; until then the running cluster "
    "goes on with what it has, and a machine that is installed cannot join it. "
    "The order is in docs/credentials.md"
)


def replaced_parts(
    old: Mapping[str, str], new: Mapping[str, str], *, rotated: bool
) -> tuple[str, ...]:
    """Parts that are not what they were; brought-in ones stay what they are in a rotation."""
    return tuple(
        part
        for part in PARTS
        if old.get(part, MADE) != new.get(part, MADE) or (rotated and new.get(part, MADE) == MADE)
    )


def describe_change(
    old: Mapping[str, str], new: Mapping[str, str], rotations: tuple[int, int]
) -> str | None:
    """One paragraph about the change between two sets of sources and rotations; None for none."""
    before, after = rotations
    if before != after:
        return f"rotation {before} -> {after}: {_rotation(old, new)} {_ORDER}"
    parts = replaced_parts(old, new, rotated=False)
    if not parts:
        return None
    said = (
        f"{part}: {old.get(part, MADE)} -> {new[part]}; it must reach {_MACHINES[part]}"
        for part in parts
    )
    return f"{'. '.join(said)}. {_ORDER}"


def _rotation(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    kept = [part for part in PARTS if new[part] != MADE and new[part] == old.get(part)]
    stays = f" but {', '.join(kept)}, which kindling:authorities brings in" if kept else ""
    return (
        f"every authority, key and credential is made anew{stays}: every control plane, worker, "
        "etcd node and load balancer must be installed again, and every kubeconfig replaced. The "
        "cluster is formed anew (raise kubernetes.incarnation and every generation)."
    )
