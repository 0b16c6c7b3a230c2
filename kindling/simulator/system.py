"""What an applied Ignition config leaves on a machine, as far as the simulation looks at it."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from kindling.errors import SimulationError
from kindling.simulator.ignition_config import Unit
from kindling.simulator.resources import Content

_EXECUTABLE, _OTHERS_READ = 0o100, 0o044


@dataclass(frozen=True)
class StoredFile:
    """One file: its content (or digest only) and permission bits."""

    content: Content
    mode: int

    @property
    def is_private(self) -> bool:
        """Whether only its owner can read it."""
        return not self.mode & _OTHERS_READ


@dataclass
class System:
    """Files, links and units by path or name; filled while a config is applied."""

    files: dict[str, StoredFile] = field(default_factory=dict)
    directories: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    kernel_arguments: tuple[str, ...] = ()

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> System:
        """A system of private files with these contents."""
        return cls({path: StoredFile(Content.of(t.encode()), 0o600) for path, t in texts.items()})

    def bytes_of(self, path: str) -> bytes:
        """A small file's content. Raises `SimulationError` when there is none."""
        stored = self.files.get(path)
        if stored is None or stored.content.data is None:
            raise SimulationError(f"{path}: {'missing' if stored is None else 'too long'}")
        return stored.content.data

    def secret(self, path: str) -> str:
        """A private file's one line. Raises `SimulationError` when others could read it."""
        text = self.bytes_of(path).decode().strip()
        if not self.files[path].is_private:
            raise SimulationError(f"{path}: holds a secret, but its mode lets others read it")
        if not text:
            raise SimulationError(f"{path}: empty")
        return text

    def environment(self, path: str) -> dict[str, str]:
        """``NAME='quoted value'`` lines, as a shell and systemd's EnvironmentFile read them."""
        values: dict[str, str] = {}
        for line in self.bytes_of(path).decode().splitlines():
            words = shlex.split(line, comments=True)
            if not words:
                continue
            name, equals, value = words[0].partition("=")
            if len(words) != 1 or not equals or not name.isidentifier():
                raise SimulationError(f"{path}: `{name}` line is not one NAME=value")
            values[name] = value
        return values

    def starts(self, name: str) -> bool:
        """Whether systemd starts a unit at boot: enabled, not masked, installed by a target.

        Raises `SimulationError` when it would start a program of /opt that is not there.
        """
        unit = self.units.get(name)
        if unit is None or not unit.enabled or unit.mask:
            return False
        sections = _sections(unit)
        if not (sections.has_section("Install") and sections.items("Install")):
            raise SimulationError(f"{name}: enabled, but without [Install] nothing starts it")
        program = sections.get("Service", "ExecStart", fallback="").lstrip("@-:+!").split()
        if program and program[0].startswith("/opt/"):
            self._must_be_executable(name, program[0])
        return True

    def _must_be_executable(self, unit: str, path: str) -> None:
        stored = self.files.get(path)
        if stored is None or not stored.mode & _EXECUTABLE:
            problem = "is missing" if stored is None else "is not executable"
            raise SimulationError(f"{unit}: {path} {problem}")


def _sections(unit: Unit) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(
            "\n".join([unit.contents or "", *(d.contents or "" for d in unit.dropins)])
        )
    except configparser.Error as error:
        raise SimulationError(f"{unit.name}: not a systemd unit: {error}") from error
    return parser
