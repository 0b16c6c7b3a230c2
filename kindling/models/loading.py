"""The door of the stack file: in comes text, out comes a cluster that can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kindling.errors import Problem, StackFileError
from kindling.models.architecture import Architecture
from kindling.models.cluster import Cluster, ClusterSettings
from kindling.models.crosschecks import check_nodes, check_settings, warnings_of
from kindling.models.explain import explain, unknown_key
from kindling.models.fields import fields_of
from kindling.models.paths import Location, written
from kindling.models.resolution import Draft, Problems, resolve
from kindling.models.salvage import salvage, validate
from kindling.models.secrets import find_secrets
from kindling.models.yamlfile import read_yaml

NODE_KEYS = ("defaults", "pools", "nodes")
SECRET_KEYS = ("storeToken", "s3AccessKey", "s3SecretKey")
CONFIG_KEYS = ("cluster", "clusterFile", "lockFile", "storeToken", "authorities", *SECRET_KEYS[1:])
_SETTINGS_KEYS = tuple(fields_of(ClusterSettings))
_STAND_INS: dict[Location, Any] = {
    ("name",): "unknown",
    ("bootServer",): {},
    ("bootServer", "url"): "http://unknown.invalid",
    ("assets",): {},
    ("assets", "flatcar"): {},
    ("assets", "flatcar", "version"): "0",
}


def load_cluster(data: Mapping[str, Any], *, source: str = "cluster") -> Cluster:
    """Validate a cluster and complete its nodes.

    ``source`` names the file or key in the message. Raises `StackFileError` with all problems.
    """
    if not isinstance(data, Mapping):
        problem = Problem("cluster", "must be a map: keys with values, indented below it")
        raise StackFileError((problem,), source)
    problems = Problems(find_secrets(data))
    settings, doubtful = _settings(data, problems)
    drafts = resolve(data, problems)
    check_nodes(drafts, problems, settings, doubtful)
    if settings is not None:
        check_settings(settings, _architectures(drafts), problems)
    if found := problems.all():
        raise StackFileError(found, source)
    assert settings is not None  # or a problem would have been found
    nodes = tuple(draft.node for draft in drafts if draft.node is not None)
    return Cluster.model_construct(**dict(settings), nodes=nodes)


def load_file(path: Path) -> Cluster:
    """The cluster of a cluster file or of a ``Pulumi.<stack>.yaml``.

    ``clusterFile`` is relative to the stack file. Raises `StackFileError` with all problems.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise _refusal(path, "file", "must be a map: a cluster, or a stack file with config:")
    if "config" not in content:
        return load_cluster(content, source=str(path))
    return _from_stack_file(content["config"], path)


def warnings(cluster: Cluster) -> tuple[str, ...]:
    """Sentences about what is allowed and probably not wanted."""
    return tuple(warnings_of(cluster))


def _settings(
    data: Mapping[str, Any], problems: Problems
) -> tuple[ClusterSettings | None, frozenset[str]]:
    """The cluster without its nodes, and its keys that are not to be relied on.

    None only when nothing of it could be understood.
    """
    raw: Any = {key: value for key, value in data.items() if key not in NODE_KEYS}
    settings, errors = validate(ClusterSettings, raw)
    for error in errors:
        location, message, value = explain(error, ClusterSettings)
        if error["type"] == "extra_forbidden" and len(location) == 1:
            message = unknown_key(str(location[0]), (*_SETTINGS_KEYS, *NODE_KEYS))
        problems.add(location, message, value)
    doubtful = frozenset(str(error["loc"][0]) for error in errors if error["loc"])
    return settings or salvage(ClusterSettings, raw, errors, _STAND_INS), doubtful


def _architectures(drafts: list[Draft]) -> tuple[Architecture, ...]:
    used = {draft.node.arch for draft in drafts if draft.node and "arch" not in draft.doubtful}
    return tuple(architecture for architecture in Architecture if architecture in used)


def _from_stack_file(config: Any, path: Path) -> Cluster:
    if not isinstance(config, Mapping):
        raise _refusal(
            path, "config", "must be a map with kindling:cluster or kindling:clusterFile"
        )
    problems = _config_problems(config)
    given = _given(config)
    inline, file = given.get("cluster"), given.get("clusterFile")
    if bool(inline) == bool(file):
        state = "both are given" if file else "neither is given"
        remedy = f"{state}; give kindling:cluster or kindling:clusterFile"
        raise StackFileError((*problems, Problem("config", remedy)), str(path))
    if file is not None and not isinstance(file, str):
        raise _refusal(path, "config", "kindling:clusterFile must be a path")
    try:
        cluster = load_file(path.parent / file) if file else _inline(inline, path)
    except StackFileError as error:
        raise StackFileError((*problems, *error.problems), error.source) from None
    if problems:
        raise StackFileError(problems, str(path))
    return cluster


def _inline(inline: Any, path: Path) -> Cluster:
    if not isinstance(inline, Mapping):
        raise _refusal(path, "config", "kindling:cluster must be a map: keys with values")
    return load_cluster(inline, source=str(path))


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values by key of the project's own namespace (the one that has the cluster)."""
    split = [(*str(key).partition(":")[::2], value) for key, value in config.items()]
    projects = {project for project, key, _ in split if key in ("cluster", "clusterFile")}
    return {key: value for project, key, value in split if project in projects | {"kindling"}}


def _config_problems(config: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Unknown keys of our own namespace, and secrets that are not encrypted."""
    found = []
    for key, value in _given(config).items():
        if key not in CONFIG_KEYS:
            found.append(Problem(f"config.kindling:{key}", unknown_key(key, CONFIG_KEYS)))
        elif key in SECRET_KEYS and value and not isinstance(value, Mapping):
            message = f"is not encrypted; set it with: pulumi config set --secret kindling:{key}"
            found.append(Problem(f"config.kindling:{key}", message))
        elif key == "authorities":
            found += _plain_keys(value, ("authorities",))
    return tuple(found)


def _plain_keys(value: Any, place: Location) -> list[Problem]:
    """Private keys that lie there in plain text."""
    if isinstance(value, Mapping):
        inner = (_plain_keys(each, (*place, str(key))) for key, each in value.items())
        return [problem for problems in inner for problem in problems]
    if "PRIVATE KEY-----" not in str(value):
        return []
    path = written(place)
    message = f"is not encrypted; set it with: pulumi config set --secret --path kindling:{path}"
    return [Problem(f"config.kindling:{path}", message)]


def _refusal(path: Path, place: str, message: str) -> StackFileError:
    return StackFileError((Problem(place, message),), str(path))
