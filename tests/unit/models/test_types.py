"""Semantic types normalise at the door, and refuse with a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kindling.models import types


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


def refusal(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    return str(caught.value.errors()[0]["msg"]).removeprefix("Value error, ")


@pytest.mark.parametrize(
    "spelling",
    [
        "52:54:00:ab:cd:ef",
        "52-54-00-AB-CD-EF",
        "5254.00ab.cdef",
        "525400abcdef",
        "5254:00AB:CDEF",
        " 52:54:00:AB:CD:EF ",
    ],
)
def test_every_usual_spelling_of_a_mac_address_becomes_one(spelling: str) -> None:
    assert read(types.MacAddress, spelling) == "52:54:00:ab:cd:ef"


@pytest.mark.parametrize(
    "bad", ["52:54:00:ab:cd", "52:54:00:ab:cd:ef:01", "52:54-00:ab:cd:ef", "zz:54:00:ab:cd:ef", ""]
)
def test_what_is_no_mac_address_is_refused(bad: str) -> None:
    assert refusal(types.MacAddress, bad) == (
        "is not a MAC address; write six bytes such as 52:54:00:12:34:56"
    )


def test_group_and_empty_mac_addresses_are_refused() -> None:
    for bad in ("01:00:5e:00:00:01", "00:00:00:00:00:00"):
        assert "give the address of one network card" in refusal(types.MacAddress, bad)


def test_a_mac_address_that_yaml_read_as_a_number_needs_quotes() -> None:
    assert "put the MAC address in quotes" in refusal(types.MacAddress, 525400123456)


def test_one_mac_address_is_a_list_of_one() -> None:
    assert read(types.MacAddresses, "525400abcdef") == ("52:54:00:ab:cd:ef",)
    assert len(read(types.MacAddresses, ["525400abcdef", "525400abcdf0"])) == 2


@pytest.mark.parametrize(
    ("spelling", "meant"),
    [
        ("amd64", "x86-64"),
        ("x86_64", "x86-64"),
        ("X86-64", "x86-64"),
        ("aarch64", "arm64"),
        ("arm", "arm64"),
        ("ARM64", "arm64"),
    ],
)
def test_other_spellings_of_architectures_are_refused_with_the_right_one(
    spelling: str, meant: str
) -> None:
    assert refusal(types.Arch, spelling) == (
        f"is not an architecture here; arch must be one of: x86-64, arm64 ({spelling} is {meant})"
    )


def test_an_unknown_architecture_gets_no_hint() -> None:
    assert refusal(types.Arch, "riscv64").endswith("arch must be one of: x86-64, arm64")


ACCEPTED = [
    (types.Hostname, "N1.Example.COM", "n1.example.com"),
    (types.DiskPath, "/dev/disk/by-id/ata-SSD_1", "/dev/disk/by-id/ata-SSD_1"),
    (types.AbsolutePath, "/etc//motd/", "/etc/motd"),
    (types.InterfaceAddress, "2001:DB8:0::10/64", "2001:db8::10/64"),
    (types.InterfaceAddress, "192.0.2.0/31", "192.0.2.0/31"),
    (types.Cidr, "default", "0.0.0.0/0"),
    (types.Sha256, "sha256-" + "AB" * 32, "ab" * 32),
    (types.Version, "v1.33.6", "1.33.6"),
    (types.BaseUrl, "http://192.0.2.1:8080/", "http://192.0.2.1:8080"),
    (types.Location, "/mnt/mirror/", "/mnt/mirror"),
    (types.Location, "file:///mnt/mirror", "file:///mnt/mirror"),
    (types.Duration, "24h", 86_400),
    (types.Duration, "90m", 5_400),
    (types.Duration, 120, 120),
    (types.FileMode, "0644", 0o644),
    (types.FileMode, "0o755", 0o755),
    (types.FileMode, 0o644, 0o644),
    (types.Setting, 1, "1"),
]


@pytest.mark.parametrize(("kind", "written", "trusted"), ACCEPTED)
def test_values_are_normalised_and_stay_as_they_are_when_read_again(
    kind: Any, written: Any, trusted: Any
) -> None:
    assert read(kind, written) == trusted
    assert read(kind, trusted) == trusted


REFUSED = [
    (types.Hostname, "n1", "has no domain; write the full name such as n1.example.com"),
    (
        types.Hostname,
        "a_b.example.com",
        "is not a hostname; use letters, digits and hyphens, in parts with dots",
    ),
    (
        types.Hostname,
        "a" * 60 + ".example.com",
        "is longer than the 64 characters that Linux allows",
    ),
    (
        types.DiskPath,
        "sda",
        "is not a disk; write an absolute path such as /dev/sda or /dev/disk/by-id/...",
    ),
    (
        types.DiskPath,
        "/dev/../etc/passwd",
        "is not a disk; write an absolute path such as /dev/sda or /dev/disk/by-id/...",
    ),
    (
        types.AbsolutePath,
        "/etc/../x",
        "is not an absolute path; begin with / and leave out . and ..",
    ),
    (
        types.InterfaceAddress,
        "192.0.2.1",
        "has no prefix length; write it like 192.0.2.10/24 or 2001:db8::10/64",
    ),
    (types.InterfaceAddress, "192.0.2.300/24", "is not an address; write it like 192.0.2.10/24"),
    (
        types.InterfaceAddress,
        "192.0.2.0/24",
        "is the network itself; give the machine's own address in 192.0.2.0/24",
    ),
    (
        types.InterfaceAddress,
        "192.0.2.255/24",
        "is the broadcast address of 192.0.2.0/24; give the machine's own address",
    ),
    (types.Cidr, "10.0.0.1/8", "has host bits set; the network is 10.0.0.0/8"),
    (types.Cidr, "x", "is not a network; write it like 10.0.0.0/8 or default"),
    (types.IpAddress, "x", "is not an IP address; write it like 192.0.2.1 or 2001:db8::1"),
    (types.Gateway4, "2001:db8::1", "is an IPv6 address; write it as gateway6"),
    (types.Gateway6, "192.0.2.1", "is an IPv4 address; write it as gateway"),
    (types.Sha256, "abc", "is not a SHA-256 digest; give its 64 hexadecimal digits"),
    (types.Version, "latest", "is not a version; write it like 1.33.6"),
    (types.Url, "ftp://a/b", "is not a URL of http or https; write it like https://server/path"),
    (types.Url, "http://a:99999", "is not a URL; write it like https://server/path"),
    (types.Url, "http:///x", "has no host; write it like https://server/path"),
    (
        types.Location,
        "https://u:p@host/",
        "holds a password, and the cluster never holds secrets; remove user:...@",
    ),
    (types.Location, " ", "is empty; give a URL or a directory"),
    (
        types.BaseUrl,
        "http://a/?b=c",
        "must end with its path; remove the part from ? or #",
    ),
    (
        types.Duration,
        "1 day",
        "is not a duration; write it like 24h, 90m or a number of seconds",
    ),
    (types.FileMode, 644, 'is not in octal; write it with a leading zero: "0644"'),
    (types.FileMode, "rw", 'is not a file mode; write it in octal like "0644"'),
    (
        types.SshKey,
        "ssh-ed25519",
        "is not an OpenSSH public key; write it like: ssh-ed25519 AAAA... name",
    ),
    (
        types.InterfaceName,
        "a/b",
        "is not an interface name; use at most 15 letters, digits, _ . or -",
    ),
    (types.Number, "5", "is not a number; write a whole number without quotes"),
    (types.Number, True, "is not a number; write a whole number without quotes"),
    (types.Flag, "yes", "is neither true nor false; write true or false without quotes"),
]


@pytest.mark.parametrize(("kind", "value", "sentence"), REFUSED)
def test_a_wrong_value_is_refused_with_the_remedy(kind: Any, value: Any, sentence: str) -> None:
    assert refusal(kind, value) == sentence
