"""remote.Command and remote.CopyToRemote of pulumi-command 1.2, over the system's ssh."""

from __future__ import annotations

import io
import shlex
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from .command_base import CommandType, Logs, input_changes, unique_id
from .resource import (
    ITEMS,
    NUMBER,
    TABLE,
    TEXT,
    Call,
    Change,
    Failure,
    Field,
    PluginError,
    ResourceType,
    check_fields,
)
from .running import Finished, Readable
from .ssh import Session, connect, endpoint
from .wire import ARCHIVE_SIGNATURE, ASSET_SIGNATURE, SIGNATURE, UNKNOWN, Properties, Secret, reveal

_END: Mapping[str, Field] = {
    "agentSocketPath": TEXT,
    "dialErrorLimit": NUMBER,
    "host": Field(str, required=True),
    "hostKey": TEXT,
    "password": TEXT,
    "perDialTimeout": NUMBER,
    "port": NUMBER,
    "privateKey": TEXT,
    "privateKeyPassword": TEXT,
    "user": TEXT,
}
_CONNECTION = {**_END, "proxy": TABLE}
_DEFAULTS = {"dialErrorLimit": 10, "perDialTimeout": 15, "port": 22, "user": "root"}
_SPOOL = 32 * 1024 * 1024  # bytes of a packed folder that may stay in memory


class RemoteCommand(CommandType):
    """A command on another machine."""

    token = "command:remote:Command"
    inputs: ClassVar[Mapping[str, Field]] = {
        **CommandType.inputs,
        "connection": Field(dict, required=True),
    }
    quiet_secrets = frozenset({"connection"})

    def check(self, news: Properties) -> tuple[Properties, list[Failure]]:
        """Check also the connection, and write its defaults out."""
        given, failures = super().check(news)
        return _check_connection(given, failures)

    def run(self, command: Any, inputs: Properties, logs: Logs) -> Finished:
        """Log in and run the command."""
        text = command.value if isinstance(command, Secret) else command
        with _session(inputs) as session:
            return session.run(
                text,
                environment=inputs["environment"],
                stdin=io.BytesIO((inputs.get("stdin") or "").encode()),
                logs=logs,
            )


class CopyToRemote(ResourceType):
    """A file, a folder or a text that is copied to another machine, and stays there."""

    token = "command:remote:CopyToRemote"
    inputs: ClassVar[Mapping[str, Field]] = {
        "connection": Field(dict, required=True),
        "remotePath": Field(str, required=True),
        "source": Field(dict, required=True),
        "triggers": ITEMS,
    }
    outputs = frozenset()

    def check(self, news: Properties) -> tuple[Properties, list[Failure]]:
        """Check the connection and the kind of source."""
        given, failures = _check_connection(*super().check(news))
        source = reveal(given.get("source"))
        kind = source.get(SIGNATURE) if isinstance(source, dict) else None
        asset = kind == ASSET_SIGNATURE and ("path" in source or "text" in source)
        archive = kind == ARCHIVE_SIGNATURE and "path" in source
        if isinstance(source, dict) and not (asset or archive):
            reason = "source must be a FileAsset, a StringAsset or a FileArchive"
            failures.append(Failure("source", reason))
        return given, failures

    def diff(self, olds: Properties, old_inputs: Properties, news: Properties) -> dict[str, Change]:
        """Compare inputs; an asset differs when its digest does."""
        before, after = _comparable(old_inputs or olds), _comparable(news)
        return input_changes(self.inputs, before, after)

    def create(self, call: Call, news: Properties) -> tuple[str, Properties]:
        """Copy."""
        if call.preview:
            return "", _with_secret_connection(news)
        _copy(reveal(news))
        return unique_id(""), _with_secret_connection(news)

    def update(
        self, call: Call, olds: Properties, old_inputs: Properties, news: Properties
    ) -> Properties:
        """Copy again when the content or the path is another one."""
        before, after = _comparable(old_inputs or olds), _comparable(news)
        same = all(
            reveal(before.get(key)) == reveal(after[key]) for key in ("source", "remotePath")
        )
        if not call.preview and not same:
            _copy(reveal(news))
        return _with_secret_connection(news)


def _check_connection(
    given: Properties, failures: list[Failure]
) -> tuple[Properties, list[Failure]]:
    plain = reveal(given.get("connection"))
    if not isinstance(plain, dict):
        return given, failures
    failures = failures + _nested(plain, _CONNECTION, "connection")
    proxy = plain.get("proxy")
    if isinstance(proxy, dict):
        failures += _nested(proxy, _END, "connection.proxy")
        plain = plain | {"proxy": _DEFAULTS | proxy}
    if failures:
        return given, failures
    return _with_secret_connection(given | {"connection": _DEFAULTS | plain}), failures


def _nested(given: Properties, fields: Mapping[str, Field], path: str) -> list[Failure]:
    return [
        Failure(f"{path}.{found.property}", f"{path}: {found.reason}")
        for found in check_fields(fields, given)
    ]


def _with_secret_connection(given: Properties) -> Properties:
    return given | {"connection": Secret(reveal(given["connection"]))}


def _comparable(properties: Properties) -> Properties:
    source = reveal(properties.get("source"))
    if isinstance(source, dict) and source.get("hash"):
        # Where the content lies locally is no difference, only what it is.
        return properties | {"source": source["hash"]}
    return properties


def _session(inputs: Properties) -> AbstractContextManager[Session]:
    connection = inputs["connection"]
    proxy = connection.get("proxy")
    return connect(endpoint(connection), endpoint(proxy) if proxy else None)


def _copy(inputs: Properties) -> None:
    source, target = inputs["source"], inputs["remotePath"]
    if UNKNOWN in (source, target):
        raise PluginError("CopyToRemote needs inputs that are not known yet")
    with _session(inputs) as session:
        if "path" not in source:
            text = io.BytesIO(source.get("text", "").encode())
            _send(session, _file_script(target, None), text, target)
        elif Path(source["path"]).is_dir():
            _copy_folder(session, source["path"], target)
        else:
            _copy_file(session, Path(source["path"]), target)


def _copy_file(session: Session, source: Path, target: str) -> None:
    try:
        with source.open("rb") as content:
            _send(session, _file_script(target, source.name), content, target)
    except OSError as error:
        raise PluginError(f"cannot read {source}: {error.strerror}") from error


def _file_script(target: str, name: str | None) -> str:
    """Return the script that stores standard input; into a folder only under the file's name."""
    inside = (
        f'to="$to"/{shlex.quote(name)}' if name else "echo 'remotePath is a folder' >&2; exit 1"
    )
    return (
        f'to={shlex.quote(target)}\nif [ -d "$to" ]; then {inside}; fi\n'
        'mkdir -p -- "$(dirname -- "$to")" && cat > "$to"'
    )


def _copy_folder(session: Session, source: str, target: str) -> None:
    """Copy a folder into the target; with a slash at its end only what is in it."""
    prefix = "" if source.endswith("/") else Path(source).name
    to = shlex.quote(target)
    with tempfile.SpooledTemporaryFile(_SPOOL) as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, arcname=prefix or ".", filter=_anonymous)
        packed.seek(0)
        _send(session, f"mkdir -p -- {to} && tar -xof - -C {to}", packed, target)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Keep names and contents only: modes and owners are the remote machine's own."""
    entry.mode = 0o755 if entry.isdir() else 0o644
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _send(session: Session, script: str, content: Readable, target: str) -> None:
    finished = session.run(script, stdin=content)
    if finished.code != 0:
        raise PluginError(f"cannot write {target} on the remote machine: {finished.combined}")
