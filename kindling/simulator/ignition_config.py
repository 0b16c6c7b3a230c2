"""Ignition 3.x as strict models: a key that is not in the specification is a failure.

Real Ignition only warns about unknown keys; for a simulated machine they are a renderer's mistake.
Source: https://coreos.github.io/ignition/configuration-v3_5/
"""

from __future__ import annotations

import json
import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from kindling.errors import SimulationError
from kindling.simulator.ignition_storage import Resource, Section, Storage

_VERSION = re.compile(r"3\.[0-5]\.0")  # what Ignition 2.24 takes
_SHOWN_PROBLEMS = 3


def _known_version(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise ValueError("is not a version that machines take (3.0.0 to 3.5.0)")
    return version


class ConfigReferences(Section):
    """Other configs to fetch."""

    merge: tuple[Resource, ...] = ()
    replace: Resource = Resource()


class Tls(Section):
    """Authorities whose https answers are trusted."""

    certificate_authorities: tuple[Resource, ...] = ()


class Security(Section):
    """The ``ignition.security`` section."""

    tls: Tls = Tls()


class Proxy(Section):
    """The ``ignition.proxy`` section; simulated machines use none."""

    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: tuple[str, ...] = ()


class Timeouts(Section):
    """Seconds."""

    http_response_headers: int | None = None
    http_total: int | None = None


class IgnitionSection(Section):
    """The ``ignition`` section."""

    version: Annotated[str, AfterValidator(_known_version)]
    config: ConfigReferences = ConfigReferences()
    proxy: Proxy = Proxy()
    security: Security = Security()
    timeouts: Timeouts = Timeouts()


class Dropin(Section):
    """An addition to a unit."""

    name: str = Field(pattern=r"\.conf$")
    contents: str | None = None


class Unit(Section):
    """One systemd unit."""

    name: str = Field(
        pattern=r"\.(service|socket|device|mount|automount|swap|target|path|timer"
        r"|snapshot|slice|scope)$"
    )
    enabled: bool | None = None
    mask: bool | None = None
    contents: str | None = None
    dropins: tuple[Dropin, ...] = ()


class Systemd(Section):
    """The ``systemd`` section."""

    units: tuple[Unit, ...] = ()


class User(Section):
    """One account."""

    name: str
    gecos: str | None = None
    groups: tuple[str, ...] = ()
    home_dir: str | None = None
    no_create_home: bool | None = None
    no_log_init: bool | None = None
    no_user_group: bool | None = None
    password_hash: str | None = None
    primary_group: str | None = None
    shell: str | None = None
    should_exist: bool | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    system: bool | None = None
    uid: int | None = None


class Group(Section):
    """One group."""

    name: str
    gid: int | None = None
    password_hash: str | None = None
    should_exist: bool | None = None
    system: bool | None = None


class Passwd(Section):
    """The ``passwd`` section."""

    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()


class KernelArguments(Section):
    """The ``kernelArguments`` section."""

    should_exist: tuple[str, ...] = ()
    should_not_exist: tuple[str, ...] = ()


class Config(Section):
    """A whole Ignition config."""

    ignition: IgnitionSection
    kernel_arguments: KernelArguments = KernelArguments()
    passwd: Passwd = Passwd()
    storage: Storage = Storage()
    systemd: Systemd = Systemd()


def parse(body: bytes, origin: str) -> Config:
    """Parse a config; ``origin`` names it in errors. Raises `SimulationError`."""
    try:
        data = json.loads(body)
    except ValueError as error:
        raise SimulationError(f"{origin}: not an Ignition config: {error}") from error
    return validated(data, origin)


def validated(data: object, origin: str) -> Config:
    """The model of parsed JSON. Raises `SimulationError` with the first problems and no values."""
    try:
        return Config.model_validate_json(json.dumps(data))  # JSON mode: arrays become tuples
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        shown = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'config'}: {problem['msg']}"
            for problem in found[:_SHOWN_PROBLEMS]
        )
        rest = f" and {len(found) - _SHOWN_PROBLEMS} more" if len(found) > _SHOWN_PROBLEMS else ""
        raise SimulationError(f"{origin}: Ignition refuses it: {shown}{rest}") from error
