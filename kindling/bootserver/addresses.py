"""What comes from a machine, made safe at the door: its address, its MAC, its free text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from starlette.types import Scope

_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}\Z")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_NOT_IN_SCRIPTS = re.compile(r"[^A-Za-z0-9 .,:;()/_-]+")


def normalise_mac(text: str) -> str | None:
    """A MAC in lower case with colons, or None when ``text`` is none."""
    lower = text.lower()
    return lower.replace("-", ":") if _MAC.match(lower) else None


def mac_of(scope: Scope) -> str | None:
    """The MAC in ``/<route>/<mac>``, or None. From the path itself: the fast path has no router."""
    parts = scope["path"].split("/")
    return normalise_mac(parts[2]) if len(parts) == 3 else None


def short_text(text: str, length: int) -> str:
    """A machine's free text: one line of printable ASCII, at most ``length`` characters."""
    return _UNPRINTABLE.sub(" ", text[: length * 4]).strip()[:length]


def for_script(text: str, length: int = 200) -> str:
    """A reason as it may stand in an iPXE script: nothing that iPXE would expand or execute."""
    return " ".join(_NOT_IN_SCRIPTS.sub(" ", text).split())[:length]


def client_address(scope: Scope, trusted: Sequence[str] = ()) -> str:
    """The address of who asks.

    ``X-Forwarded-For`` counts only as far as trusted proxies wrote it: from the right, the first
    address that is not one of theirs.
    """
    client = scope.get("client")
    address = _as_written(str(client[0])) if client else ""
    if not trusted or not _is_trusted(address, trusted):
        return address
    for hop in reversed(_forwarded(scope)):
        if not _is_address(hop):
            break
        address = _as_written(hop)
        if not _is_trusted(hop, trusted):
            break
    return address


def _as_written(address: str) -> str:
    """As the stack's documents write it: IPv6 in its short form, IPv4 never inside of IPv6."""
    if ":" not in address or not _is_address(address):
        return address
    found = ipaddress.ip_address(address)
    inner = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(inner or found)


def _forwarded(scope: Scope) -> list[str]:
    found: Iterable[bytes] = (v for n, v in scope["headers"] if n == b"x-forwarded-for")
    return [hop.strip() for value in found for hop in value.decode("latin-1").split(",")]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str, trusted: Sequence[str]) -> bool:
    if not _is_address(address):
        return False
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(network, strict=False) for network in trusted)
