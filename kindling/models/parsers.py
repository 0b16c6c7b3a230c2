"""What the semantic types of the stack file accept, and how they refuse.

A parser normalises at the door. It raises ValueError with the rest of a sentence that begins with
path and value: ``nodes[0].arch: "amd64"`` + ``is not an architecture here; arch must be ...``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from kindling.models.architecture import COMMON_MISSPELLINGS, Architecture

_MAC_SEPARATORS = re.compile(r"[:.\-]")
_MAC_SHAPES = re.compile(
    r"[0-9a-f]{12}|([0-9a-f]{2}:){5}[0-9a-f]{2}|([0-9a-f]{2}-){5}[0-9a-f]{2}"
    r"|([0-9a-f]{4}\.){2}[0-9a-f]{4}|([0-9a-f]{4}:){2}[0-9a-f]{4}|([0-9a-f]{4}-){2}[0-9a-f]{4}"
)
# sda1, vdb2, nvme0n1p3, mmcblk0p1, and udev's ...-part1
_PARTITION = re.compile(r"(/(sd|vd|xvd|hd)[a-z]+\d+|/(nvme\d+n\d+|mmcblk\d+)p\d+|-part\d+)\Z")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,14}")
_VERSION = re.compile(r"\d+(\.\d+){0,3}([-+][0-9A-Za-z.\-+]+)?")
_DURATION = re.compile(r"(\d+)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SSH_KEY = re.compile(
    r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)"
    r"@openssh\.com) [A-Za-z0-9+/]{16,}={0,3}( .*)?"
)
# Decimal numbers that are meant as octal modes (644 is 0o1204, which nobody wants). What YAML makes
# of 0644 and the like (420, ...) is not among them.
_UNMARKED_OCTAL = frozenset(
    (400, 440, 444, 500, 544, 550, 555, 600, 640, 644, 660, 664, 666, 700, 711, 744, 750, 755)
) | {770, 775, 777, 1777, 2755, 4755}
HOSTNAME_LIMIT = 64  # Linux, HOST_NAME_MAX


def parse_architecture(value: object) -> object:
    """`Architecture`, with a hint for the spellings of others."""
    if isinstance(value, str) and value in set(Architecture):
        return value
    message = "is not an architecture here; arch must be one of: x86-64, arm64"
    meant = COMMON_MISSPELLINGS.get(str(value).strip().lower())
    if meant is None and str(value).strip().lower() in set(Architecture):
        meant = Architecture(str(value).strip().lower())
    raise ValueError(message + (f" ({value} is {meant})" if meant else ""))


def parse_mac(value: object) -> str:
    """Lower case with colons, from colons, hyphens, dots (Cisco) or no separator, in any case."""
    if isinstance(value, int | float):
        raise ValueError('was read as a number; put the MAC address in quotes: "52:54:00:12:34:56"')
    text = str(value).strip().lower()
    if not _MAC_SHAPES.fullmatch(text):
        raise ValueError("is not a MAC address; write six bytes such as 52:54:00:12:34:56")
    digits = _MAC_SEPARATORS.sub("", text)
    if int(digits[:2], 16) & 1 or not int(digits, 16):
        raise ValueError("is a group or empty address; give the address of one network card")
    return ":".join(digits[start : start + 2] for start in range(0, 12, 2))


def parse_macs(value: object) -> object:
    """One address or several, as a tuple."""
    return value if isinstance(value, list | tuple) else (value,)


def parse_hostname(value: str) -> str:
    """A fully qualified name in lower case."""
    name = value.strip().lower()
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("is not a hostname; use letters, digits and hyphens, in parts with dots")
    if len(labels) < 2:
        raise ValueError(f"has no domain; write the full name such as {name}.example.com")
    if len(name) > HOSTNAME_LIMIT:
        raise ValueError(f"is longer than the {HOSTNAME_LIMIT} characters that Linux allows")
    return name


def parse_cluster_name(value: str) -> str:
    """One DNS label."""
    if not _LABEL.fullmatch(value):
        raise ValueError("is not a name here; use lower-case letters, digits and hyphens")
    return value


def parse_disk(value: str) -> str:
    """An absolute device path below /dev."""
    parts = value.split("/")
    if not value.startswith("/dev/") or set(parts[1:]) & {"", ".", ".."} or re.search(r"\s", value):
        raise ValueError(
            "is not a disk; write an absolute path such as /dev/sda or /dev/disk/by-id/..."
        )
    return value


def parse_whole_disk(value: str) -> str:
    """A disk that can take a system: not a partition, by the kernel's or udev's names."""
    if _PARTITION.search(parse_disk(value)):
        raise ValueError("is a partition; name the whole disk, as in /dev/sda or /dev/nvme0n1")
    return value


def parse_absolute_path(value: str) -> str:
    """An absolute path without ``.`` and ``..``; repeated and trailing slashes are dropped."""
    parts = [part for part in value.split("/") if part]
    if not value.startswith("/") or {".", ".."} & set(parts) or "\0" in value:
        raise ValueError("is not an absolute path; begin with / and leave out . and ..")
    return "/" + "/".join(parts)


def parse_interface_address(value: str) -> str:
    """Address and prefix length of an interface, normalised."""
    if "/" not in value:
        raise ValueError("has no prefix length; write it like 192.0.2.10/24 or 2001:db8::10/64")
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise ValueError("is not an address; write it like 192.0.2.10/24") from None
    network = interface.network
    if network.num_addresses > 2 and interface.ip == network.network_address:
        raise ValueError(f"is the network itself; give the machine's own address in {network}")
    if (
        interface.version == 4
        and network.num_addresses > 2
        and interface.ip == network.broadcast_address
    ):
        raise ValueError(f"is the broadcast address of {network}; give the machine's own address")
    return interface.with_prefixlen


def parse_network(value: str) -> str:
    """A network such as 10.0.0.0/8; ``default`` stands for 0.0.0.0/0."""
    if value == "default":
        return "0.0.0.0/0"
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        pass
    try:
        near = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("is not a network; write it like 10.0.0.0/8 or default") from None
    raise ValueError(f"has host bits set; the network is {near}")


def parse_address(value: str) -> str:
    """An IPv4 or IPv6 address without a prefix length."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("is not an IP address; write it like 192.0.2.1 or 2001:db8::1") from None


