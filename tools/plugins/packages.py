"""The two plugins, and the versions of the official ones that they stand in for."""

from __future__ import annotations

import importlib

from .server import Package
from .versions import VERSIONS

# pulumi-go-provider notes its own version in the provider's inputs; without it the engine
# would plan an update of the provider when a stack moves between the plugins.
_CONFIGURATION: dict[str, dict[str, str]] = {
    "random": {},
    "command": {"__pulumi-go-provider-version": "v1.5.0"},
}
_MODULES = {
    "random": (("random_types", ("RandomString", "RandomPassword", "RandomId", "RandomBytes")),),
    "command": (
        ("command_local", ("LocalCommand",)),
        ("command_remote", ("RemoteCommand", "CopyToRemote")),
    ),
}


def package(name: str) -> Package:
    """Return one plugin; only its own modules are loaded, for a quick start."""
    types = tuple(
        getattr(importlib.import_module(f".{module}", __package__), kind)()
        for module, kinds in _MODULES[name]
        for kind in kinds
    )
    return Package(name, VERSIONS[name], types, _CONFIGURATION[name])
