"""Authorities that are brought in: what is refused, and in which words."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from kindling.errors import StackFileError
from kindling.models.credentials import Authorities, KeyPair
from kindling.pki.authorities import make_admin
from kindling.pki.brought_in import BroughtIn
from kindling.pki.certificates import (
    AUTHORITY_LIFE,
    certificate_of,
    certificate_text,
    key_of,
    make_authority,
    make_key,
)
from kindling.pki.reading import ending_soon, read_authorities
from tests.unit.pki.conftest import NOW

Data = dict[str, Any]


@pytest.fixture
def data(authorities: Authorities) -> Data:
    """The configuration of somebody who brings everything in."""
    pairs = {
        "kubernetes": authorities.kubernetes,
        "frontProxy": authorities.front_proxy,
        "etcd": authorities.etcd,
    }
    given: Data = {part: pair.model_dump() for part, pair in pairs.items()}
    return copy.deepcopy(given | {"serviceAccount": {"key": authorities.service_account_key}})


def refusal(data: object, now: datetime = NOW) -> list[str]:
    """The problems, each as one sentence; none shows anything of a key or certificate."""
    with pytest.raises(StackFileError) as caught:
        read_authorities(data, now)
    assert "BEGIN RSA" not in str(caught.value)
    assert not re.search(r"[A-Za-z0-9+/]{40}", str(caught.value))
    return [str(problem) for problem in caught.value.problems]


def pem(key: Any, password: bytes | None = None, *, old: bool = False) -> str:
    """A private key as text: PKCS #8, or the traditional form."""
    form = serialization.PrivateFormat
    protection = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    chosen = form.TraditionalOpenSSL if old else form.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, chosen, protection).decode())


def test_what_is_brought_in_stays_byte_for_byte(data: Data, authorities: Authorities) -> None:
    """From kubeadm's own files nothing changes."""
    read = read_authorities(data, NOW)
    assert read.authorities["kubernetes"] == authorities.kubernetes
    assert read.authorities["etcd"] == authorities.etcd
    assert read.service_account_key == authorities.service_account_key
    assert BroughtIn.from_json(read.to_json()) == read


def test_other_forms_of_the_same_become_kubeadms(data: Data, authorities: Authorities) -> None:
    """PKCS #8, Windows' line ends, text around the PEM, no newline at the end."""
    etcd = data["etcd"]
    etcd["key"] = pem(key_of(etcd["key"]))
    etcd["certificate"] = "subject=CN = etcd-ca\n" + etcd["certificate"].strip()
    data["kubernetes"]["certificate"] = data["kubernetes"]["certificate"].replace("\n", "\r\n")
    read = read_authorities(data, NOW)
    assert read.authorities["etcd"] == authorities.etcd
    assert read.authorities["kubernetes"] == authorities.kubernetes


@pytest.mark.parametrize("part", ["kubernetes", "frontProxy", "etcd", "serviceAccount"])
def test_each_part_may_be_brought_in_alone(part: str, data: Data) -> None:
    """The stack makes the others."""
    sources = read_authorities({part: data[part]}, NOW).sources()
    assert {name for name, source in sources.items() if source.startswith("brought in")} == {part}
    assert len(sources) == 4


def test_sources_change_with_what_is_brought_in_and_show_no_secret(data: Data) -> None:
    """Digests of public halves: they may stand in a preview."""
    before = read_authorities(data, NOW).sources()
    other = make_authority("etcd-ca", NOW)
    data["etcd"] = other.model_dump()
    data["serviceAccount"] = {"key": make_key()}
    after = read_authorities(data, NOW).sources()
    assert {part for part in after if after[part] != before[part]} == {"etcd", "serviceAccount"}
    assert all(re.fullmatch(r"brought in, \w+ [0-9a-f]{16}", text) for text in after.values())


def swapped(data: Data) -> None:
    """The key of another authority."""
    data["etcd"]["key"] = data["kubernetes"]["key"]


def leaf(data: Data) -> None:
    """A certificate that the authority signed."""
    data["kubernetes"] = make_admin(KeyPair(**data["kubernetes"]), NOW).model_dump()


def put(part: str, name: str, make: Callable[[Data], object]) -> Callable[[Data], None]:
    """Another value in one field."""

    def change(data: Data) -> None:
        data[part][name] = make(data)

    return change


