"""The stack, by its file and by Pulumi's command line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from kindling.bootserver.settings import TOKEN_VARIABLE
from kindling.errors import RollError
from kindling.models.cluster import Cluster
from kindling.process import follow, run
from kindling.rolling.interfaces import Teller
from kindling.rolling.programs import program
from kindling.rolling.stackfile import StackFile

_UP = 3600.0  # seconds: it may have to download and publish gigabytes
_QUESTION = 600.0  # seconds for a preview or an output


class PulumiStack:
    """`Stack`. ``folder`` is the project's, ``selector`` the stack as the operator names it."""

    def __init__(self, folder: Path, selector: str, teller: Teller) -> None:
        self.file = StackFile.of(folder, selector)
        self.name = selector.rpartition("/")[2]
        self._folder = folder
        self._selector = selector
        self._teller = teller
        self._known: tuple[object, Cluster] | None = None

    def cluster(self) -> Cluster:
        """See `Stack`. Read again only when a file changed: a large one takes a while."""
        files = {self.file.path, self.file.file}
        version = tuple((each.stat().st_mtime_ns, each.stat().st_size) for each in sorted(files))
        if self._known is None or self._known[0] != version:
            self._known = (version, self.file.cluster())
        return self._known[1]

    def raise_generations(self, wanted: Mapping[str, int]) -> None:
        """See `Stack`."""
        for host, number in wanted.items():
            self._teller.say(f"{self.file.file.name}: generation of {host}: {number}")
        self.file.raise_generations(wanted)

    def publish(self) -> None:
        """See `Stack`. Its output is passed on line by line.

        Without another preview: nothing was unpublished when the roll began, and what changed
        since are the generations that the operator agreed to.
        """
        argv = self._command("up", "--yes", "--skip-preview")
        code = follow(
            argv,
            self._teller.output,
            timeout=_UP,
            environment=_environment(),
            directory=self._folder,
        )
        if code:
            raise RollError(
                f"pulumi up ended with exit code {code}; its output above says why. If the stack is"
                f" locked by a run that was killed: pulumi cancel --stack {self._selector}"
            )

    def unpublished(self) -> str:
        """What a preview would change, as counts; empty: nothing. Raises `RollError`."""
        shown = json.loads(self._ask("preview", "--json"))
        counts = shown.get("changeSummary", {})
        return ", ".join(f"{counts[name]} to {name}" for name in sorted(counts) if name != "same")

    def kubeconfig(self) -> bytes:
        """The stack's secret output. Raises `RollError` when there is none yet."""
        return self._ask("stack", "output", "kubeconfig", "--show-secrets")

    def token(self) -> str:
        """The operator's token: of the environment, else of the stack's configuration."""
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        token = token or self._ask("config", "get", "storeToken").decode().strip()
        if not token:
            raise RollError(f"set {TOKEN_VARIABLE} to the boot server's operator token")
        return token

    def _ask(self, *arguments: str) -> bytes:
        done = run(
            self._command(*arguments),
            timeout=_QUESTION,
            environment=_environment(),
            directory=self._folder,
        )
        if done.returncode:
            # Only what it says of its failure: its output may be a secret.
            said = done.stderr.decode(errors="replace").strip() or _diagnosis(done.stdout)
            raise RollError(f"pulumi {' '.join(arguments[:3])} failed: {said}")
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        options = ("--stack", self._selector, "--non-interactive", "--color", "never")
        return [program("pulumi"), *arguments, *options]


def _environment() -> dict[str, str]:
    """All of it: where the state is and what decrypts it, Pulumi takes from the environment."""
    return {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}


def _diagnosis(output: bytes) -> str:
    """The errors that a preview tells in its JSON."""
    try:
        found = json.loads(output).get("diagnostics", [])
    except (ValueError, AttributeError):
        return "it gave no reason"
    errors = [each.get("message", "").strip() for each in found if each.get("severity") == "error"]
    return " ".join(errors) or "it gave no reason"
