"""One real DNS query to the cluster, through `kubectl port-forward` and so through the API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import dns.exception
import dns.message
import dns.query
import dns.rcode

from kindling.errors import CommandError
from kindling.process import beside

_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
_PATIENCE = 20.0  # seconds, for the way through and for the answer


def ask_dns(forward: Sequence[str], environment: Mapping[str, str], name: str) -> str:
    """Ask for the addresses of ``name``; the problem, or an empty string.

    ``forward`` is the command that forwards a local port to the DNS service. DNS over TCP, because
    that is what can be forwarded.
    """
    try:
        with beside(forward, environment=environment) as program:
            line = program.line(_PATIENCE)
            match = _FORWARDED.match(line)
            return _query(name, int(match[1])) if match else f"no way to it: {line}"
    except CommandError as error:
        return f"no way to it: {error}"


def _query(name: str, port: int) -> str:
    query = dns.message.make_query(name, "A")
    try:
        answer = dns.query.tcp(query, "127.0.0.1", port=port, timeout=_PATIENCE)
    except (dns.exception.DNSException, OSError, EOFError) as error:
        return f"no answer for {name} ({type(error).__name__})"
    if answer.rcode() != dns.rcode.NOERROR or not answer.answer:
        return f"{name} is not known there ({dns.rcode.to_text(answer.rcode())})"
    return ""
