"""The API server's files: what a setting becomes, and that data stays readable over a change."""

import pytest
import yaml

from kindling.models.kubernetes import Kubernetes
from kindling.rendering.kubernetes.components import (
    ADMISSION,
    AUDIT_POLICY,
    ENCRYPTION,
    OIDC_CA,
    api_server,
    component_files,
)

KEY = "a2V5"


def files_of(**server):
    settings = Kubernetes.model_validate({"apiServer": server})
    return {file.path: file for file in component_files(settings, KEY)}


def arguments_of(**server):
    return api_server(Kubernetes.model_validate({"apiServer": server}))["extraArgs"]


@pytest.mark.parametrize(
    ("encryption", "order"),
    [
        ({}, ["secretbox", "aescbc", "identity"]),
        ({"provider": "aescbc"}, ["aescbc", "secretbox", "identity"]),
        ({"enabled": False}, ["identity", "secretbox", "aescbc"]),
    ],
)
def test_secrets_are_written_as_the_stack_says_and_read_as_it_ever_said(encryption, order):
    file = files_of(encryption=encryption)[ENCRYPTION]
    [resource] = yaml.safe_load(file.content)["resources"]
    assert [next(iter(each)) for each in resource["providers"]] == order
    assert resource["providers"][order.index("aescbc")]["aescbc"]["keys"][0]["secret"] == KEY
    assert (file.mode, file.secret) == (0o600, True)
    assert arguments_of(encryption=encryption)["encryption-provider-config"] == ENCRYPTION


def test_an_audit_log_has_its_policy_and_its_limits():
    rules = [{"level": "RequestResponse", "resources": [{"group": "", "resources": ["secrets"]}]}]
    audit = {"policy": {"rules": rules}, "maxAge": 7}
    assert yaml.safe_load(files_of(audit=audit)[AUDIT_POLICY].content)["rules"] == rules
    given = arguments_of(audit=audit)
    assert (given["audit-policy-file"], given["audit-log-maxage"]) == (AUDIT_POLICY, "7")
    assert yaml.safe_load(files_of(audit={})[AUDIT_POLICY].content)["rules"] == [
        {"level": "Metadata"}
    ]


def test_event_rate_limits_come_with_their_plug_in():
    admission = {"eventRateLimit": [{"type": "Server", "qps": 50, "burst": 100}]}
    document = yaml.safe_load(files_of(admission=admission)[ADMISSION].content)
    [plugin] = document["plugins"]
    assert plugin["configuration"]["limits"] == [{"type": "Server", "qps": 50, "burst": 100}]
    given = arguments_of(admission=admission)
    assert given["enable-admission-plugins"] == "NodeRestriction,EventRateLimit"
    assert given["admission-control-config-file"] == ADMISSION


def test_openid_connect_becomes_arguments_and_its_authority_a_file():
    oidc = {
        "issuerUrl": "https://id.example.com",
        "clientId": "kubernetes",
        "groupsClaim": "groups",
        "groupsPrefix": "oidc:",
        "ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }
    given = {name: value for name, value in arguments_of(oidc=oidc).items() if "oidc" in name}
    assert given == {
        "oidc-issuer-url": "https://id.example.com",
        "oidc-client-id": "kubernetes",
        "oidc-username-claim": "sub",
        "oidc-groups-claim": "groups",
        "oidc-groups-prefix": "oidc:",
        "oidc-ca-file": OIDC_CA,
    }
    assert OIDC_CA in files_of(oidc=oidc)


def test_profiles_are_off_and_suites_are_named_when_given():
    assert arguments_of()["profiling"] == "false"
    suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]
    assert arguments_of(tlsCipherSuites=suites)["tls-cipher-suites"] == ",".join(suites)
