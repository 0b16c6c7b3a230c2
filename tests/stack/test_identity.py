"""What the state of every existing stack refers to, and must therefore stay as it is."""

from __future__ import annotations

import base64
import pickle

import pytest
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider

from providers.admin_credential import AdminCredentialProvider
from providers.artifact import ArtifactProvider
from providers.boot_file import BootFileProvider
from providers.cluster_credentials import ClusterCredentialsProvider
from providers.node_configuration import NodeConfigurationProvider


@pytest.mark.parametrize(
    ("provider", "module", "name"),
    [
        (ArtifactProvider, "providers.artifact", "ArtifactProvider"),
        (BootFileProvider, "providers.boot_file", "BootFileProvider"),
        (ClusterCredentialsProvider, "providers.cluster_credentials", "ClusterCredentialsProvider"),
        (AdminCredentialProvider, "providers.admin_credential", "AdminCredentialProvider"),
        (NodeConfigurationProvider, "providers.node_configuration", "NodeConfigurationProvider"),
    ],
)
def test_a_provider_is_stored_as_its_module_and_name_alone(
    provider: type[ResourceProvider], module: str, name: str
) -> None:
    """After a move, refresh and destroy could not load the provider of yesterday's state."""
    stored = base64.b64decode(serialize_provider(provider()))
    assert len(stored) < 100
    assert module.encode() in stored
    assert name.encode() in stored
    assert type(pickle.loads(stored)) is provider
