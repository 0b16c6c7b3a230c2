"""The JSON Schema of a stack file, for editors and for whoever generates stack files.

It describes what is written, not what is checked: a node may leave to its pool what a complete
node needs, and checks across keys are `kindling.models.crosschecks`'s.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from kindling.models.cluster import ClusterSettings
from kindling.models.node import Node

Schema = dict[str, Any]
_ENCRYPTED: Schema = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
}
OWN_KEYS = ("hostname", "macAddress", "pool")  # of one node, never of defaults or a pool


def stack_schema() -> Schema:
    """The schema of a ``Pulumi.<stack>.yaml`` file, and of a cluster file (without ``config``)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kindling stack file",
        "type": "object",
        "if": {"required": ["config"]},
        "then": {"$ref": "#/$defs/StackFile"},
        "else": {"$ref": "#/$defs/Cluster"},
        "$defs": {**_stack_definitions(), **cluster_definitions()},
    }


def cluster_definitions() -> dict[str, Schema]:
    """The schema of every part of a cluster by name; ``Cluster`` is the whole."""
    _, generated = models_json_schema(
        [(ClusterSettings, "validation"), (Node, "validation")], by_alias=True
    )
    parts: dict[str, Schema] = _tidy(generated["$defs"])
    settings, node = parts.pop("ClusterSettings"), parts.pop("Node")
    # Defaults and pools may give these, so they are asked for only of the merged node.
    parts["Storage"].pop("required")
    parts["Architecture"]["description"] = "x86-64 or arm64; no other spellings."
    parts["Role"]["description"] = "What a machine is for."
    return {
        "Cluster": _cluster(settings),
        "Node": {**node, "required": ["hostname", "macAddress"]},
        "NodeDefaults": _defaults(node),
        **dict(sorted(parts.items())),
    }


def _cluster(settings: Schema) -> Schema:
    defaults = {"$ref": "#/$defs/NodeDefaults"}
    more = {
        "defaults": {**defaults, "description": "Values of every node; pools and nodes override."},
        "pools": {
            "type": "object",
            "additionalProperties": defaults,
            "description": "Values of the nodes of a pool, by the pool's name.",
        },
        "nodes": {
            "type": "array",
            "items": {"$ref": "#/$defs/Node"},
            "minItems": 1,
            "description": "The machines.",
        },
    }
    return {
        **settings,
        "description": "One cluster with its boot server, artifacts and nodes.",
        "properties": {**settings["properties"], **more},
        "required": [*settings["required"], "nodes"],
    }


def _defaults(node: Schema) -> Schema:
    kept = {key: value for key, value in node["properties"].items() if key not in OWN_KEYS}
    shown = {key: value for key, value in node.items() if key != "required"}
    description = "Values that nodes take over: maps merge, lists and single values replace."
    return {**shown, "description": description, "properties": kept}


def _stack_definitions() -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    config: Schema = {
        "type": "object",
        "description": "Configuration of the stack.",
        "properties": {
            "kindling:cluster": {
                "$ref": "#/$defs/Cluster",
                "description": "The cluster, inline. Give this or clusterFile.",
            },
            "kindling:clusterFile": {
                **text,
                "description": "Path of a YAML file that holds the cluster.",
            },
            "kindling:lockFile": {
                **text,
                "description": "Path of the lock file that pins every artifact.",
            },
            "kindling:storeToken": _secret("The operator's token of the boot server", "storeToken"),
            "kindling:authorities": _authorities(),
            "kindling:s3AccessKey": _secret("Access key of etcd.snapshots.s3", "s3AccessKey"),
            "kindling:s3SecretKey": _secret("Secret key of etcd.snapshots.s3", "s3SecretKey"),
        },
    }
    known = "|".join(key.partition(":")[2] for key in config["properties"])
    config["patternProperties"] = {f"^kindling:(?!({known})$)": False}
    config["oneOf"] = [
        {"required": ["kindling:cluster"]},
        {"required": ["kindling:clusterFile"]},
    ]
    # Pulumi's own keys: https://www.pulumi.com/docs/iac/concepts/projects/stack-settings-file/
    pulumi = ("secretsprovider", "encryptedkey", "encryptionsalt")
    return {
        "StackFile": {
            "type": "object",
            "description": "A Pulumi.<stack>.yaml file.",
            "properties": {"config": config, **dict.fromkeys(pulumi, text), "environment": {}},
            "required": ["config"],
            "additionalProperties": False,
        }
    }


def _secret(what: str, key: str) -> Schema:
    """A value that Pulumi encrypted."""
    return {
        **_ENCRYPTED,
        "description": f"{what}, encrypted. Set it with: pulumi config set --secret kindling:{key}",
    }


def _authorities() -> Schema:
    """Authorities of the user's own: as a whole encrypted, or each value by itself."""
    pair: Schema = {
        "type": "object",
        "properties": {
            "certificate": {"anyOf": [{"type": "string"}, _ENCRYPTED]},
            "key": _ENCRYPTED,
        },
        "required": ["certificate", "key"],
        "additionalProperties": False,
    }
    account: Schema = {
        "type": "object",
        "properties": {"key": _ENCRYPTED},
        "required": ["key"],
        "additionalProperties": False,
    }
    pairs = dict.fromkeys(("kubernetes", "frontProxy", "etcd"), pair)
    parts: Schema = {
        "type": "object",
        "properties": {**pairs, "serviceAccount": account},
        "additionalProperties": False,
    }
    return {
        "anyOf": [_ENCRYPTED, parts],
        "description": "Authorities that exist already (kubernetes, frontProxy, etcd: certificate "
        "and key in PEM; serviceAccount: key); made by the stack when absent. Set them with: "
        "pulumi config set --secret --path kindling:authorities.kubernetes.key, ...",
    }


def _tidy(part: Any) -> Any:
    """Without generated titles and without null: who has no value leaves the key out."""
    if isinstance(part, list):
        return [_tidy(each) for each in part]
    if not isinstance(part, dict):
        return part
    kept = {
        key: _tidy(value)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and value is None)
    }
    choices = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if "anyOf" in kept and len(choices) == 1:
        del kept["anyOf"]
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if choices else kept
