"""Property values as they travel between the engine and a plugin.

Signatures: sdk/go/common/resource/{sig,properties}.go of Pulumi 3.259. Assets and archives stay
the dictionaries that they are on the wire; nobody here looks inside more than two of their keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET_SIGNATURE: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_SIGNATURE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

_UNKNOWNS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # list
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

Properties = dict[str, Any]


class _Unknown(Enum):
    UNKNOWN = "unknown"


UNKNOWN: Final = _Unknown.UNKNOWN
"""A value that only `up` will know."""


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts; it does not show in a repr."""

    value: Any = field(repr=False)


def decode(struct: struct_pb2.Struct) -> Properties:
    """Return the properties of a message, with `UNKNOWN` and `Secret` where the engine put them."""
    plain = json_format.MessageToDict(struct)
    return {name: _decode(value) for name, value in plain.items()}


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return _decode_table(value)
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return UNKNOWN if isinstance(value, str) and value in _UNKNOWNS else value


def _decode_table(value: Mapping[str, Any]) -> Any:
    if value.get(SIGNATURE) == SECRET_SIGNATURE:
        return Secret(_decode(value.get("value")))
    if value.get(SIGNATURE) == OUTPUT_SIGNATURE:
        return _decode_output(value)
    return {name: _decode(item) for name, item in value.items()}


def _decode_output(value: Mapping[str, Any]) -> Any:
    known = _decode(value["value"]) if "value" in value else UNKNOWN
    return Secret(known) if value.get("secret") else known


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return the message for properties; the reverse of `decode`."""
    struct = struct_pb2.Struct()
    struct.update({name: _encode(value) for name, value in properties.items()})
    return struct


def _encode(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_STRING
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET_SIGNATURE, "value": _encode(value.value)}
    if isinstance(value, Mapping):
        return {name: _encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def reveal(value: Any) -> Any:
    """Return the value without its secret marks, at any depth."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {name: reveal(item) for name, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Tell whether anything inside is not known yet."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def secret_texts(value: Any, inside: bool = False) -> set[str]:
    """Return every text inside that is secret, to keep it out of messages."""
    if isinstance(value, Secret):
        return secret_texts(value.value, True)
    if isinstance(value, Mapping):
        return set().union(*(secret_texts(item, inside) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(secret_texts(item, inside) for item in value))
    return {value} if inside and isinstance(value, str) and value else set()


def has_secret(value: Any) -> bool:
    """Tell whether anything inside is secret."""
    if isinstance(value, Mapping):
        return any(has_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(has_secret(item) for item in value)
    return isinstance(value, Secret)
