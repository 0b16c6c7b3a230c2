"""Users and groups of the installed system. Passwords are secrets and have no place here."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from kindling.models.base import StackModel
from kindling.models.parsers import matching
from kindling.models.types import AbsolutePath, Flag, Natural, SshKey, Text

UserName = Annotated[
    str,
    AfterValidator(
        matching(r"[a-z_][a-z0-9_-]{0,31}", "is not a user or group name; use a-z, 0-9, - and _")
    ),
]


class User(StackModel):
    """One user; ``core`` exists already and may be changed."""

    name: UserName = Field(description="User name.")
    ssh_authorized_keys: tuple[SshKey, ...] = Field((), description="Public SSH keys.")
    uid: Natural | None = Field(None, description="User number.")
    gecos: Text | None = Field(None, description="Full name or comment.")
    home: AbsolutePath | None = Field(None, description="Home directory.")
    no_create_home: Flag = Field(False, description="Make no home directory.")
    primary_group: UserName | None = Field(None, description="Primary group.")
    groups: tuple[UserName, ...] = Field((), description="Further groups.")
    no_user_group: Flag = Field(False, description="Make no group with the user's name.")
    shell: AbsolutePath | None = Field(None, description="Login shell.")
    system: Flag = Field(False, description="A system user.")


class Group(StackModel):
    """One group."""

    name: UserName = Field(description="Group name.")
    gid: Natural | None = Field(None, description="Group number.")
    system: Flag = Field(False, description="A system group.")


class Passwd(StackModel):
    """Users and groups to add or change."""

    users: tuple[User, ...] = Field((), description="The users.")
    groups: tuple[Group, ...] = Field((), description="The groups.")
