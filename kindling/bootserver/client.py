"""What an operator, or a program of his, asks of a boot server: over HTTP, with his token."""

from __future__ import annotations

import getpass
import os
from typing import Any, Literal
from urllib.parse import quote

import requests
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from kindling.bootserver.settings import TOKEN_VARIABLE
from kindling.errors import BootServerError

Action = Literal["arm", "disarm", "reboot", "cancel"]

_TIMEOUT = (5.0, 30.0)  # seconds to connect, to answer
_DONE: dict[Action, str] = {
    "arm": "armed",
    "disarm": "disarmed",
    "reboot": "asked to restart",
    "cancel": "not asked to restart any more",
}
_PATHS: dict[Action, str] = {"cancel": "reboot/cancel"}


class _Answer(BaseModel):
    """A part of the server's JSON. Keys that a newer server adds are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class StageView(_Answer):
    """What an installed system last said of the cluster. ``at``: since when (epoch seconds)."""

    state: str  # initialising, joining, joined, ready, failed
    at: float
    message: str = ""
    generation: int
    incarnation: int = 0


class NodeView(_Answer):
    """A node as ``/api/nodes`` tells it; times are seconds since the epoch, digests hex."""

    host: str
    stack: str
    cluster: str
    macs: tuple[str, ...]
    role: str
    pool: str | None = None
    arch: str
    state: str
    reason: str = ""
    generation: int  # published
    digest: str
    installed_generation: int | None = None
    running_digest: str | None = None
    installed_at: float | None = None
    booted_at: float | None = None
    stage: StageView | None = None  # None: nothing said since the last boot
    last_seen: float | None = None
    silent_since: float | None = None  # it reported stages, and stopped
    reboot_requested: float | None = None  # when; None: no restart is wanted, or it has begun
    held: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the installed system says that it is ready, and was heard of lately."""
        return self.stage is not None and self.stage.state == "ready" and not self.silent_since


def nodes(url: str, token: str) -> list[NodeView]:
    """Every published node. Raises `BootServerError`."""
    data = _ask("GET", url, "nodes", token)
    try:
        return TypeAdapter(list[NodeView]).validate_python(data)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"]))
        raise BootServerError(
            f"{url} answered something else than nodes ({field}: {problem['msg']}); is it a boot"
            " server of this version?"
        ) from None


def arm(url: str, token: str, node: str) -> None:
    """Let ``node`` (host name or MAC) be installed. Raises `BootServerError`."""
    _ask("POST", url, _of_node(node, "arm"), token, what=f"{node} was not armed")


def disarm(url: str, token: str, node: str) -> None:
    """Take that back. Raises `BootServerError`."""
    _ask("POST", url, _of_node(node, "disarm"), token, what=f"{node} was not disarmed")


def request_reboot(url: str, token: str, node: str) -> None:
    """Ask ``node`` (host name or MAC) to restart; it hears of it within two minutes.

    Done when `NodeView.reboot_requested` is None again: its next boot was seen. Raises
    `BootServerError` when there is no such node, or nothing that could hear of it.
    """
    _ask("POST", url, _of_node(node, "reboot"), token, what=f"{node} was not asked to restart")


def cancel_reboot(url: str, token: str, node: str) -> None:
    """Take that back, also when nothing was asked for. Raises `BootServerError`."""
    _ask("POST", url, _of_node(node, "cancel"), token, what=f"the restart of {node} still stands")


def operate(url: str, node: str, action: Action) -> str:
    """Arm, disarm or restart ``node`` (host name or MAC); one sentence.

    The token comes from the environment, so it is in no argument list. Raises `BootServerError`.
    """
    path = _of_node(node, action)
    what = f"{node} was not {_DONE[action]}"
    data = _object(_ask("POST", url, path, token_of_environment(), what=what))
    return f"{data.get('host', node)} is {_DONE[action]}; its state is {data.get('state', '?')}"


def release(url: str, stack: str, purpose: str) -> str:
    """Take an unfinished claim back, so that another machine may initialise; one sentence.

    The token comes from the environment. Raises `BootServerError`.
    """
    data = _ask(
        "POST",
        url,
        f"clusters/{quote(stack, safe='')}/release",
        token_of_environment(),
        body={"purpose": purpose},
        what=f"the claim of {purpose} was not released",
    )
    holder = _object(_object(data).get("released")).get("holder", "somebody")
    return f"{holder} no longer holds the claim of {purpose}; who asks next is granted it"


def token_of_environment() -> str:
    """The operator's token. Raises `BootServerError` when it is not set."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise BootServerError(f"set {TOKEN_VARIABLE} to the boot server's operator token")
    return token


def _of_node(node: str, action: Action) -> str:
    return f"nodes/{quote(node, safe='')}/{_PATHS.get(action, action)}"


def _ask(
    method: str,
    url: str,
    path: str,
    token: str,
    *,
    body: dict[str, str] | None = None,
    what: str = "the boot server refused",
) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Kindling-Operator": _who()}
    try:
        answer = requests.request(
            method,
            f"{url.rstrip('/')}/api/{path}",
            headers=headers,
            json=body,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise BootServerError(
            f"{url} does not answer ({type(error).__name__}); is the boot server running?"
        ) from error
    data = _json(answer)
    if answer.status_code != requests.codes.ok:
        said = _object(data).get("error") or f"HTTP {answer.status_code}"
        raise BootServerError(f"{what}: {said}")
    return data


def _who() -> str:
    """Who the audit trail names. Only a statement: whoever has the token may say anything."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, in a container
        return f"uid {os.getuid()}"


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _object(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}
