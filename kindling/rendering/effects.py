"""What a change of a node's configuration means for its machine: none, live, or re-install.

Ignition runs once (design decision 10). So a changed file reaches a machine only when it is
installed again, which its generation decides; its live document reaches it within minutes.
"""

from __future__ import annotations

from collections.abc import Mapping

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
        return f"re-install, once the generation is raised above {after}: {_names(system)}"
    if live:
        return f"live, within minutes and without a restart: {_names(live)}"
    if changed:
        return f"none: only the next installation uses {_names(changed)}"
    return "none: nothing on the machine"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
