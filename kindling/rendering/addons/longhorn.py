"""Longhorn: where volumes lie, how many copies they have, and the storage class.

Facts: longhorn/longhorn, deploy/longhorn.yaml: the ConfigMaps longhorn-default-setting (key
default-setting.yaml, read once, at the first start) and longhorn-storageclass (key
storageclass.yaml) in longhorn-system hold YAML as text, so each is replaced as a whole. What
upstream has there besides our settings is repeated: the priority class, and the parameters.
"""

from __future__ import annotations

from typing import Any

import yaml

from kindling.models.addons import Addon, StorageClassAddon
from kindling.models.cluster import Cluster
from kindling.rendering.addons.parts import AddonParts, Json, merged

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def parts(settings: Addon, cluster: Cluster) -> AddonParts:
    """Longhorn's defaults and its class."""
    assert isinstance(settings, StorageClassAddon)
    defaults = {
        "priority-class": "longhorn-critical",
        "default-data-path": settings.data_path,
        "default-replica-count": str(settings.replicas),
    }
    return AddonParts(
        patches=(
            _config("longhorn-default-setting", "default-setting.yaml", defaults),
            _config("longhorn-storageclass", "storageclass.yaml", _class(settings)),
        )
    )


def _class(settings: StorageClassAddon) -> Json:
    default = "true" if settings.default_class else "false"
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "longhorn", "annotations": {_DEFAULT: default}},
        "provisioner": "driver.longhorn.io",
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "parameters": {
            "numberOfReplicas": str(settings.replicas),
            "staleReplicaTimeout": "30",
            "fromBackup": "",
            "fsType": "ext4",
            "dataLocality": "disabled",
            "unmapMarkSnapChainRemoved": "ignored",
        },
    }


def _config(name: str, key: str, content: dict[str, Any]) -> Json:
    data = {key: yaml.safe_dump(content, sort_keys=False)}
    return merged("v1", "ConfigMap", name, "longhorn-system", data=data)
