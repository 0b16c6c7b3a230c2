"""A connection to a remote machine through the system's `ssh`.

Keys, passwords and the known host key live in files of a private temporary directory, for as
long as the connection is open. Nothing of a connection, command or environment is an argument
of a local program; remotely the command reads itself from standard input.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from .command_base import Logs
from .resource import PluginError
from .running import Finished, Readable, run, start
from .wire import Properties

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_WORD = re.compile(r"[^\s\"'#%]+\Z")


@dataclass(frozen=True)
class Endpoint:
    """One machine to log in to."""

    host: str
    user: str = "root"
    port: int = 22
    private_key: str | None = None
    private_key_password: str | None = None
    password: str | None = None
    host_key: str | None = None
    agent_socket: str | None = None
    dial_error_limit: int = 10
    dial_timeout: int = 15

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def endpoint(given: Properties) -> Endpoint:
    """Read a `connection` or its `proxy`, with the defaults of pulumi-command."""
    agent = given.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK")
    limit, timeout = given.get("dialErrorLimit"), given.get("perDialTimeout")
    found = Endpoint(
        host=given.get("host") or "",
        user=given.get("user") or "root",
        port=int(given.get("port") or 22),
        private_key=given.get("privateKey"),
        private_key_password=given.get("privateKeyPassword"),
        password=given.get("password"),
        host_key=given.get("hostKey"),
        agent_socket=agent,
        dial_error_limit=10 if limit is None else int(limit),
        dial_timeout=15 if timeout is None else int(timeout),
    )
    for name, text in (("host", found.host), ("user", found.user), ("agentSocketPath", agent)):
        if text is not None and not _WORD.match(text):
            raise PluginError(f"connection.{name}: {text!r} has characters that ssh cannot take")
    return found


class Session:
    """An open connection that runs commands."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._argv = ["ssh", "-F", str(folder / "config"), "-o", "ControlMaster=no", "target"]
        self._environment = environment

    def run(
        self,
        command: str,
        *,
        environment: Mapping[str, str] | None = None,
        stdin: Readable | None = None,
        logs: Logs | None = None,
    ) -> Finished:
        """Run a command in the login shell; variables and command go over standard input."""
        script = _exports(environment or {}) + command
        body = script.encode()
        # dd with blocks of one byte reads the script and not a byte of what follows it.
        loader = f'eval "$(dd bs=1 count={len(body)} 2>/dev/null)"'
        return run(
            [*self._argv, loader],
            stdin=_Chain(io.BytesIO(body), stdin or io.BytesIO()),
            environment=self._environment,
            logs=logs,
        )


@contextlib.contextmanager
def connect(target: Endpoint, proxy: Endpoint | None = None) -> Iterator[Session]:
    """Log in, trying again while nothing answers, and close the connection on leaving."""
    # Unix sockets have short names: the system's own directory, whatever TMPDIR says.
    with tempfile.TemporaryDirectory(prefix="kindling-", dir="/tmp") as name:
        folder = Path(name)
        environment = _write_files(folder, target, proxy)
        for attempt in itertools.count(1):
            with _master(folder, environment, target) as problem:
                if problem is None:
                    yield Session(folder, environment)
                    return
            if 0 <= target.dial_error_limit < attempt:
                raise PluginError(f"no connection to {target} in {attempt} attempts: {problem}")
            time.sleep(min(5.0, 0.1 * 1.5**attempt))


@contextlib.contextmanager
def _master(folder: Path, environment: Mapping[str, str], target: Endpoint) -> Iterator[str | None]:
    """Hold one login open; yield None when it stands, else why nothing answered."""
    argv = ["ssh", "-F", str(folder / "config"), "-N", "target"]
    with start(argv, environment=environment) as process:
        assert process.stderr and process.stdin
        said: list[bytes] = []
        reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
        reader.start()
        while not (folder / "socket").exists() and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is None:
            yield None
            return
        reader.join()
        yield _explain(b"".join(said).decode(errors="replace"), target)


