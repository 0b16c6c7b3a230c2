"""What the boot server is started with: read once, checked at the door, never changed."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from kindling.errors import BootServerError

TOKEN_VARIABLE = "KINDLING_STORE_TOKEN"
SHORTEST_TOKEN = 16  # characters
COUNTERS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own name

_GIB = 1024**3
_MIB = 1024**2


class Settings(BaseModel):
    """Settings of one boot server. ``load_settings`` makes them from options and environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path  # the published tree; the server's own files are in its .kindling/
    host: str = "0.0.0.0"  # machines on the boot network must reach it
    port: int = Field(default=8080, ge=1, le=65_535)
    database: str = ""  # SQLAlchemy URL; empty: SQLite at <directory>/.kindling/records.sqlite
    token: SecretStr | None = None  # the operator's; without it every store route is refused
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()  # networks whose X-Forwarded-For is believed
    workers: int = Field(default=1, ge=1, le=64)
    max_upload: int = Field(default=16 * _GIB, ge=1)  # bytes
    max_document: int = Field(default=8 * _MIB, ge=1)  # bytes; nodes/* and sites/*
    keep_free: int = Field(default=64 * _MIB, ge=0)  # bytes that uploads leave for the records
    # Seconds that a new database waits for what machines repeat before it grants a first claim.
    claim_grace: float = Field(default=300.0, ge=0, le=86_400)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network, strict=False)
        return networks

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("TLS needs both a certificate and a key (--tls-cert and --tls-key)")
        for path in (self.tls_cert, self.tls_key):
            if path is not None and not path.is_file():
                raise ValueError(f"{path} is not a file; TLS needs a certificate and a key in PEM")
        token = self.token.get_secret_value() if self.token else None
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise ValueError(
                f"the operator's token must have at least {SHORTEST_TOKEN} characters"
                " (`openssl rand -hex 32` makes one)"
            )
        return self

    @property
    def private(self) -> Path:
        """The server's own directory: database, metadata, uploads under way. Never served."""
        return self.directory / ".kindling"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the boot records."""
        return self.database or f"sqlite:///{self.private / 'records.sqlite'}"

    @property
    def scheme(self) -> str:
        """``https`` with TLS, else ``http``."""
        return "https" if self.tls_cert else "http"

    def prepare(self) -> None:
        """Make the directories. Raises `BootServerError` when that is not possible."""
        try:
            self.private.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BootServerError(
                f"{self.directory} cannot be the boot server's directory: {error.strerror};"
                " give one that this user may write"
            ) from error
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise BootServerError(f"{self.directory} is not writable for this user")


def load_settings(
    directory: Path,
    *,
    token_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Settings:
    """Settings from command-line options; the token from ``token_file`` or the environment.

    ``options`` are the other fields of `Settings`; None means the default. Makes the directories.
    Raises `BootServerError` with one sentence for each problem.
    """
    given = {name: value for name, value in options.items() if value is not None}
    token = _token(token_file, os.environ if environment is None else environment)
    try:
        settings = Settings(directory=directory.absolute(), token=token, **given)
    except ValidationError as error:
        # include_input=False: the token must not show up in the message.
        problems = error.errors(include_url=False, include_input=False)
        raise BootServerError("; ".join(map(_sentence, problems))) from None
    settings.prepare()
    return settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m kindling serve``. The token is never one of them."""
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("kindling-data"),
        help="where published files and records live (default: %(default)s)",
    )
    parser.add_argument("--host", help="address to listen on (default: all)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8080)")
    parser.add_argument("--database", help="SQLAlchemy URL of the boot records (default: SQLite)")
    parser.add_argument(
        "--token-file",
        type=Path,
        help=f"file (mode 600) with the operator's token, else {TOKEN_VARIABLE}",
    )
    parser.add_argument("--tls-cert", type=Path, help="certificate chain in PEM: serve https")
    parser.add_argument("--tls-key", type=Path, help="its key in PEM")
    parser.add_argument("--workers", type=int, help="processes (default: 1)")
    parser.add_argument(
        "--claim-grace",
        type=float,
        metavar="SECONDS",
        help="how long new records wait for machines of a running cluster (default: 300)",
    )
    parser.add_argument(
        "--trusted-proxy",
        dest="trusted_proxies",
        action="append",
        metavar="NETWORK",
        help="address or network of a reverse proxy whose X-Forwarded-For counts; repeatable",
    )


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Settings from the parsed options of `add_arguments`; see `load_settings`."""
    names = (
        *("host", "port", "database", "tls_cert", "tls_key", "workers", "trusted_proxies"),
        "claim_grace",
    )
    return load_settings(
        arguments.directory,
        token_file=arguments.token_file,
        **{name: getattr(arguments, name) for name in names},
    )


def _token(file: Path | None, environment: Mapping[str, str]) -> SecretStr | None:
    if file is None:
        value = environment.get(TOKEN_VARIABLE, "")
        return SecretStr(value.strip()) if value.strip() else None
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BootServerError(f"--token-file {file} cannot be read: {error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BootServerError(
            f"--token-file {file} is open to other users (mode {stat.S_IMODE(mode):04o});"
            f" run `chmod 600 {file}`"
        )
    if not text:
        raise BootServerError(f"--token-file {file} is empty")
    return SecretStr(text)


def _sentence(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}" if field else message
