"""Parts that are kept or made anew, tokens and keys, the kubeconfig, and what a change means."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from kindling.models.credentials import Authorities, Credentials
from kindling.pki.authorities import ends_of, make_admin, make_authorities
from kindling.pki.brought_in import MADE, PARTS, BroughtIn
from kindling.pki.certificates import (
    AUTHORITY_LIFE,
    authority_digest,
    end_of,
    make_authority,
)
from kindling.pki.changes import describe_change, replaced_parts
from kindling.pki.credentials import (
    PASSWORD_LENGTH,
    bootstrap_token,
    encryption_key,
)
from kindling.pki.kubeconfig import kubeconfig, server_url
from kindling.pki.sample import sample_credentials
from tests.unit.pki.conftest import NOW

MADE_BY_STACK = dict.fromkeys(PARTS, MADE)


def test_only_what_is_asked_for_is_made_anew(authorities: Authorities) -> None:
    """The other parts stay byte for byte."""
    made = make_authorities(BroughtIn(), NOW, kept=authorities, anew=("etcd", "serviceAccount"))
    assert made.kubernetes == authorities.kubernetes
    assert made.front_proxy == authorities.front_proxy
    assert made.etcd != authorities.etcd
    assert made.service_account_key != authorities.service_account_key
    assert make_authorities(BroughtIn(), NOW, kept=authorities) == authorities


def test_what_is_brought_in_wins_over_what_was_there(authorities: Authorities) -> None:
    """Also when everything is made anew."""
    own = make_authority("etcd-ca", NOW)
    made = make_authorities(BroughtIn({"etcd": own}), NOW, kept=authorities, anew=PARTS)
    assert made.etcd == own
    assert made.kubernetes != authorities.kubernetes


def test_authorities_end_after_ten_years_and_the_admin_never_after_them(
    authorities: Authorities,
) -> None:
    """An admin credential that outlives its authority would only look good."""
    ends = ends_of(authorities)
    assert ends == dict.fromkeys(ends, (NOW + AUTHORITY_LIFE).replace(microsecond=0))
    late = NOW + AUTHORITY_LIFE - timedelta(days=100)
    admin = make_admin(authorities.kubernetes, late)
    assert end_of(admin.certificate) == ends["kubernetes"]


def test_the_bootstrap_token_has_the_format_of_kubeadms() -> None:
    """Six characters, a dot, sixteen characters."""
    token = bootstrap_token("abcdef0123456789abcdef")
    assert token == "abcdef.0123456789abcdef"


def test_encryption_keys_have_32_bytes_and_differ_in_all_of_them() -> None:
    """Not 32 letters: those would have 190 bits of chance, not 256."""
    keys = [base64.b64decode(encryption_key(f"{n:0{PASSWORD_LENGTH}}")) for n in range(512)]
    assert {len(key) for key in keys} == {32}
    for place in range(32):
        assert len({key[place] for key in keys}) > 128
    assert encryption_key("a") == encryption_key("a")


def test_sample_credentials_are_complete_real_and_new(credentials: Credentials) -> None:
    """What `render` makes for a stack that it does not know."""
    other = sample_credentials("the-stack-s-own")
    assert other.stack == "the-stack-s-own"
    assert None not in [getattr(credentials, field) for field in type(credentials).model_fields]
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", credentials.bootstrap_token or "")
    assert len(credentials.vrrp_password or "") == 8
    assert credentials.authorities and other.authorities
    assert credentials.etcd_authority == credentials.authorities.etcd
    assert credentials.authority_digest == authority_digest(
        credentials.authorities.kubernetes.certificate
    )
    same = [
        field
        for field in type(credentials).model_fields
        if getattr(credentials, field) == getattr(other, field)
    ]
    assert same == ["s3"]


def test_kubectl_reads_the_kubeconfig(authorities: Authorities, tmp_path: Path) -> None:
    """Cluster, user and context carry the cluster's name, so that several fit into one file."""
    admin = make_admin(authorities.kubernetes, NOW)
    certificate = authorities.kubernetes.certificate
    for name in ("one", "two"):
        text = kubeconfig(
            cluster=name,
            server=server_url("api.example", 6443),
            certificate=certificate,
            admin=admin,
        )
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["kubectl", "config", "view", "--raw", "-o", "yaml"],
        env={"KUBECONFIG": f"{tmp_path}/one:{tmp_path}/two", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    merged = yaml.safe_load(done.stdout)
    assert [each["name"] for each in merged["clusters"]] == ["one", "two"]
    assert [each["name"] for each in merged["users"]] == ["admin@one", "admin@two"]
    assert merged["current-context"] == "admin@one"
    assert merged["clusters"][0]["cluster"]["server"] == "https://api.example:6443"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("192.0.2.10", "https://192.0.2.10:6443"),
        ("api.example.com", "https://api.example.com:6443"),
        ("2001:db8::10", "https://[2001:db8::10]:6443"),
    ],
)
def test_the_server_is_a_url_whatever_the_host_is(host: str, url: str) -> None:
    """Brackets only around addresses of IPv6."""
    assert server_url(host, 6443) == url


def test_a_change_that_means_nothing_is_not_described() -> None:
    """Nothing to say, nothing to replace."""
    assert describe_change(MADE_BY_STACK, MADE_BY_STACK, (1, 1)) is None
    assert replaced_parts(MADE_BY_STACK, MADE_BY_STACK, rotated=False) == ()


def test_a_rotation_says_what_is_lost_and_what_stays() -> None:
    """Every machine and kubeconfig; what is brought in stays what it is."""
    brought = MADE_BY_STACK | {"etcd": "brought in, certificate 12"}
    said = describe_change(brought, brought, (1, 2)) or ""
    assert said.startswith("rotation 1 -> 2: every authority, key and credential is made anew")
    assert "but etcd, which kindling:authorities brings in" in said
    for words in ("installed again", "kubeconfig", "generation", "cannot join"):
        assert words in said
    parts = replaced_parts(brought, brought, rotated=True)
    assert parts == ("kubernetes", "frontProxy", "serviceAccount")


def test_another_source_replaces_its_part_alone_and_says_where_it_must_go() -> None:
    """An etcd authority is no reason to give every worker another Kubernetes authority."""
    brought = MADE_BY_STACK | {"etcd": "brought in, certificate 12"}
    assert replaced_parts(MADE_BY_STACK, brought, rotated=False) == ("etcd",)
    said = describe_change(MADE_BY_STACK, brought, (1, 1)) or ""
    assert said.startswith("etcd: made by the stack -> brought in, certificate 12")
    assert "every control plane and etcd node" in said


def test_an_error_about_credentials_shows_nothing_of_them() -> None:
    """It would be in a preview and in a log."""
    with pytest.raises(ValidationError) as refused:
        Credentials.model_validate_json('{"stack": "s3cret", "vrrpPassword": ["s3cret"]}')
    assert "vrrpPassword" in str(refused.value)
    assert "s3cret" not in str(refused.value)
