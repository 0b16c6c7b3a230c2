"""Reading authorities that are brought in: what is wrong with them is said before they are used.

No message shows a value: most of them are keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kindling.errors import Problem, StackFileError
from kindling.models.credentials import KeyPair
from kindling.pki.brought_in import AUTHORITIES, PARTS, SERVICE_ACCOUNT, BroughtIn
from kindling.pki.certificates import (
    PrivateKey,
    certificate_text,
    end_of,
    key_of,
    key_text,
    public_bytes,
)

PATH = "kindling:authorities"
LEAST_LEFT = timedelta(days=90)  # what an authority must have before it when it is brought in
_LEAST_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)  # of those that Go's crypto/x509 knows
_FIELDS = dict.fromkeys(AUTHORITIES, ("certificate", "key")) | {SERVICE_ACCOUNT: ("key",)}
_KINDS = "RSA with 2048 bits or more, or ECDSA on P-256, P-384 or P-521"

Found = list[Problem]
T = TypeVar("T")


class _Unusable(Exception):
    """Why a text cannot be used."""


def read_authorities(data: object, now: datetime) -> BroughtIn:
    """Check the configuration's ``{kubernetes: {certificate: PEM, key: PEM}, ...}``.

    Each of kubernetes, frontProxy, etcd and serviceAccount (a key alone) may be absent. ``now`` is
    aware. Raises `StackFileError` with every problem.
    """
    if not isinstance(data, Mapping):
        message = f"must be a map; its keys are {', '.join(PARTS)}"
        raise StackFileError((Problem(PATH, message),), "configuration")
    found: Found = [
        Problem(f"{PATH}.{part}", f"is not known; the keys are {', '.join(PARTS)}")
        for part in data
        if part not in PARTS
    ]
    pairs = {part: _authority(part, data[part], now, found) for part in AUTHORITIES if part in data}
    account = _account(data[SERVICE_ACCOUNT], found) if SERVICE_ACCOUNT in data else None
    if found:
        raise StackFileError(tuple(found), "configuration")
    return BroughtIn({part: pair for part, pair in pairs.items() if pair}, account)


def ending_soon(
    brought_in: BroughtIn, parts: Collection[str], now: datetime
) -> tuple[Problem, ...]:
    """Those of these parts that end too soon to begin with."""
    given = {part: pair for part, pair in brought_in.authorities.items() if part in parts}
    ends = {part: end_of(pair.certificate) for part, pair in given.items()}
    return tuple(
        Problem(
            f"{PATH}.{part}.certificate",
            f"ends on {end:%Y-%m-%d}, in {(end - now).days} days; give one that is good for "
            f"{LEAST_LEFT.days} days or more (renewed for the same key will do), or leave "
            f"{part} out and let the stack make it",
        )
        for part, end in ends.items()
        if end - now < LEAST_LEFT
    )


def _authority(part: str, fields: object, now: datetime, found: Found) -> KeyPair | None:
    texts = _texts(part, fields, found)
    certificate = _parsed(part, "certificate", texts, _certificate, found)
    key = _parsed(part, "key", texts, _key, found)
    if certificate is not None:
        messages = _objections(certificate, now)
        found.extend(Problem(f"{PATH}.{part}.certificate", message) for message in messages)
    if certificate is None or key is None:
        return None
    if public_bytes(certificate.public_key()) != public_bytes(key.public_key()):
        message = f"does not belong to {part}.certificate; give the key that it was made with"
        found.append(Problem(f"{PATH}.{part}.key", message))
    return KeyPair(certificate=certificate_text(certificate), key=key_text(key))


def _account(fields: object, found: Found) -> str | None:
    key = _parsed(SERVICE_ACCOUNT, "key", _texts(SERVICE_ACCOUNT, fields, found), _key, found)
    return key_text(key) if key is not None else None


def _texts(part: str, fields: object, found: Found) -> dict[str, str]:
    """The fields that are there and are text; the others are problems."""
    wanted = _FIELDS[part]
    if not isinstance(fields, Mapping):
        found.append(Problem(f"{PATH}.{part}", f"must be a map with {' and '.join(wanted)}"))
        return {}
    for name in fields:
        if name not in wanted:
            message = f"is not known; {part} has {' and '.join(wanted)}"
            found.append(Problem(f"{PATH}.{part}.{name}", message))
    texts = {name: fields[name] for name in wanted if isinstance(fields.get(name), str)}
    for name in wanted:
        if not texts.get(name, "").strip():
            found.append(Problem(f"{PATH}.{part}.{name}", _missing(part, name)))
    return {name: text for name, text in texts.items() if text.strip()}


def _missing(part: str, name: str) -> str:
    command = f"pulumi config set --secret --path '{PATH}.{part}.{name}' < FILE"
    if part == SERVICE_ACCOUNT:
        return f"is missing; {command}"
    return f"is missing; control planes sign with it, so they need both halves: {command}"


def _parsed(
    part: str, name: str, texts: Mapping[str, str], parse: Callable[[str], T], found: Found
) -> T | None:
    if name not in texts:
        return None
    try:
        return parse(texts[name])
    except _Unusable as error:
        found.append(Problem(f"{PATH}.{part}.{name}", str(error)))
        return None


def _certificate(text: str) -> x509.Certificate:
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise _Unusable(
            "is no PEM certificate; give the text of the file, from -----BEGIN CERTIFICATE----- "
            "to -----END CERTIFICATE-----"
        ) from None
    if len(certificates) != 1:
        raise _Unusable(
            f"holds {len(certificates)} certificates; give the one that belongs to the key, alone"
        )
    return certificates[0]


def _key(text: str) -> PrivateKey:
    if re.search(r"BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type:.*ENCRYPTED", text, re.MULTILINE):
        raise _Unusable(
            "is encrypted with a passphrase; take that off (openssl pkey -in FILE), Pulumi "
            "encrypts it with the stack's own"
        )
    try:
        key = key_of(text)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _Unusable(
            f"is no PEM private key that kubeadm can read: {_KINDS}; give the text of the file, "
            "from -----BEGIN to -----END"
        ) from None
    if not _strong(key):
        raise _Unusable(f"is of a kind that the cluster's programs refuse; it must be {_KINDS}")
    return key


def _strong(key: PrivateKey) -> bool:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.key_size >= _LEAST_BITS
    return isinstance(key.curve, _CURVES)


def _objections(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca:
        yield (
            "is not an authority's (its basic constraints do not say CA:TRUE); give the "
            "certificate that signs, such as ca.crt, not one that was signed by it"
        )
    elif usage is not None and not usage.key_cert_sign:
        yield "may not sign certificates (its key usage lacks certificate signing)"
    if now > certificate.not_valid_after_utc:
        yield (
            f"ended on {certificate.not_valid_after_utc:%Y-%m-%d}; give one that is good, or "
            "leave this authority out and let the stack make it"
        )
    elif now < certificate.not_valid_before_utc:
        yield f"is good only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"


E = TypeVar("E", bound=x509.ExtensionType)


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None
