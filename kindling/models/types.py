"""Semantic types of the stack file: a value of one of these can be trusted everywhere inside."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from kindling.models.architecture import Architecture
from kindling.models.parsers import (
    matching,
    parse_absolute_path,
    parse_address,
    parse_architecture,
    parse_base_url,
    parse_cluster_name,
    parse_disk,
    parse_duration,
    parse_gateway4,
    parse_gateway6,
    parse_hostname,
    parse_interface_address,
    parse_interface_name,
    parse_location,
    parse_mac,
    parse_macs,
    parse_mode,
    parse_network,
    parse_setting,
    parse_sha256,
    parse_ssh_key,
    parse_url,
    parse_version,
    parse_whole_disk,
    refuse_quotes,
    refuse_truth,
)


def _schema(**keys: Any) -> WithJsonSchema:
    return WithJsonSchema(keys)


Arch = Annotated[Architecture, BeforeValidator(parse_architecture)]
MacAddress = Annotated[str, BeforeValidator(parse_mac)]
MacAddresses = Annotated[
    tuple[MacAddress, ...],
    Field(min_length=1),
    BeforeValidator(parse_macs),
    _schema(
        anyOf=[
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ]
    ),
]
Hostname = Annotated[str, AfterValidator(parse_hostname)]
ClusterName = Annotated[str, AfterValidator(parse_cluster_name)]
DiskPath = Annotated[str, AfterValidator(parse_disk)]
WholeDisk = Annotated[str, AfterValidator(parse_whole_disk)]
AbsolutePath = Annotated[str, AfterValidator(parse_absolute_path)]
InterfaceAddress = Annotated[str, AfterValidator(parse_interface_address)]
Cidr = Annotated[str, AfterValidator(parse_network)]
IpAddress = Annotated[str, AfterValidator(parse_address)]
Gateway4 = Annotated[str, AfterValidator(parse_gateway4)]
Gateway6 = Annotated[str, AfterValidator(parse_gateway6)]
Sha256 = Annotated[str, AfterValidator(parse_sha256)]
Version = Annotated[str, AfterValidator(parse_version)]
Url = Annotated[str, AfterValidator(parse_url)]
BaseUrl = Annotated[str, AfterValidator(parse_base_url)]
Location = Annotated[str, AfterValidator(parse_location)]
SshKey = Annotated[str, AfterValidator(parse_ssh_key)]
InterfaceName = Annotated[str, AfterValidator(parse_interface_name)]
Text = Annotated[str, Field(min_length=1)]
Setting = Annotated[str, BeforeValidator(parse_setting), _schema(type=["string", "integer"])]
Number = Annotated[int, BeforeValidator(refuse_truth)]
Natural = Annotated[int, Field(ge=0), BeforeValidator(refuse_truth)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(refuse_truth)]
Flag = Annotated[bool, BeforeValidator(refuse_quotes)]
Duration = Annotated[
    int,
    Field(ge=60),
    BeforeValidator(refuse_truth),
    BeforeValidator(parse_duration),  # runs first: the last one listed is the outermost
    _schema(
        anyOf=[{"type": "integer", "minimum": 60}, {"type": "string", "pattern": "^\\d+[smhd]$"}]
    ),
]
FileMode = Annotated[
    int,
    Field(ge=0, le=0o7777),
    BeforeValidator(parse_mode),
    _schema(anyOf=[{"type": "integer"}, {"type": "string", "pattern": "^(0o?)?[0-7]{3,4}$"}]),
]
LinkName = Annotated[
    str,
    AfterValidator(matching(r"[a-z0-9][a-z0-9._-]*", "is not a name; use a-z, 0-9, dot, - and _")),
]