SPOILED = {
    "certificate is no PEM": (
        put("etcd", "certificate", lambda _: "/etc/kubernetes/pki/etcd/ca.crt"),
        "kindling:authorities.etcd.certificate: is no PEM certificate; give the text of the file",
    ),
    "certificate is damaged": (
        put("etcd", "certificate", lambda data: data["etcd"]["certificate"].replace("MII", "XX")),
        "kindling:authorities.etcd.certificate: is no PEM certificate",
    ),
    "certificate is the key": (
        put("etcd", "certificate", lambda data: data["etcd"]["key"]),
        "kindling:authorities.etcd.certificate: is no PEM certificate",
    ),
    "a bundle": (
        put(
            "frontProxy",
            "certificate",
            lambda data: data["frontProxy"]["certificate"] + data["etcd"]["certificate"],
        ),
        "kindling:authorities.frontProxy.certificate: holds 2 certificates; give the one that",
    ),
    "key is no PEM": (
        put("kubernetes", "key", lambda _: "secret"),
        "kindling:authorities.kubernetes.key: is no PEM private key that kubeadm can read",
    ),
    "key is of another authority": (
        swapped,
        "kindling:authorities.etcd.key: does not belong to etcd.certificate; give the key that",
    ),
    "key is encrypted": (
        put("etcd", "key", lambda data: pem(key_of(data["etcd"]["key"]), b"secret")),
        "kindling:authorities.etcd.key: is encrypted with a passphrase; take that off",
    ),
    "key is encrypted in the old form": (
        put("etcd", "key", lambda data: pem(key_of(data["etcd"]["key"]), b"secret", old=True)),
        "kindling:authorities.etcd.key: is encrypted with a passphrase; take that off",
    ),
    "key is Ed25519": (
        put("serviceAccount", "key", lambda _: pem(ed25519.Ed25519PrivateKey.generate())),
        "kindling:authorities.serviceAccount.key: is no PEM private key that kubeadm can read",
    ),
    "key is DSA": (
        put("serviceAccount", "key", lambda _: pem(dsa.generate_private_key(2048))),
        "kindling:authorities.serviceAccount.key: is no PEM private key that kubeadm can read",
    ),
    "key is short": (
        put("serviceAccount", "key", lambda _: pem(rsa.generate_private_key(65_537, 1024))),
        "kindling:authorities.serviceAccount.key: is of a kind that the cluster's programs refuse",
    ),
    "key is on a curve that Go lacks": (
        put("serviceAccount", "key", lambda _: pem(ec.generate_private_key(ec.SECP256K1()))),
        "kindling:authorities.serviceAccount.key: is of a kind that the cluster's programs refuse",
    ),
    "no authority": (
        leaf,
        "kindling:authorities.kubernetes.certificate: is not an authority's (its basic",
    ),
    "key is missing": (
        lambda data: data["etcd"].pop("key"),
        (
            "kindling:authorities.etcd.key: is missing; control planes sign with it, so they need "
            "both halves: pulumi config set --secret --path 'kindling:authorities.etcd.key' < FILE"
        ),
    ),
    "certificate is empty": (
        put("etcd", "certificate", lambda _: "\n"),
        "kindling:authorities.etcd.certificate: is missing; control planes",
    ),
    "an unknown part": (
        lambda data: data.update(front_proxy=data.pop("frontProxy")),
        "kindling:authorities.front_proxy: is not known; the keys are kubernetes, frontProxy, etcd",
    ),
    "an unknown field": (
        put("serviceAccount", "certificate", lambda data: data["etcd"]["certificate"]),
        "kindling:authorities.serviceAccount.certificate: is not known; serviceAccount has key",
    ),
    "text instead of a map": (
        lambda data: data.update(etcd=data["etcd"]["certificate"]),
        "kindling:authorities.etcd: must be a map with certificate and key",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILED.values(), ids=SPOILED)
def test_what_cannot_be_used_is_named(
    spoil: Callable[[Data], object], message: str, data: Data
) -> None:
    """Field, reason, remedy; exactly one problem."""
    spoil(data)
    (problem,) = refusal(data)
    assert problem.startswith(message)


def test_all_problems_are_told_together(data: Data) -> None:
    """Not one a run."""
    swapped(data)
    data["kubernetes"].pop("certificate")
    data["serviceAccount"]["key"] = "nothing"
    assert len(refusal(data)) == 3
    (problem,) = refusal("ca.crt")
    keys = "kubernetes, frontProxy, etcd, serviceAccount"
    assert problem == f"kindling:authorities: must be a map; its keys are {keys}"


def test_an_authority_that_may_not_sign_is_refused(data: Data) -> None:
    """Key usage without certificate signing."""
    old = certificate_of(data["etcd"]["certificate"])
    key = key_of(data["etcd"]["key"])
    builder = x509.CertificateBuilder(
        old.subject,
        old.issuer,
        old.public_key(),
        3,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    for extension in (usage, constraints):
        builder = builder.add_extension(extension, critical=True)
    algorithm = old.signature_hash_algorithm
    data["etcd"]["certificate"] = certificate_text(builder.sign(key, algorithm))  # type: ignore[arg-type]
    (problem,) = refusal(data)
    assert "may not sign certificates" in problem


def test_an_authority_that_ended_or_did_not_begin_is_refused(data: Data) -> None:
    """With the day."""
    after = NOW + AUTHORITY_LIFE + timedelta(days=1)
    assert [text.split(";")[0] for text in refusal(data, after)] == [
        f"kindling:authorities.{part}.certificate: ended on {NOW + AUTHORITY_LIFE:%Y-%m-%d}"
        for part in ("kubernetes", "frontProxy", "etcd")
    ]
    assert "is good only from" in refusal(data, NOW - timedelta(hours=1))[0]


def test_an_authority_that_ends_soon_is_told_of_when_it_is_brought_in(data: Data) -> None:
    """Later it is not: a stack must not stop working in its authority's last weeks."""
    later = NOW + AUTHORITY_LIFE - timedelta(days=89)
    read = read_authorities(data, later)
    assert ending_soon(read, (), later) == ()
    (problem,) = ending_soon(read, ("etcd", "serviceAccount"), later)
    assert str(problem).startswith("kindling:authorities.etcd.certificate: ends on")
    assert "in 88 days" in str(problem) or "in 89 days" in str(problem)
    assert ending_soon(read, ("etcd",), later - timedelta(days=2)) == ()
