"""Authorities that a cluster had before, in kubeadm's forms; `kindling.pki.reading` checks them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes

from kindling.models.credentials import KeyPair
from kindling.pki.certificates import certificate_of, key_of, public_bytes

# The parts of what control planes sign with, as the configuration names them.
AUTHORITIES = ("kubernetes", "frontProxy", "etcd")
SERVICE_ACCOUNT = "serviceAccount"
PARTS = (*AUTHORITIES, SERVICE_ACCOUNT)
MADE = "made by the stack"


@dataclass(frozen=True)
class BroughtIn:
    """Parts that the stack does not make itself; each may be absent."""

    authorities: dict[str, KeyPair] = field(default_factory=dict)  # by part
    service_account_key: str | None = field(default=None, repr=False)

    def sources(self) -> dict[str, str]:
        """Where each part comes from, by public digests: what may be shown and compared."""
        return dict.fromkeys(PARTS, MADE) | dict(self._digests())

    def to_json(self) -> str:
        """The configuration's own form; secret."""
        data: dict[str, dict[str, str]] = {
            part: pair.model_dump() for part, pair in self.authorities.items()
        }
        if self.service_account_key:
            data[SERVICE_ACCOUNT] = {"key": self.service_account_key}
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> BroughtIn:
        """What `to_json` wrote."""
        data = json.loads(text)
        key = data.pop(SERVICE_ACCOUNT, {}).get("key")
        return cls({part: KeyPair(**pair) for part, pair in data.items()}, key)

    def _digests(self) -> Iterator[tuple[str, str]]:
        for part, pair in self.authorities.items():
            digest = certificate_of(pair.certificate).fingerprint(hashes.SHA256())
            yield part, f"brought in, certificate {digest.hex()[:16]}"
        if self.service_account_key:
            public = public_bytes(key_of(self.service_account_key).public_key())
            yield SERVICE_ACCOUNT, f"brought in, key {hashlib.sha256(public).hexdigest()[:16]}"
