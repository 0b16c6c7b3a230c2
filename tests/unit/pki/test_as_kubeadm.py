"""What the stack makes, beside what the real kubeadm makes, and in its hands."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kindling.models.credentials import Authorities, KeyPair
from kindling.pki.authorities import make_admin, make_authorities
from kindling.pki.brought_in import BroughtIn
from kindling.pki.certificates import authority_digest, certificate_text, key_text
from tests.fakes.kubeadm import (
    FILES,
    make_certificates,
    make_kubeconfigs,
    verify,
    write_authorities,
)
from tests.unit.pki.conftest import NOW

LEAVES = {
    "apiserver": ("ca", "sslserver"),
    "apiserver-kubelet-client": ("ca", "sslclient"),
    "front-proxy-client": ("front-proxy-ca", "sslclient"),
    "etcd/server": ("etcd/ca", "sslserver"),
    "etcd/peer": ("etcd/ca", "sslserver"),
    "etcd/healthcheck-client": ("etcd/ca", "sslclient"),
    "apiserver-etcd-client": ("etcd/ca", "sslclient"),
}
KUBECONFIGS = ("admin", "super-admin", "controller-manager", "scheduler", "kubelet")


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which kubeadm made everything by itself."""
    folder = tmp_path_factory.mktemp("kubeadm")
    make_certificates(folder)
    make_kubeconfigs(folder)
    return folder


@pytest.fixture(scope="session")
def joint(tmp_path_factory: pytest.TempPathFactory, authorities: Authorities) -> Path:
    """A folder in which kubeadm found our authorities."""
    folder = tmp_path_factory.mktemp("joint")
    write_authorities(folder, authorities)
    make_certificates(folder)
    make_kubeconfigs(folder)
    return folder


