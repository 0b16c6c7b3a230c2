"""Certificates and keys, in the forms and with the lives that kubeadm gives them.

Sources, Kubernetes 1.33: cmd/kubeadm/app/util/pkiutil/pki_helpers.go (key type, key usages, names),
cmd/kubeadm/app/constants/constants.go (lives, five minutes of back-dating), client-go's
util/keyutil/key.go (PEM forms), cmd/kubeadm/app/util/pubkeypin (digest).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kindling.models.credentials import KeyPair

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey  # kubeadm reads no others

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
_BACKDATE = timedelta(minutes=5)  # for machines whose clock is a little slow
_KEY_BITS = 2048


def make_key() -> str:
    """A new private key, PEM (PKCS #1)."""
    return key_text(_new_key())


def make_authority(common_name: str, now: datetime) -> KeyPair:
    """A new authority that signs itself and lives ten years from ``now`` (aware, UTC)."""
    key, subject = _new_key(), _subject(common_name)
    public = key.public_key()
    builder = (
        _certificate(subject, subject, public, now, now + AUTHORITY_LIFE)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
    )
    return _pair(builder, key, signer=key)


def make_client(authority: KeyPair, common_name: str, organization: str, now: datetime) -> KeyPair:
    """A client's credential: a year from ``now``, or less where the authority ends before."""
    issuer, signer = certificate_of(authority.certificate), key_of(authority.key)
    key, end = _new_key(), min(now + LEAF_LIFE, issuer.not_valid_after_utc)
    subject = _subject(common_name, organization)
    builder = (
        _certificate(subject, issuer.subject, key.public_key(), now, end)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if identifier := _identifier(issuer):
        known = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        builder = builder.add_extension(known, critical=False)
    return _pair(builder, key, signer=signer)


def certificate_of(text: str) -> x509.Certificate:
    """The first certificate of a PEM text. Raises ValueError."""
    return x509.load_pem_x509_certificate(text.encode())


def key_of(text: str) -> PrivateKey:
    """The private key of a PEM text without passphrase. Raises ValueError for other kinds."""
    key = serialization.load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("neither an RSA nor an ECDSA key")
    return key


def certificate_text(certificate: x509.Certificate) -> str:
    """A certificate as PEM, without anything around it."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_text(key: PrivateKey) -> str:
    """A private key as PEM, in the form that kubeadm writes: PKCS #1, or SEC 1 for ECDSA."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def public_bytes(key: PublicKeyTypes) -> bytes:
    """A public key as it stands in certificates (SubjectPublicKeyInfo, DER)."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def authority_digest(certificate: str) -> str:
    """``sha256:<hex>`` of the public key: what `kubeadm join` takes as discovery hash."""
    info = public_bytes(certificate_of(certificate).public_key())
    return f"sha256:{hashlib.sha256(info).hexdigest()}"


def end_of(certificate: str) -> datetime:
    """When a certificate (PEM) ends, aware and in UTC."""
    return certificate_of(certificate).not_valid_after_utc


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=_KEY_BITS)


def _subject(common_name: str, organization: str | None = None) -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:  # stands first, as Go's pkix writes it
        names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(names)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _BACKDATE,
        not_valid_after=end,
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(issuer: x509.Certificate) -> x509.SubjectKeyIdentifier | None:
    try:
        return issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None


def _pair(builder: x509.CertificateBuilder, key: PrivateKey, *, signer: PrivateKey) -> KeyPair:
    signed = builder.sign(signer, _hash_for(signer))
    return KeyPair(certificate=certificate_text(signed), key=key_text(key))


def _hash_for(signer: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """As Go chooses it: by the size of the curve, SHA-256 for RSA."""
    size = signer.curve.key_size if isinstance(signer, ec.EllipticCurvePrivateKey) else 0
    if size > 384:
        return hashes.SHA512()
    return hashes.SHA384() if size > 256 else hashes.SHA256()
