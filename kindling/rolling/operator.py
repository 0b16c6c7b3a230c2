"""The boot server, asked with the operator's token."""

from __future__ import annotations

from kindling.bootserver import client
from kindling.bootserver.client import NodeView


class Operator:
    """`BootServer` at ``url``."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def nodes(self) -> list[NodeView]:
        """See `BootServer`."""
        return client.nodes(self._url, self._token)

    def arm(self, host: str) -> None:
        """See `BootServer`."""
        client.arm(self._url, self._token, host)

    def disarm(self, host: str) -> None:
        """See `BootServer`."""
        client.disarm(self._url, self._token, host)

    def reboot(self, host: str) -> None:
        """See `BootServer`."""
        client.request_reboot(self._url, self._token, host)
