"""Which machines to simulate: from ``--machine`` texts or a small YAML or JSON file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from kindling.errors import SimulationError
from kindling.simulator.architecture import Architecture
from kindling.simulator.firmware import FirmwareKind

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _macs(value: object) -> object:
    """One address or several, any usual spelling, as lower case with colons."""
    if not isinstance(value, str | list | tuple):
        return value
    given = value.split("+") if isinstance(value, str) else [str(each) for each in value]
    made = tuple(each.strip().lower().replace("-", ":") for each in given)
    if wrong := [each for each in made if not _MAC.fullmatch(each)]:
        raise ValueError(f'"{wrong[0]}" is not a MAC address')
    return made


class MachineSpec(BaseModel):
    """One machine: several MACs for a bond; the first one boots and names its disk file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    mac: Annotated[tuple[str, ...], BeforeValidator(_macs), Field(min_length=1)]
    arch: Architecture = Architecture.X86_64
    firmware: FirmwareKind = FirmwareKind.EFI
    source_address: str | None = None


def parse_machine(text: str) -> MachineSpec:
    """``MAC=ARCH`` or ``MAC,ARCH``, with more MACs after ``+`` and ``/pcbios`` for BIOS."""
    mac, _separator, rest = text.replace(",", "=", 1).partition("=")
    arch, _slash, firmware = rest.partition("/")
    given = {"mac": mac, "arch": arch or None, "firmware": firmware or None}
    try:
        return MachineSpec.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        raise SimulationError(
            f"--machine {text}: {_first(error)}; write MAC=x86-64 or MAC=arm64"
        ) from error


def load_machines(path: Path) -> tuple[MachineSpec, ...]:
    """Machines of a file: a list, or a mapping with the list under ``machines``."""
    try:
        # BaseLoader: YAML 1.1 reads an unquoted 52:54:00:00:00:01 as a number to the base of 60.
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
        entries = data["machines"] if isinstance(data, dict) and len(data) == 1 else data
        return TypeAdapter(tuple[MachineSpec, ...]).validate_python(entries)
    except ValidationError as error:
        raise SimulationError(f"{path}: {_first(error)}") from error
    except (OSError, KeyError, yaml.YAMLError) as error:
        raise SimulationError(f"{path}: not a list of machines: {error}") from error


def refuse_duplicates(machines: Iterable[MachineSpec]) -> None:
    """Two machines with one address would write one disk file."""
    seen: set[str] = set()
    for machine in machines:
        for mac in machine.mac:
            if mac in seen:
                raise SimulationError(f"{mac} belongs to two simulated machines")
            seen.add(mac)


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
