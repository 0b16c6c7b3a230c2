"""What the local and the remote Command of pulumi-command have in common."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .resource import (
    FLAG,
    ITEMS,
    TABLE,
    TEXT,
    Call,
    Change,
    Failure,
    Field,
    PluginError,
    ResourceType,
    changes,
)
from .running import Finished
from .wire import UNKNOWN, Properties, Secret, has_secret, has_unknown, reveal, secret_texts

LOGGING = ("stdout", "stderr", "stdoutAndStderr", "none")
Logs = tuple[Callable[[str], None], Callable[[str], None]]


def unique_id(prefix: str) -> str:
    """Return the prefix with eight random hexadecimal digits."""
    return prefix + secrets.token_hex(4)


def input_changes(
    fields: Mapping[str, Field], old_inputs: Properties, news: Properties
) -> dict[str, Change]:
    """Compare inputs; only other triggers replace."""
    found: dict[str, Change] = {}
    for name in fields:
        old, new = reveal(old_inputs.get(name)), reveal(news.get(name))
        found |= changes(old, new, name, replace=name == "triggers")
    return found


class CommandType(ResourceType):
    """A command at create, update and delete; its outputs are what it printed."""

    inputs: ClassVar[Mapping[str, Field]] = {
        "addPreviousOutputInEnv": FLAG,
        "create": TEXT,
        "delete": TEXT,
        "environment": TABLE,
        "logging": TEXT,
        "stdin": TEXT,
        "triggers": ITEMS,
        "update": TEXT,
    }
    outputs = frozenset({"stdout", "stderr"})
    quiet_secrets: ClassVar[frozenset[str]] = frozenset()
    """Inputs that are secret by nature and do not make the printed lines secret."""

    @abstractmethod
    def run(self, command: Any, inputs: Properties, logs: Logs) -> Finished:
        """Run one command with revealed inputs."""

    def check(self, news: Properties) -> tuple[Properties, list[Failure]]:
        """Check fields and the name of the logging mode."""
        given, failures = super().check(news)
        mode = reveal(given.get("logging"))
        if isinstance(mode, str) and mode not in LOGGING:
            failures.append(Failure("logging", f"logging must be one of: {', '.join(LOGGING)}"))
        return given, failures

    def diff(self, olds: Properties, old_inputs: Properties, news: Properties) -> dict[str, Change]:
        """Compare inputs with the inputs of the last run."""
        return input_changes(self.inputs, old_inputs or olds, news)

    def create(self, call: Call, news: Properties) -> tuple[str, Properties]:
        """Run `create`."""
        if call.preview:
            return "", self._state(news, UNKNOWN, UNKNOWN)
        return unique_id(call.name), self._operate(call, "create", news, {})

    def update(
        self, call: Call, olds: Properties, old_inputs: Properties, news: Properties
    ) -> Properties:
        """Run `update`, or `create` where there is none."""
        if call.preview:
            return self._state(news, UNKNOWN, UNKNOWN)
        step = "update" if news.get("update") is not None else "create"
        return self._operate(call, step, news, olds)

    def delete(self, call: Call, olds: Properties) -> None:
        """Run `delete`."""
        self._operate(call, "delete", olds, olds)

    def _operate(self, call: Call, step: str, inputs: Properties, olds: Properties) -> Properties:
        before = {name: reveal(olds.get(name)) or "" for name in ("stdout", "stderr")}
        if inputs.get(step) is None:
            return self._state(inputs, before["stdout"], before["stderr"])
        if has_unknown(inputs):
            raise PluginError(f"{step} needs inputs that are not known yet")
        plain = reveal(inputs)
        environment = (plain.get("environment") or {}) | previous(plain, before)
        finished = self.run(
            inputs[step], plain | {"environment": environment}, self._logs(call, inputs)
        )
        if finished.code != 0:
            raise PluginError(failure_message(step, finished, inputs))
        return self._state(inputs, finished.stdout, finished.stderr)

    def _state(self, inputs: Properties, stdout: Any, stderr: Any) -> Properties:
        state = {name: inputs[name] for name in self.inputs if inputs.get(name) is not None}
        # What a command prints may hold what it was given: one secret input makes both secret.
        wrap = Secret if has_secret(state) else _as_is
        return state | {"stdout": wrap(stdout), "stderr": wrap(stderr)}

    def _logs(self, call: Call, inputs: Properties) -> Logs:
        loud = {name: item for name, item in inputs.items() if name not in self.quiet_secrets}
        mode = "none" if has_secret(loud) else reveal(inputs.get("logging")) or "stdoutAndStderr"
        out = call.log if mode in ("stdout", "stdoutAndStderr") else _nowhere
        err = call.log if mode in ("stderr", "stdoutAndStderr") else _nowhere
        return out, err


def previous(inputs: Properties, before: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that hold what the last run printed."""
    if inputs.get("addPreviousOutputInEnv") is False:
        return {}
    return {f"PULUMI_COMMAND_{name.upper()}": text for name, text in before.items() if text}


def failure_message(step: str, finished: Finished, inputs: Properties) -> str:
    """Say which command failed and what it printed, with secrets blotted out."""
    text = f"{step} failed, exit status {finished.code}: {reveal(inputs[step])}"
    text += f"\n{finished.combined}" if finished.combined else ""
    for secret in sorted(secret_texts(inputs), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def _as_is(value: Any) -> Any:
    return value


def _nowhere(line: str) -> None:
    """Take a log line that must not show."""
