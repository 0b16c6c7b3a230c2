"""The offline plugins have the types and properties of the SDK packages, no more and no fewer."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pulumi_random
import pytest
from pulumi import _types
from pulumi_command import local, remote

from tools.plugins.packages import package
from tools.plugins.resource import ResourceType
from tools.plugins.versions import VERSIONS

PAIRS = [
    (pulumi_random.RandomString, pulumi_random.RandomStringArgs),
    (pulumi_random.RandomPassword, pulumi_random.RandomPasswordArgs),
    (pulumi_random.RandomId, pulumi_random.RandomIdArgs),
    (pulumi_random.RandomBytes, pulumi_random.RandomBytesArgs),
    (local.Command, local.CommandArgs),
    (remote.Command, remote.CommandArgs),
    (remote.CopyToRemote, remote.CopyToRemoteArgs),
]
KINDS = {kind.token: kind for name in VERSIONS for kind in package(name).types}


def _ours(resource: Any) -> ResourceType:
    return KINDS[resource.pulumi_type]


@pytest.mark.parametrize(("resource", "arguments"), PAIRS)
def test_inputs_are_those_of_the_sdk(resource: Any, arguments: Any) -> None:
    assert set(_ours(resource).inputs) == set(
        _types.input_type_py_to_pulumi_names(arguments).values()
    )


@pytest.mark.parametrize(("resource", "arguments"), PAIRS)
def test_inputs_and_outputs_are_those_of_the_sdk(resource: Any, arguments: Any) -> None:
    ours = _ours(resource)
    assert ours.outputs | set(ours.inputs) == set(
        _types.resource_py_to_pulumi_names(resource).values()
    )


def test_connection_has_the_members_of_the_sdk() -> None:
    from tools.plugins.command_remote import _CONNECTION, _END

    names = _types.input_type_py_to_pulumi_names
    assert set(_CONNECTION) == set(names(remote.ConnectionArgs).values())
    assert set(_END) == set(names(remote.ProxyConnectionArgs).values())


@pytest.mark.parametrize("name", VERSIONS)
def test_version_is_the_one_that_the_python_package_asks_for(name: str) -> None:
    assert importlib.metadata.version(f"pulumi-{name}") == VERSIONS[name]
