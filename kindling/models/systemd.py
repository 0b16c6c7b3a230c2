"""Units of the installed system."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from kindling.models.base import StackModel
from kindling.models.parsers import matching
from kindling.models.types import Flag

UnitName = Annotated[
    str,
    AfterValidator(
        matching(
            r"[A-Za-z0-9:_.@\\-]{1,240}\.(service|socket|device|mount|automount|swap|target|path"
            r"|timer|slice|scope)",
            "is not a unit name; end it with .service, .mount, .timer, ...",
        )
    ),
]
DropinName = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Za-z0-9:_.@\\-]{1,240}\.conf", "is not a drop-in name; end it with .conf")
    ),
]


class Dropin(StackModel):
    """A fragment that changes a unit."""

    name: DropinName = Field(description="File name, ending in .conf.")
    contents: str = Field(description="The fragment's text.")


class Unit(StackModel):
    """One systemd unit."""

    name: UnitName = Field(description="Unit name with its suffix.")
    enabled: Flag | None = Field(None, description="Start it at boot; absent leaves it as it is.")
    mask: Flag = Field(False, description="Keep it from ever starting.")
    contents: str | None = Field(None, description="The unit's text, for a unit of your own.")
    dropins: tuple[Dropin, ...] = Field((), description="Fragments for an existing unit.")


class Systemd(StackModel):
    """Units to add or change."""

    units: tuple[Unit, ...] = Field((), description="The units.")
