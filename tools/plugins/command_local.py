"""local.Command of pulumi-command 1.2."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

from .command_base import CommandType, Logs
from .resource import ITEMS, TEXT, Failure, Field
from .running import Finished, run
from .wire import Properties, Secret

_SHELL = ["/bin/sh", "-c"]
# Arguments can be read by every user of the machine, so a secret command travels in the
# environment, which only its owner can read, and leaves it before it starts.
_SECRET_SHELL = ["/bin/sh", "-c", '_c=$KINDLING_COMMAND; unset KINDLING_COMMAND; eval "$_c"']
_NOT_OFFLINE = ("assetPaths", "archivePaths")


class LocalCommand(CommandType):
    """A command on the machine that runs Pulumi."""

    token = "command:local:Command"
    inputs: ClassVar[Mapping[str, Field]] = {
        **CommandType.inputs,
        "archivePaths": ITEMS,
        "assetPaths": ITEMS,
        "dir": TEXT,
        "interpreter": ITEMS,
    }
    outputs = CommandType.outputs | {"assets", "archive"}

    def check(self, news: Properties) -> tuple[Properties, list[Failure]]:
        """Refuse the two inputs that only the official plugin has."""
        given, failures = super().check(news)
        return given, failures + [
            Failure(name, f"{name} needs the official command plugin; see docs/tools.md")
            for name in _NOT_OFFLINE
            if name in given
        ]

    def run(self, command: Any, inputs: Properties, logs: Logs) -> Finished:
        """Run the command with the interpreter, in the directory."""
        environment = {name: str(item) for name, item in inputs["environment"].items()}
        interpreter = inputs.get("interpreter")
        if isinstance(command, Secret) and not interpreter:
            argv, text = _SECRET_SHELL, command.value
            environment |= {"KINDLING_COMMAND": text}
        else:
            text = command.value if isinstance(command, Secret) else command
            argv = [*(interpreter or _SHELL), text]
        return run(
            argv,
            stdin=io.BytesIO((inputs.get("stdin") or "").encode()),
            environment=environment,
            directory=inputs.get("dir"),
            logs=logs,
        )
