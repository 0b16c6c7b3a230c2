"""Users and groups of a Flatcar node. ``core`` is Flatcar's own and gets the cluster's keys."""

from __future__ import annotations

from typing import Any

from kindling.models.plan import NodePlan
from kindling.rendering.butane import Entry

CORE = "core"


def passwd_entries(plan: NodePlan) -> dict[str, list[Entry]]:
    """Butane's ``passwd``: the cluster's keys for ``core``, and what the node asks for."""
    users: dict[str, Entry] = {}
    if plan.ssh_authorized_keys:
        keys = list(plan.ssh_authorized_keys)
        users[CORE] = Entry({"name": CORE, "ssh_authorized_keys": keys}, "sshAuthorizedKeys")
    passwd = plan.node.passwd
    for index, user in enumerate(passwd.users):
        data: dict[str, Any] = user.model_dump(mode="json", exclude_defaults=True)
        if "home" in data:
            data["home_dir"] = data.pop("home")
        if user.name in users:
            known = users[user.name].data["ssh_authorized_keys"]
            data["ssh_authorized_keys"] = list(dict.fromkeys([*known, *user.ssh_authorized_keys]))
        users[user.name] = Entry(data, f"passwd.users[{index}]")
    groups = [
        Entry(group.model_dump(mode="json", exclude_defaults=True), f"passwd.groups[{index}]")
        for index, group in enumerate(passwd.groups)
    ]
    lists = {"users": list(users.values()), "groups": groups}
    return {section: entries for section, entries in lists.items() if entries}