def parse_gateway4(value: str) -> str:
    """An IPv4 address."""
    address = parse_address(value)
    if ":" in address:
        raise ValueError("is an IPv6 address; write it as gateway6")
    return address


def parse_gateway6(value: str) -> str:
    """An IPv6 address."""
    address = parse_address(value)
    if ":" not in address:
        raise ValueError("is an IPv4 address; write it as gateway")
    return address


def parse_sha256(value: str) -> str:
    """64 hexadecimal digits in lower case; a leading ``sha256-`` or ``sha256:`` is dropped."""
    digest = re.sub(r"^sha256[-:]", "", value.strip().lower())
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("is not a SHA-256 digest; give its 64 hexadecimal digits")
    return digest


def parse_version(value: str) -> str:
    """A version without the leading ``v``."""
    version = value.strip().removeprefix("v")
    if not _VERSION.fullmatch(version):
        raise ValueError("is not a version; write it like 1.33.6")
    return version


def parse_duration(value: object) -> object:
    """Seconds, from a number of seconds or text such as 24h, 90m, 30s, 7d."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and not found:
        raise ValueError("is not a duration; write it like 24h, 90m or a number of seconds")
    return int(found[1]) * _SECONDS[found[2]] if found else value


def parse_mode(value: object) -> object:
    """A file mode as a number, from octal text ("0644") or YAML's own octal (0644)."""
    if isinstance(value, str):
        if not re.fullmatch(r"(0o?)?[0-7]{3,4}", value):
            raise ValueError('is not a file mode; write it in octal like "0644"')
        return int(value.removeprefix("0o"), 8)
    if isinstance(value, int) and value in _UNMARKED_OCTAL:
        raise ValueError(f'is not in octal; write it with a leading zero: "0{value}"')
    return value


def _check_url(value: str, schemes: tuple[str, ...]) -> None:
    example = f"{schemes[-1]}://server/path"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a URL; write it like {example}") from None
    if parts.scheme not in schemes or re.search(r"\s", value) or port == 0:
        raise ValueError(f"is not a URL of {' or '.join(schemes)}; write it like {example}")
    if parts.username is not None or parts.password is not None:
        # The message must not repeat the value; `explain` hides it by this word.
        raise ValueError("holds a password, and the cluster never holds secrets; remove user:...@")
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError(f"has no host; write it like {example}")


def parse_url(value: str) -> str:
    """An http or https URL without credentials and without a trailing slash."""
    _check_url(value, ("http", "https"))
    return value.rstrip("/")


def parse_base_url(value: str) -> str:
    """A URL that paths are appended to: no query, no fragment, no trailing slash."""
    url = parse_url(value)
    if "?" in url or "#" in url:
        raise ValueError("must end with its path; remove the part from ? or #")
    return url


def parse_location(value: str) -> str:
    """A mirror: http, https or file URL, or a local path."""
    if "://" in value:
        _check_url(value, ("http", "file", "https"))
    elif not value.strip():
        raise ValueError("is empty; give a URL or a directory")
    return value.rstrip("/") or "/"


def parse_ssh_key(value: str) -> str:
    """One line of an authorized_keys file, without options."""
    key = value.strip()
    if "PRIVATE KEY" in key:
        raise ValueError("is a private key; give the public one (the .pub file)")
    if not _SSH_KEY.fullmatch(key):
        raise ValueError("is not an OpenSSH public key; write it like: ssh-ed25519 AAAA... name")
    return key


def parse_interface_name(value: str) -> str:
    """A network interface's name as Linux allows it (at most 15 characters)."""
    if not _INTERFACE.fullmatch(value):
        raise ValueError("is not an interface name; use at most 15 letters, digits, _ . or -")
    return value


def parse_setting(value: object) -> object:
    """Text; a whole number is taken as written (``net.ipv4.ip_forward: 1``)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def refuse_truth(value: object) -> object:
    """True and quoted numbers are not numbers."""
    if isinstance(value, bool | str):
        raise ValueError("is not a number; write a whole number without quotes")
    return value


def refuse_quotes(value: object) -> object:
    """Only true and false are truth values."""
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false; write true or false without quotes")
    return value


def matching(pattern: str, message: str) -> Callable[[str], str]:
    """A validator: the whole value matches ``pattern``, or ``message`` is the refusal."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(message)
        return value

    return check