def facts(certificate: str, key: str) -> dict[str, Any]:
    """Everything about a certificate but what is new in each: serial, key and identifiers."""
    parsed = x509.load_pem_x509_certificate(certificate.encode())
    private = load_pem_private_key(key.encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.public_key() == parsed.public_key()
    assert parsed.signature_hash_algorithm
    return {
        "version": parsed.version,
        "subject": parsed.subject.rfc4514_string(),
        "issuer": parsed.issuer.rfc4514_string(),
        "bits": private.key_size,
        "exponent": private.public_key().public_numbers().e,
        "signature": (parsed.signature_algorithm_oid, parsed.signature_hash_algorithm.name),
        "extensions": [(e.oid, e.critical, said(e.value)) for e in parsed.extensions],
        "life": round(
            (parsed.not_valid_after_utc - parsed.not_valid_before_utc).total_seconds(), -1
        ),
        "form": key.splitlines()[0],
    }


def said(value: x509.ExtensionType) -> str:
    """An extension's value; identifiers are digests of keys."""
    identifiers = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    return type(value).__name__ if isinstance(value, identifiers) else repr(value)


def user_of(kubeconfig: str) -> KeyPair:
    """The credential of a kubeconfig's only user."""
    (user,) = yaml.safe_load(kubeconfig)["users"]
    fields = ("client-certificate-data", "client-key-data")
    certificate, key = (base64.b64decode(user["user"][name]).decode() for name in fields)
    return KeyPair(certificate=certificate, key=key)


@pytest.mark.parametrize("name", FILES)
def test_an_authority_is_in_every_way_as_kubeadm_makes_it(
    name: str, theirs: Path, authorities: Authorities
) -> None:
    """Key type, life, subject, extensions with their order, PEM forms."""
    pair = getattr(authorities, FILES[name])
    made = [(theirs / "pki" / f"{name}.{kind}").read_text() for kind in ("crt", "key")]
    assert facts(pair.certificate, pair.key) == facts(*made)
    assert facts(*made)["life"] == 3650 * 86_400 + 300


def test_the_service_account_key_is_in_the_form_of_kubeadms(
    theirs: Path, authorities: Authorities
) -> None:
    """RSA with 2048 bits, PKCS #1."""
    ours, kubeadms = authorities.service_account_key, (theirs / "pki" / "sa.key").read_text()
    assert ours.splitlines()[0] == kubeadms.splitlines()[0]
    keys = [load_pem_private_key(text.encode(), None) for text in (ours, kubeadms)]
    assert {key.key_size for key in keys if isinstance(key, rsa.RSAPrivateKey)} == {2048}


def test_the_admin_credential_is_as_kubeadm_makes_it(
    theirs: Path, authorities: Authorities
) -> None:
    """O=kubeadm:cluster-admins, CN=kubernetes-admin, a year."""
    pair = make_admin(authorities.kubernetes, NOW)
    kubeadms = user_of((theirs / "admin.conf").read_text())
    assert facts(pair.certificate, pair.key) == facts(kubeadms.certificate, kubeadms.key)
    assert "O=kubeadm:cluster-admins" in facts(pair.certificate, pair.key)["subject"]


def test_kubeadm_makes_every_certificate_from_our_authorities(
    joint: Path, authorities: Authorities
) -> None:
    """`init phase certs all` leaves them as they are, and openssl accepts what it signed."""
    pki = joint / "pki"
    for name, field in FILES.items():
        assert (pki / f"{name}.crt").read_text() == getattr(authorities, field).certificate
        assert (pki / f"{name}.key").read_text() == getattr(authorities, field).key
    assert (pki / "sa.key").read_text() == authorities.service_account_key
    for leaf, (authority, purpose) in LEAVES.items():
        verify(pki / f"{authority}.crt", pki / f"{leaf}.crt", purpose)


def test_kubeadm_makes_every_kubeconfig_from_our_authorities(
    joint: Path, authorities: Authorities, tmp_path: Path
) -> None:
    """`init phase kubeconfig all`: each names our authority and has a client that it signed."""
    for name in KUBECONFIGS:
        text = (joint / f"{name}.conf").read_text()
        (cluster,) = yaml.safe_load(text)["clusters"]
        trusted = base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode()
        assert trusted == authorities.kubernetes.certificate
        (tmp_path / f"{name}.crt").write_text(user_of(text).certificate)
        verify(joint / "pki" / "ca.crt", tmp_path / f"{name}.crt", "sslclient")


def test_openssl_accepts_the_admin_credential(
    joint: Path, authorities: Authorities, tmp_path: Path
) -> None:
    """As a client, and as nothing else."""
    file = tmp_path / "admin.crt"
    file.write_text(make_admin(authorities.kubernetes, NOW).certificate)
    verify(joint / "pki" / "ca.crt", file, "sslclient")
    with pytest.raises(AssertionError, match="purpose"):
        verify(joint / "pki" / "ca.crt", file, "sslserver")


def test_the_discovery_digest_is_what_the_documentation_computes(
    joint: Path, authorities: Authorities
) -> None:
    """The pipe of `kubeadm join`'s reference page, with openssl."""
    pipe = (
        f"openssl x509 -pubkey -in {joint}/pki/ca.crt | openssl rsa -pubin -outform der 2>/dev/null"
        " | openssl dgst -sha256 -hex | sed 's/^.* //'"
    )
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, check=True)
    assert authority_digest(authorities.kubernetes.certificate) == f"sha256:{done.stdout.strip()}"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_an_ecdsa_authority_that_is_brought_in_serves_us_and_kubeadm(
    curve: ec.EllipticCurve, authorities: Authorities, tmp_path: Path
) -> None:
    """Its own key is ECDSA; what it signs for the admin is RSA, as everywhere."""
    own = ec_authority(authorities.kubernetes, curve)
    made = make_authorities(BroughtIn({"kubernetes": own}), NOW, kept=authorities)
    write_authorities(tmp_path, made)
    make_certificates(tmp_path)
    make_kubeconfigs(tmp_path)
    (tmp_path / "admin.crt").write_text(make_admin(made.kubernetes, NOW).certificate)
    for name in ("admin.crt", "pki/apiserver-kubelet-client.crt"):
        verify(tmp_path / "pki" / "ca.crt", tmp_path / name, "sslclient", strict=False)


def ec_authority(like: KeyPair, curve: ec.EllipticCurve) -> KeyPair:
    """An authority with the same names, without a key identifier, of another kind of key."""
    old = x509.load_pem_x509_certificate(like.certificate.encode())
    key = ec.generate_private_key(curve)
    builder = x509.CertificateBuilder(
        old.subject,
        old.subject,
        key.public_key(),
        7,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    algorithm = old.signature_hash_algorithm
    signed = builder.add_extension(constraints, critical=True).sign(key, algorithm)  # type: ignore[arg-type]
    return KeyPair(certificate=certificate_text(signed), key=key_text(key))
