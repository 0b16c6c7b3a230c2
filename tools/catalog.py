"""The tools by name: versions, Go packages, and what an installed one must offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "tools" / "modules"


@dataclass(frozen=True)
class Tool:
    """One tool, built from the Go module in `tools/modules/<name>`."""

    name: str
    version: str
    package: str
    takes: str
    """How long a first build takes, for the user's patience."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Values that the linker sets."""
    version_command: tuple[str, ...] = ()
    """Arguments that print the version of one that is installed already."""
    least: tuple[int, int] | None = None
    """The oldest installed version that will do; None: only our own will."""
    companions: tuple[str, ...] = ()
    """Programs that an installed one must come with."""
    beside: tuple[Tool, ...] = ()
    """Parts from other modules that must lie in the same folder."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """Scripts to copy beside it: name -> path inside the module of `scripts_module`."""
    scripts_module: str = ""

    @property
    def folder(self) -> Path:
        """Where go.mod and go.sum lie."""
        return MODULES / self.name

    @property
    def programs(self) -> tuple[str, ...]:
        """Everything that a build of the tool leaves."""
        return (self.name, *self.scripts, *(part.name for part in self.beside))


_PULUMI = "github.com/pulumi/pulumi"
# 3.79.0 is the last sdk module that contains the language host's sources; it needs older modules
# than pulumi itself, and so a module of its own.
_LANGUAGE_HOST = Tool(
    name="pulumi-language-python",
    version="3.79.0",
    package=f"{_PULUMI}/sdk/v3/python/cmd/pulumi-language-python",
    takes="half a minute",
    variables={f"{_PULUMI}/sdk/v3/go/common/version.Version": "v3.79.0"},
)

TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            name="pulumi",
            version="3.259.0",
            package=f"{_PULUMI}/pkg/v3/cmd/pulumi",
            takes="3 to 5 minutes",
            variables={f"{_PULUMI}/sdk/v3/go/common/version.Version": "v3.259.0"},
            version_command=("version",),
            least=(3, 200),
            companions=("pulumi-language-python",),
            beside=(_LANGUAGE_HOST,),
            # The language host's own; it looks for them in the folder that it lies in.
            scripts={
                "pulumi-language-python-exec": "python/cmd/pulumi-language-python-exec",
                "pulumi-resource-pulumi-python": "python/dist/pulumi-resource-pulumi-python",
            },
            scripts_module=f"{_PULUMI}/sdk/v3",
        ),
        Tool(
            name="butane",
            version="0.27.0",
            package="github.com/coreos/butane/internal",
            takes="a quarter of a minute",
            variables={"github.com/coreos/butane/internal/version.Raw": "v0.27.0"},
            version_command=("--version",),
            least=(0, 20),
        ),
        Tool(
            name="ignition-validate",
            version="2.24.0",
            package="github.com/coreos/ignition/v2/validate",
            takes="a few seconds",
            variables={"github.com/coreos/ignition/v2/internal/version.Raw": "v2.24.0"},
            version_command=("-version",),
            least=(2, 24),
        ),
    )
}
