"""Secret configuration. Pulumi cannot declare a secret that may be absent; it is held here.

What is read here is plain text in this process, and leaves it as secret outputs only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pulumi
from pulumi.runtime.config import is_config_secret

from kindling.errors import Problem, StackFileError
from kindling.models.cluster import Cluster
from kindling.models.credentials import S3Keys
from kindling.pki.brought_in import BroughtIn
from kindling.pki.reading import read_authorities

_S3_KEYS = ("s3AccessKey", "s3SecretKey")


@dataclass(frozen=True)
class SecretSettings:
    """``authorities`` is `BroughtIn` as JSON; ``s3`` are the keys for snapshots, where wanted."""

    authorities: pulumi.Output[str]
    s3: S3Keys | None


def load_secrets(config: pulumi.Config, cluster: Cluster) -> SecretSettings:
    """Raises `StackFileError` for plain ones, missing ones, and authorities that are no good."""
    if problems := (*_plain(config), *_missing(config, cluster)):
        raise StackFileError(problems, "configuration")
    given = config.get_object("authorities")
    brought_in = read_authorities(given, datetime.now(UTC)) if given else BroughtIn()
    return SecretSettings(pulumi.Output.secret(brought_in.to_json()), _s3_keys(config, cluster))


def _plain(config: pulumi.Config) -> Iterator[Problem]:
    for name in ("storeToken", *_S3_KEYS):
        if config.get(name) and not is_config_secret(config.full_key(name)):
            yield _in_plain(config, name, f"pulumi config set --secret {name}")
    if config.get_object("authorities") and not is_config_secret(config.full_key("authorities")):
        command = "pulumi config set --secret --path 'authorities.etcd.key' < FILE"
        yield _in_plain(config, "authorities", command)


def _in_plain(config: pulumi.Config, name: str, command: str) -> Problem:
    message = f"lies in the stack file in plain text; `{command}` encrypts it"
    return Problem(config.full_key(name), message)


def _missing(config: pulumi.Config, cluster: Cluster) -> Iterator[Problem]:
    missing = [name for name in _S3_KEYS if not config.get(name)]
    if not missing:
        return
    if len(missing) == 1:
        reason = "and its other half is given"
    elif cluster.etcd.snapshots.s3:
        reason = "and etcd.snapshots.s3 needs it"
    else:
        return
    for name in missing:
        message = f"is missing, {reason}: pulumi config set --secret {name}"
        yield Problem(config.full_key(name), message)


def _s3_keys(config: pulumi.Config, cluster: Cluster) -> S3Keys | None:
    access, secret = (config.get(name) for name in _S3_KEYS)
    if not (access and secret and cluster.etcd.snapshots.s3):
        return None
    return S3Keys(access_key=access, secret_key=secret)
