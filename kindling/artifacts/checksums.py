"""The checksum files that publishers offer, and what they say of one file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from kindling.errors import LockError

Algorithm = Literal["sha256", "sha512"]

# What is trusted, the preferred first. MD5 and SHA-1, which .DIGESTS files also list, are broken.
_LENGTHS: dict[Algorithm, int] = {"sha256": 64, "sha512": 128}  # hex digits
_SECTION = re.compile(r"#\s*(\S+)\s+HASH\s*")
_LINE = re.compile(r"([0-9A-Fa-f]+)\s+\*?(\S.*)")
_BSD_LINE = re.compile(r"SHA256 \((.+)\) = ([0-9A-Fa-f]+)")


@dataclass(frozen=True)
class Checksum:
    """What a file's bytes must hash to; ``value`` in lower-case hex."""

    algorithm: Algorithm
    value: str


def parse_digests(text: str, name: str) -> Checksum | None:
    """What a ``.DIGESTS`` file says of ``name``: SHA-256 if it has that, else SHA-512.

    Sections are headed ``# SHA512 HASH`` and hold lines as of ``sha512sum`` (flatcar/scripts,
    common.sh, make_digests). Raises `LockError` when it contradicts itself.
    """
    sections: dict[str, list[str]] = {}
    current = ""
    for line in text.splitlines():
        if heading := _SECTION.fullmatch(line.strip()):
            current = heading[1].lower().replace("-", "")
        else:
            sections.setdefault(current, []).append(line)
    found = (_only(algorithm, sections.get(algorithm, []), name) for algorithm in _LENGTHS)
    return next((checksum for checksum in found if checksum), None)


def parse_sha256sums(text: str, name: str) -> Checksum | None:
    """What a SHA256SUMS file (GNU or BSD lines) says of ``name``, in whatever folder it stands.

    Raises `LockError` when it contradicts itself.
    """
    return _only("sha256", text.splitlines(), name)


def _only(algorithm: Algorithm, lines: list[str], name: str) -> Checksum | None:
    values = {value for line in lines if (value := _value_in(line, name))}
    values = {value for value in values if len(value) == _LENGTHS[algorithm]}
    if len(values) > 1:
        raise LockError(f"the published checksums name {len(values)} different ones for {name}")
    return Checksum(algorithm, values.pop()) if values else None


def _value_in(line: str, name: str) -> str | None:
    line = line.strip()
    if bsd := _BSD_LINE.fullmatch(line):
        file, value = bsd[1], bsd[2]
    elif gnu := _LINE.fullmatch(line):
        file, value = gnu[2], gnu[1]
    else:
        return None
    return value.lower() if PurePosixPath(file).name == name else None
