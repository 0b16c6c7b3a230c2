"""Semantic types of a cluster's settings; the others are in `kindling.models.types`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from kindling.models.kubernetes_parsers import (
    parse_certificate_name,
    parse_certificates,
    parse_dns_server,
    parse_domain,
    parse_host,
    parse_https_url,
    parse_ipv4_network,
)
from kindling.models.parsers import matching, parse_setting, refuse_truth
from kindling.models.types import Setting

Host = Annotated[str, AfterValidator(parse_host)]
CertificateName = Annotated[str, AfterValidator(parse_certificate_name)]
Domain = Annotated[str, AfterValidator(parse_domain)]
Ipv4Network = Annotated[str, AfterValidator(parse_ipv4_network)]
HttpsUrl = Annotated[str, AfterValidator(parse_https_url)]
Certificates = Annotated[str, AfterValidator(parse_certificates)]
DnsServer = Annotated[str, AfterValidator(parse_dns_server)]
# A range's ends are read by `kindling.models.metallb_checks`.
AddressPool = Annotated[
    str,
    AfterValidator(
        matching(
            r"[0-9a-fA-F.:]+ *(/\d{1,3}|- *[0-9a-fA-F.:]+)",
            "is not a range of addresses; write it like 192.0.2.100-192.0.2.120 or 192.0.2.0/28",
        )
    ),
]
# Goes into a line of a unit or a configuration file.
Line = Annotated[str, AfterValidator(matching(r"[^\x00-\x1f\x7f]+", "must be text on one line"))]
# Source: systemd.time(7), "Calendar Events". cron's words look alike and are refused here, since a
# timer that systemd cannot read is told on the machine alone, and never takes a snapshot.
_DAY = r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*"
_DAYS = rf"{_DAY}((\.\.|,|-){_DAY})*"
_PART = r"[*0-9][*0-9,./]*"
_DATE = rf"({_PART}-)?{_PART}[-~]{_PART}"
_TIME = rf"{_PART}:{_PART}(:{_PART})?"
_OFTEN = "minutely|hourly|daily|weekly|monthly|quarterly|semiannually|yearly|annually"
_ZONE = r"utc|[a-z]+(/[a-z0-9_+-]+)+"
Calendar = Annotated[
    str,
    AfterValidator(
        matching(
            rf"(?i:({_OFTEN}|{_DAYS}|({_DAYS} +)?{_DATE}|({_DAYS} +)?({_DATE} +)?{_TIME})"
            rf"( +({_ZONE}))?)",
            "is not systemd's OnCalendar; write it like hourly, daily or *-*-* 00/6:00:00",
        )
    ),
]
ArgumentName = Annotated[
    str,
    AfterValidator(
        matching(r"[a-z][a-z0-9-]*", "is not an argument's name; write it without leading dashes")
    ),
]
Arguments = dict[ArgumentName, Setting]
FeatureGate = Annotated[
    str, AfterValidator(matching(r"[A-Z][A-Za-z0-9]*", "is not the name of a feature gate"))
]
PluginName = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Z][A-Za-z0-9]*", "is not an admission plug-in; write it like PodNodeSelector")
    ),
]
ResourceName = Annotated[
    str,
    AfterValidator(
        matching(
            r"(\*|[a-z][a-z0-9-]*)(\.(\*|[a-z0-9][a-z0-9.-]*))?",
            "is not a resource; write it like secrets or widgets.example.com",
        )
    ),
]
CipherSuite = Annotated[
    str,
    AfterValidator(
        matching(
            r"TLS_[A-Z0-9_]+",
            "is not a cipher suite; write it like TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        )
    ),
]
# Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BucketName = Annotated[
    str,
    AfterValidator(
        matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "is not a bucket; use 3 to 63 of a-z 0-9 . -")
    ),
]
ObjectPrefix = Annotated[
    str,
    AfterValidator(
        matching(
            r"([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?)?",
            "is not a prefix; write it like clusters/prod/, without a leading slash",
        )
    ),
]
# The least that the kubelet takes: k8s.io/kubernetes, pkg/kubelet/apis/config/validation.
LogFiles = Annotated[int, Field(ge=2), BeforeValidator(refuse_truth)]
# From the least that IPv6 allows (RFC 8200) to what is called a jumbo frame.
PodMtu = Annotated[int, Field(ge=1280, le=9000), BeforeValidator(refuse_truth)]
_AMOUNT = r"\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?"
_NUMBERED = WithJsonSchema({"type": ["string", "integer"]})
# Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
Quantity = Annotated[
    str,
    BeforeValidator(parse_setting),
    AfterValidator(matching(_AMOUNT, "is not a quantity; write it like 500m, 1Gi or 4")),
    _NUMBERED,
]
Threshold = Annotated[
    str,
    BeforeValidator(parse_setting),
    AfterValidator(
        matching(
            rf"{_AMOUNT}|(100|\d{{1,2}}(\.\d+)?)%",
            "is not a threshold; write it like 500Mi or 10%",
        )
    ),
    _NUMBERED,
]
GoDuration = Annotated[
    str,
    AfterValidator(
        matching(r"(\d+(\.\d+)?(ms|s|m|h))+", "is not a time; write it like 1m30s, 90s or 15m")
    ),
]
PromDuration = Annotated[
    str,
    AfterValidator(matching(r"(\d+(ms|[smhdwy]))+", "is not a time; write it like 15d or 12h")),
]
# Sources: k8s.io/kubernetes, pkg/kubelet/eviction/api/types.go (without allocatableMemory and
# containerfs, which the kubelet manages itself); parseResourceList in cmd/kubelet/app/server.go.
EvictionSignal = Literal[
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
]
Reservable = Literal["cpu", "memory", "ephemeral-storage", "pid"]
