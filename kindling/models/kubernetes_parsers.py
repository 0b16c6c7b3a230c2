"""What the semantic types of a cluster's settings accept; see `kindling.models.parsers`."""

from __future__ import annotations

import ipaddress
import re

from kindling.models.parsers import parse_address, parse_network, parse_url

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_WILDCARD = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_DNS_SERVER = re.compile(
    r"(tls://)?(\[(?P<six>[0-9a-fA-F:]+)\]|(?P<four>[0-9.]+))(:(?P<port>\d+))?"
)
_EVERYWHERE = "0.0.0.0/0"


def parse_domain(value: str) -> str:
    """A DNS domain in lower case, of one label or more."""
    domain = value.strip().lower()
    if len(domain) > 253 or not _DOMAIN.fullmatch(domain):
        raise ValueError("is not a DNS domain; write it like cluster.local")
    return domain


def parse_host(value: str) -> str:
    """An IP address, or a DNS name in lower case."""
    return _address_or(
        value, _DOMAIN, "is neither a DNS name nor an IP address; give it without a port"
    )


def parse_certificate_name(value: str) -> str:
    """What a certificate can be for: a host, also ``*.example.com``."""
    return _address_or(value, _WILDCARD, "is neither a DNS name nor an IP address; give one")


def parse_ipv4_network(value: str) -> str:
    """An IPv4 network; clusters have one address family."""
    if "," in value:
        raise ValueError("is not one IPv4 network; write it like 10.244.0.0/16")
    network = parse_network(value)
    if ":" in network:
        raise ValueError(
            "is an IPv6 network; pods and services have IPv4 only, write it like 10.244.0.0/16"
        )
    if network == _EVERYWHERE:
        raise ValueError("is every address there is; write a network like 10.244.0.0/16")
    return network


def parse_https_url(value: str) -> str:
    """An https URL."""
    url = parse_url(value)
    if not url.startswith("https://"):
        raise ValueError("is not safe from listeners; give a URL with https")
    return url


def parse_certificates(value: str) -> str:
    """PEM certificates, one or more, ending in a line end."""
    if "-----BEGIN CERTIFICATE-----" not in value or "-----END CERTIFICATE-----" not in value:
        raise ValueError("is no certificate; give its PEM text, from BEGIN to END CERTIFICATE")
    return value.strip() + "\n"


def parse_dns_server(value: str) -> str:
    """What CoreDNS forwards to: an address, with port, over TLS, or a resolv.conf file."""
    found = _DNS_SERVER.fullmatch(value)
    if found:
        port = int(found["port"] or 53)
        if is_address(found["six"] or found["four"]) and 1 <= port <= 65_535:
            return value
    elif is_address(value) or re.fullmatch(r"/[A-Za-z0-9._/-]+", value):
        return value
    raise ValueError("is not a DNS server; write it like 192.0.2.53, 192.0.2.53:5353 or tls://...")


def _address_or(value: str, names: re.Pattern[str], message: str) -> str:
    """The address, or the name that matches; digits and dots alone are meant as an address."""
    text = value.strip().lower()
    if is_address(text):
        return parse_address(text)
    if len(text) > 253 or re.fullmatch(r"[\d.]+", text) or not names.fullmatch(text):
        raise ValueError(message)
    return text


def is_address(value: str) -> bool:
    """Whether it is an IP address, of either version."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
