"""The cluster never holds a secret: what looks like one is found wherever it stands.

The cluster is kept in plain text, in version control and in Pulumi's state. Secrets are keys of
their own, encrypted by Pulumi (design decision 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kindling.models.paths import Location

_TOKEN = "set it with: pulumi config set --secret kindling:storeToken"
_PASSWORD = (
    "remove it: people log in with sshAuthorizedKeys; the boot server's token is set with: "
    "pulumi config set --secret kindling:storeToken"
)
_KEY = "remove it: keys are made by the stack and kept in its encrypted state"

_ADVICE = {
    **dict.fromkeys(
        ("token", "storetoken", "operatortoken", "bearertoken", "apitoken", "accesstoken"), _TOKEN
    ),
    **dict.fromkeys(("password", "passwordhash", "passphrase", "pass"), _PASSWORD),
    **dict.fromkeys(
        ("privatekey", "keyfile", "secret", "secretkey", "clientsecret", "apikey", "encryptionkey"),
        _KEY,
    ),
}
# Below these keys, keys are names that the user chose.
_NAMED = frozenset(("labels", "kernelParameters", "ethernets", "bonds", "vlans", "pools"))
_ENCRYPTED = (
    "is an encrypted value inside the cluster, where none may be; "
    "secrets are configuration keys of their own, such as kindling:storeToken"
)


def find_secrets(data: Any, location: Location = ()) -> Iterator[tuple[Location, str]]:
    """Every place of ``data`` that holds a secret, and the sentence about it."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            here = (*location, key if isinstance(key, int) else str(key))
            if message := _judged(location, key, value):
                yield here, message
            else:
                yield from find_secrets(value, here)
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from find_secrets(value, (*location, index))
    elif isinstance(data, str) and "PRIVATE KEY-----" in data:
        yield location, f"holds a private key, and the cluster never holds a secret; {_KEY}"


def _judged(location: Location, key: object, value: object) -> str | None:
    if not isinstance(key, str) or (location and location[-1] in _NAMED):
        return None
    if key == "secure" and isinstance(value, str):
        return _ENCRYPTED
    advice = _ADVICE.get(key.replace("_", "").replace("-", "").lower())
    return f"is a secret, and the cluster never holds one; {advice}" if advice else None
