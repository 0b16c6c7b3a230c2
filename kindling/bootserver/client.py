"""What ``python -m kindling arm|disarm`` does: ask a boot server, with the operator's token."""

from __future__ import annotations

import getpass
import os
from urllib.parse import quote

import requests

from kindling.bootserver.settings import TOKEN_VARIABLE
from kindling.errors import BootServerError

_TIMEOUT = (5.0, 30.0)  # seconds to connect, to answer
_DONE = {"arm": "armed", "disarm": "disarmed"}


def operate(url: str, node: str, action: str) -> str:
    """Arm or disarm ``node`` (host name or MAC) at the boot server ``url``; one sentence.

    The token comes from the environment, so it is in no argument list. Raises `BootServerError`.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise BootServerError(f"set {TOKEN_VARIABLE} to the boot server's operator token")
    address = f"{url.rstrip('/')}/api/nodes/{quote(node, safe='')}/{action}"
    headers = {"Authorization": f"Bearer {token}", "Kindling-Operator": _who()}
    try:
        answer = requests.post(address, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise BootServerError(
            f"{url} does not answer ({type(error).__name__}); is the boot server running?"
        ) from error
    data = _json(answer)
    if answer.status_code != 200:
        reason = data.get("error") or f"HTTP {answer.status_code}"
        raise BootServerError(f"{node} was not {_DONE[action]}: {reason}")
    return f"{data.get('host', node)} is {_DONE[action]}; its state is {data.get('state', '?')}"


def _who() -> str:
    """Who the audit trail names. Only a statement: whoever has the token may say anything."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, in a container
        return f"uid {os.getuid()}"


def _json(answer: requests.Response) -> dict[str, str]:
    try:
        data = answer.json()
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
