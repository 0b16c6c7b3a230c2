"""Signed values that need no table: boot tickets for machines, sessions for the page.

Both are a payload and its HMAC-SHA256 under a key of its own, derived from the server's secret.
The secret is in the database, so a restarted server and a second one accept each other's.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from hashlib import sha256

TICKET_LIFE = 15 * 60  # seconds in which a machine must fetch its Ignition (decision 14)
SESSION_LIFE = 12 * 3600  # seconds

_LONGEST = 512  # characters of a signed value; ours have about 150
_FIELDS = 5  # of a ticket


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to fetch one node's Ignition from the machine that got the boot script.

    iPXE asks from a DHCP lease, ``address``, and the installer from the address that the script
    gives it, ``given``, if it gives one: the same machine at two addresses (docs/adr/0001).
    """

    mac: str
    generation: int
    address: str
    issued: float  # seconds since the epoch
    given: str = ""

    def is_good_at(self, address: str) -> bool:
        """Whether the machine may ask from there."""
        return address == self.address or (self.given != "" and address == self.given)


class Tickets:
    """Mints and reads tickets and sessions."""

    def __init__(self, secret: bytes) -> None:
        self._tickets = _derive(secret, b"kindling boot ticket")
        self._sessions = _derive(secret, b"kindling page session")

    def mint(self, ticket: Ticket) -> str:
        """The ticket as text that is safe in a URL, an iPXE script and a kernel command line."""
        place = (ticket.address, ticket.given)
        fields = (ticket.mac, str(ticket.generation), repr(ticket.issued), *place)
        return _sign(self._tickets, "|".join(fields).encode())

    def read(self, text: str, mac: str, now: float) -> Ticket | None:
        """The ticket in ``text`` when this server made it for ``mac`` and it is not too old."""
        payload = _open(self._tickets, text)
        if payload is None:
            return None
        fields = payload.decode().split("|")
        if len(fields) != _FIELDS:  # of an older server
            return None
        owner, generation, issued, address, given = fields
        ticket = Ticket(owner, int(generation), address, float(issued), given)
        fresh = ticket.issued <= now < ticket.issued + TICKET_LIFE
        return ticket if fresh and owner == mac else None

    def open_session(self, now: float) -> str:
        """A session's cookie value. It says only until when it is good; never the token."""
        return _sign(self._sessions, f"{now + SESSION_LIFE:.0f}".encode())

    def is_session(self, text: str, now: float) -> bool:
        """Whether the cookie is a session of this server that has not ended."""
        payload = _open(self._sessions, text)
        return payload is not None and now < float(payload)


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, purpose, "sha256")


def _sign(key: bytes, payload: bytes) -> str:
    signature = hmac.digest(key, payload, "sha256")
    return f"{_encode(payload)}.{_encode(signature)}"


def _open(key: bytes, text: str) -> bytes | None:
    """The signed payload, or None for whatever was not signed with ``key``."""
    body, _, signature = text.partition(".")
    if not signature or len(text) > _LONGEST:
        return None
    try:
        payload, given = _decode(body), _decode(signature)
    except (binascii.Error, ValueError):
        return None
    expected = hmac.new(key, payload, sha256).digest()
    return payload if hmac.compare_digest(expected, given) else None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
