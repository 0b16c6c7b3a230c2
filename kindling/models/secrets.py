"""The cluster never holds a secret: what looks like one is found wherever it stands.

The cluster is kept in plain text, in version control and in Pulumi's state. Secrets are keys of
their own, encrypted by Pulumi (design decision 5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kindling.models.paths import Location

_TOKEN = "set it with: pulumi config set --secret kindling:storeToken"
_PASSWORD = (
    "remove it: people log in with sshAuthorizedKeys; the boot server's token is set with: "
    "pulumi config set --secret kindling:storeToken"
)
_KEY = "remove it: keys are made by the stack and kept in its encrypted state"
_S3 = (
    "set it with: pulumi config set --secret kindling:s3AccessKey, and the same for "
    "kindling:s3SecretKey"
)
_AUTHORITIES = (
    "set them with: pulumi config set --secret --path kindling:authorities.kubernetes.key, ..."
)
_ARGUMENT = "remove it: an argument's value is kept in plain text; give a file, or do without"

_ADVICE = {
    **dict.fromkeys(
        ("token", "storetoken", "operatortoken", "bearertoken", "apitoken", "accesstoken"), _TOKEN
    ),
    **dict.fromkeys(("password", "passwordhash", "passphrase", "pass"), _PASSWORD),
    **dict.fromkeys(
        ("privatekey", "keyfile", "secret", "clientsecret", "apikey", "encryptionkey"), _KEY
    ),
    **dict.fromkeys(
        ("accesskey", "accesskeyid", "secretkey", "secretaccesskey", "s3accesskey", "s3secretkey"),
        _S3,
    ),
    "authorities": _AUTHORITIES,
    **dict.fromkeys(("bootstraptoken", "certificatekey", "vrrppassword", "authpass"), _KEY),
}
# Below these keys, keys are names that the user chose.
_NAMED = frozenset(
    (
        *("labels", "kernelParameters", "ethernets", "bonds", "vlans", "pools", "featureGates"),
        *("hosts", "stubDomains", "evictionHard", "evictionSoft", "evictionSoftGracePeriod"),
        *("systemReserved", "kubeReserved"),
    )
)
# Below these keys stand documents of Kubernetes' own, whose keys have other meanings.
_FOREIGN = frozenset(("patches", "policy", "settings"))
_SECRET_ARGUMENT = re.compile(r"(^|-)(secret|password|passphrase|token)$")
_ENCRYPTED = (
    "is an encrypted value inside the cluster, where none may be; "
    "secrets are configuration keys of their own, such as kindling:storeToken"
)
_PRIVATE = f"holds a private key, and the cluster never holds a secret; {_KEY}"
_PATCHED = (
    "holds a Secret with its data, and the cluster never holds one; create it in the cluster, "
    "by hand or by an operator that fetches it"
)


def find_secrets(
    data: Any, location: Location = (), *, foreign: bool = False
) -> Iterator[tuple[Location, str]]:
    """Every place of ``data`` that holds a secret, and the sentence about it.

    ``foreign``: the keys are of another program's document, and only what it says is judged.
    """
    if isinstance(data, Mapping):
        yield from _in_map(data, location, foreign=foreign)
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from find_secrets(value, (*location, index), foreign=foreign)
    elif isinstance(data, str) and "PRIVATE KEY-----" in data:
        yield location, _PRIVATE


def _in_map(
    data: Mapping[Any, Any], location: Location, *, foreign: bool
) -> Iterator[tuple[Location, str]]:
    if foreign and data.get("kind") == "Secret" and (data.get("data") or data.get("stringData")):
        yield location, _PATCHED
        return
    for key, value in data.items():
        here = (*location, key if isinstance(key, int) else str(key))
        if message := _judged(location, key, value, foreign=foreign):
            yield here, message
        else:
            chosen = bool(location) and location[-1] in _NAMED
            opens = key in _FOREIGN and not chosen
            yield from find_secrets(value, here, foreign=foreign or opens)


def _judged(location: Location, key: object, value: object, *, foreign: bool) -> str | None:
    if not isinstance(key, str) or (location and location[-1] in _NAMED):
        return None
    if key == "secure" and isinstance(value, str):
        return _ENCRYPTED
    if foreign:
        return None
    if location and location[-1] == "extraArgs":
        secret = _SECRET_ARGUMENT.search(key)
        return f"is a secret, and the cluster never holds one; {_ARGUMENT}" if secret else None
    advice = _ADVICE.get(key.replace("_", "").replace("-", "").lower())
    return f"is a secret, and the cluster never holds one; {advice}" if advice else None