def _explain(said: str, target: Endpoint) -> str:
    """Raise what no further attempt can mend; return the rest."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if "Host key verification failed" in said or "HOST IDENTIFICATION HAS CHANGED" in said:
        raise PluginError(f"{target} shows another host key than connection.hostKey; nothing sent")
    if "Permission denied" in said or "Too many authentication failures" in said:
        raise PluginError(
            f"{target} refused the login; check connection.user, privateKey and password"
        )
    return lines[-1] if lines else "ssh ended without a word"


def _write_files(folder: Path, target: Endpoint, proxy: Endpoint | None) -> dict[str, str]:
    """Write configuration and credentials; return the environment that ssh needs with them."""
    shared = f"  ControlMaster yes\n  ControlPath {folder}/socket\n"
    blocks = _block(folder, "target", target) + shared
    if proxy:
        blocks += f"  ProxyCommand env {_askpass(folder, 'proxy')} "
        blocks += f"ssh -F {folder}/config -W %h:%p proxy\n" + _block(folder, "proxy", proxy)
    _private(folder / "config", blocks)
    (folder / "askpass").write_text('#!/bin/sh\ncat "$KINDLING_ASKPASS"\n')
    (folder / "askpass").chmod(0o700)
    return dict(item.split("=", 1) for item in _askpass(folder, "target").split())


def _askpass(folder: Path, alias: str) -> str:
    return (
        f"SSH_ASKPASS={folder}/askpass SSH_ASKPASS_REQUIRE=force "
        f"KINDLING_ASKPASS={folder}/{alias}.password"
    )


def _block(folder: Path, alias: str, end: Endpoint) -> str:
    """Return one Host block, and write the files that it names."""
    lines = [
        f"Host {alias}",
        f"HostName {end.host}",
        f"User {end.user}",
        f"Port {end.port}",
        f"HostKeyAlias {alias}",
        f"ConnectTimeout {end.dial_timeout}",
        "LogLevel ERROR",
        "UpdateHostKeys no",
        "GlobalKnownHostsFile /dev/null",
        f"UserKnownHostsFile {_known_hosts(folder, alias, end)}",
        f"StrictHostKeyChecking {'yes' if end.host_key else 'no'}",
        f"IdentityAgent {end.agent_socket or 'none'}",
        *_credentials(folder, alias, end),
    ]
    return "\n  ".join(lines) + "\n"


def _credentials(folder: Path, alias: str, end: Endpoint) -> list[str]:
    methods = ["publickey"] if end.private_key or end.agent_socket else []
    lines = ["IdentityFile none"]
    if end.private_key:
        _private(folder / f"{alias}.key", _plain_key(end))
        lines = [f"IdentityFile {folder}/{alias}.key", "IdentitiesOnly yes"]
    if end.password:
        _private(folder / f"{alias}.password", end.password + "\n")
        methods += ["password", "keyboard-interactive"]
    batch = "no" if end.password else "yes"
    preferred = ",".join(methods or ["none"])
    return [
        *lines,
        f"BatchMode {batch}",
        "NumberOfPasswordPrompts 1",
        f"PreferredAuthentications {preferred}",
    ]


def _known_hosts(folder: Path, alias: str, end: Endpoint) -> str:
    if not end.host_key:
        return "/dev/null"
    _private(folder / f"{alias}.known", f"{alias} {end.host_key.strip()}\n")
    return f"{folder}/{alias}.known"


def _plain_key(end: Endpoint) -> str:
    """Return the key without its password: ssh could only ask for it on a terminal."""
    text = (end.private_key or "").strip() + "\n"
    if not end.private_key_password:
        return text
    load = (
        serialization.load_ssh_private_key
        if "OPENSSH PRIVATE KEY" in text
        else serialization.load_pem_private_key
    )
    try:
        key = load(text.encode(), end.private_key_password.encode())
    except (ValueError, TypeError) as error:
        raise PluginError("connection.privateKeyPassword does not open privateKey") from error
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()


def _private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _exports(environment: Mapping[str, str]) -> str:
    for name in environment:
        if not _NAME.match(name):
            raise PluginError(f"environment: {name!r} cannot be the name of a shell variable")
    return "".join(
        f"export {name}={shlex.quote(str(item))}\n" for name, item in environment.items()
    )


class _Chain:
    """Reads several sources one after the other."""

    def __init__(self, *parts: Readable) -> None:
        self._parts = list(parts)

    def read(self, size: int = -1, /) -> bytes:
        while self._parts:
            if chunk := self._parts[0].read(size):
                return chunk
            self._parts.pop(0)
        return b""
