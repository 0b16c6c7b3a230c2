"""What a node's storage and systemd sections ask for, in Butane's words."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from kindling.errors import RenderError
from kindling.models.node import Node
from kindling.models.storage import File, Owned
from kindling.models.systemd import Unit
from kindling.rendering.butane import Entry

_OURS = ("/etc/kindling/", "/opt/kindling/")
_OUR_UNIT = "kindling-report.service"


def storage_entries(node: Node) -> list[tuple[str, Entry]]:
    """Section and entry for everything in ``storage``.

    Raises `RenderError` for a path that Kindling itself needs.
    """
    storage = node.storage
    made: list[tuple[str, Entry]] = []
    for section, owned in (
        ("files", storage.files),
        ("directories", storage.directories),
        ("links", storage.links),
    ):
        for index, each in enumerate(owned):
            origin = f"storage.{section}[{index}]"
            _refuse_ours(node, each, origin)
            made.append((section, Entry(_owned(each), origin)))
    for section, plain in (
        ("disks", storage.disks),
        ("raid", storage.raid),
        ("luks", storage.luks),  # without what unlocks them: see add_clevis
        ("filesystems", storage.filesystems),
    ):
        for index, part in enumerate(plain):
            data = _plain(part)
            data.pop("clevis", None)
            made.append((section, Entry(data, f"storage.{section}[{index}]")))
    return made


def add_clevis(ignition: bytes, node: Node) -> bytes:
    """Set what unlocks encrypted volumes.

    Ignition 3.4 and Flatcar have it; Butane's flatcar 1.1.0 is older and refuses the key.
    """
    pins = {each.name: each.clevis for each in node.storage.luks}
    if not pins:
        return ignition
    document = json.loads(ignition)
    for volume in document["storage"]["luks"]:
        wanted = pins[volume["name"]].model_dump(mode="json", by_alias=True, exclude_defaults=True)
        volume["clevis"] = wanted
    return json.dumps(document, separators=(",", ":")).encode()


def merge_units(ours: list[Entry], node: Node) -> list[Entry]:
    """Our units and the node's; where both name one, the node's words win and drop-ins join.

    Raises `RenderError` for a change to the unit that reports the node's state.
    """
    merged = {entry.data["name"]: entry for entry in ours}
    for index, unit in enumerate(node.systemd.units):
        origin = f"systemd.units[{index}]"
        if unit.name == _OUR_UNIT:
            raise RenderError(
                f"{node.hostname}: {origin}.name: {_OUR_UNIT} is Kindling's own; "
                "add a unit of your own instead"
            )
        known = merged[unit.name].data if unit.name in merged else {"name": unit.name}
        merged[unit.name] = Entry(_merged_unit(known, unit), origin)
    return list(merged.values())


def _merged_unit(known: dict[str, Any], unit: Unit) -> dict[str, Any]:
    made = dict(known)
    for key in ("enabled", "mask", "contents"):
        value = getattr(unit, key)
        if key in unit.model_fields_set and value is not None:
            made[key] = value
    dropins = {each["name"]: each for each in known.get("dropins", ())}
    dropins |= {each.name: each.model_dump() for each in unit.dropins}
    if dropins:
        made["dropins"] = list(dropins.values())
    return made


def _refuse_ours(node: Node, owned: Owned, origin: str) -> None:
    if owned.path.startswith(_OURS):
        raise RenderError(
            f"{node.hostname}: {origin}.path: {owned.path} is where Kindling keeps its own; "
            "choose another directory"
        )


def _plain(part: BaseModel) -> dict[str, Any]:
    """Models of the stack file use Butane's own keys, in snake case as Butane does."""
    return part.model_dump(mode="json", exclude_defaults=True)


def _owned(owned: Owned) -> dict[str, Any]:
    made = _plain(owned)
    for key in ("user", "group"):
        if key in made:
            made[key] = {"name": made[key]}
    if isinstance(owned, File):
        made["contents"] = _contents(owned)
    return made


def _contents(file: File) -> dict[str, Any]:
    contents = file.contents
    if contents.inline is not None:
        return {"inline": contents.inline}
    return {"source": contents.source, "verification": {"hash": f"sha256-{contents.sha256}"}}
