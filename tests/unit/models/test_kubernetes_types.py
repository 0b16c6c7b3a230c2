"""Semantic types of a cluster's settings normalise at the door, and refuse with a remedy."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from kindling.models import kubernetes_types as types

ACCEPTED = [
    (types.Host, "API.Example.com", "api.example.com"),
    (types.Host, "api", "api"),
    (types.Host, "192.0.2.1", "192.0.2.1"),
    (types.Host, "2001:DB8::1", "2001:db8::1"),
    (types.CertificateName, "*.Example.com", "*.example.com"),
    (types.Domain, "Cluster.Local", "cluster.local"),
    (types.Ipv4Network, "10.244.0.0/16", "10.244.0.0/16"),
    (types.HttpsUrl, "https://issuer.example.com/", "https://issuer.example.com"),
    (types.DnsServer, "192.0.2.53", "192.0.2.53"),
    (types.DnsServer, "192.0.2.53:5353", "192.0.2.53:5353"),
    (types.DnsServer, "tls://192.0.2.53", "tls://192.0.2.53"),
    (types.DnsServer, "[2001:db8::53]:53", "[2001:db8::53]:53"),
    (types.DnsServer, "2001:db8::53", "2001:db8::53"),
    (types.DnsServer, "/etc/resolv.conf", "/etc/resolv.conf"),
    (types.ResourceName, "secrets", "secrets"),
    (types.ResourceName, "*.*", "*.*"),
    (types.ResourceName, "widgets.example.com", "widgets.example.com"),
    (types.Quantity, 4, "4"),
    (types.Quantity, "1.5Gi", "1.5Gi"),
    (types.Quantity, "500m", "500m"),
    (types.Threshold, "10%", "10%"),
    (types.Threshold, "500Mi", "500Mi"),
    (types.GoDuration, "1m30s", "1m30s"),
    (types.PromDuration, "15d", "15d"),
    (types.ObjectPrefix, "", ""),
    (types.ObjectPrefix, "clusters/prod/", "clusters/prod/"),
]


@pytest.mark.parametrize(("kind", "written", "trusted"), ACCEPTED)
def test_values_are_normalised_and_stay_as_they_are_when_read_again(
    kind: Any, written: Any, trusted: str
) -> None:
    read = TypeAdapter(kind).validate_python
    assert read(written) == trusted
    assert read(read(written)) == trusted


REFUSED = [
    (
        types.Host,
        "api.example.com:6443",
        "is neither a DNS name nor an IP address; give it without",
    ),
    (types.Host, "*.example.com", "is neither a DNS name"),
    (types.Host, "192.0.2.300", "is neither a DNS name"),
    (types.Host, "a..b", "is neither a DNS name"),
    (types.CertificateName, "a.*.example.com", "is neither a DNS name"),
    (types.Domain, "cluster.local.", "is not a DNS domain; write it like cluster.local"),
    (types.Ipv4Network, "fd00::/64", "is an IPv6 network"),
    (types.Ipv4Network, "0.0.0.0/0", "is every address there is"),
    (types.Ipv4Network, "10.0.0.1/16", "has host bits set; the network is 10.0.0.0/16"),
    (types.HttpsUrl, "http://a.example.com", "give a URL with https"),
    (types.Certificates, "-----BEGIN PUBLIC KEY-----", "is no certificate; give its PEM text"),
    (types.DnsServer, "dns.example.com", "is not a DNS server; write it like 192.0.2.53"),
    (types.DnsServer, "192.0.2.53:0", "is not a DNS server"),
    (types.DnsServer, "192.0.2.999", "is not a DNS server"),
    (types.DnsServer, "192.0.2.53 {", "is not a DNS server"),
    (types.Line, "a\nExecStart=/bin/sh", "must be text on one line"),
    (types.ArgumentName, "--v", "write it without leading dashes"),
    (types.FeatureGate, "nodeSwap", "is not the name of a feature gate"),
    (types.PluginName, "always-pull", "is not an admission plug-in"),
    (types.ResourceName, "Secrets", "is not a resource"),
    (types.CipherSuite, "AES128", "is not a cipher suite"),
    (types.Quantity, "10%", "is not a quantity; write it like 500m, 1Gi or 4"),
    (types.Quantity, "1GB", "is not a quantity"),
    (types.Quantity, "1ki", "is not a quantity"),
    (types.Threshold, "101%", "is not a threshold; write it like 500Mi or 10%"),
    (types.GoDuration, "90", "is not a time; write it like 1m30s"),
    (types.GoDuration, "1d", "is not a time"),
    (types.PromDuration, "15 days", "is not a time; write it like 15d"),
    (types.BucketName, "My_Bucket", "is not a bucket"),
    (types.ObjectPrefix, "/etcd", "is not a prefix"),
    (types.EvictionSignal, "disk.available", "Input should be"),
    (types.Reservable, "hugepages-2Mi", "Input should be"),
]


@pytest.mark.parametrize(("kind", "bad", "why"), REFUSED)
def test_what_no_program_would_take_is_refused(kind: Any, bad: Any, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(bad)
    assert why in str(caught.value.errors()[0]["msg"])


def test_certificates_end_with_a_line_end_whatever_is_around_them() -> None:
    text = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"
    read = TypeAdapter(types.Certificates).validate_python
    assert read(f"\n{text}\n\n") == read(text) == f"{text}\n"


@pytest.mark.parametrize(
    "calendar",
    [
        "hourly",
        "Mon..Fri 22:30",
        "Sat,Sun *-*-* 04:00:00",
        "*-*-* 00/6:00:00",
        "*-*~3 02:00 UTC",
        "2026-10-01..31 5:00 Europe/Helsinki",
        "*:0/15",
    ],
)
def test_what_a_timer_is_given_is_read_by_systemd_too(calendar: str) -> None:
    assert TypeAdapter(types.Calendar).validate_python(calendar) == calendar
    subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


@pytest.mark.parametrize("calendar", ["0 */6 * * *", "@daily", "every 6h", "6h", "daily at 5", ""])
def test_what_systemd_cannot_read_is_refused(calendar: str) -> None:
    done = subprocess.run(["systemd-analyze", "calendar", calendar], check=False)
    assert done.returncode != 0
    with pytest.raises(ValidationError, match=r"is not systemd's OnCalendar; write it like hourly"):
        TypeAdapter(types.Calendar).validate_python(calendar)
