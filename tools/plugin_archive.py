"""Making Pulumi plugins available: the official ones, or else our offline ones."""

from __future__ import annotations

import hashlib
import io
import os
import pwd
import shlex
import sys
import tarfile
import tempfile
from pathlib import Path

from kindling.errors import CommandError
from kindling.process import run
from tools.catalog import ROOT
from tools.plugins.versions import VERSIONS
from tools.problems import ToolError

_SOURCES = ROOT / "tools" / "plugins"
_MARK = "code/digest"  # only ours has it, so an official plugin is never replaced
_PACKAGE = "kindling_plugins"  # in the archive: `tools` could be a folder of the user's program
_DOWNLOAD_TIMEOUT = 20.0
_INSTALL_TIMEOUT = 120.0

# The Python is looked for at every start: the checkout's own, which `make setup` may have built
# anew meanwhile, then the active environment, then PATH. -P keeps the folder of the user's
# program from being searched for modules.
_LAUNCHER = """\
#!/bin/sh
# Starts the offline stand-in for pulumi-resource-{name}; see docs/tools.md of Kindling.
here=$(cd "$(dirname "$0")" && pwd)
check='import sys, importlib.util as u
sys.exit(sys.version_info < (3, 11) or not all(map(u.find_spec, ("grpc", "pulumi", "bcrypt"))))'
for python in {python} "${{VIRTUAL_ENV:-/nowhere}}/bin/python" "$(command -v python3)"; do
    if [ -x "$python" ] && "$python" -P -c "$check" 2>/dev/null; then
        exec "$python" -P "$here/code/start.py" {name} "$@"
    fi
done
echo "the offline plugin {name} found no Python 3.11 with pulumi, grpcio and bcrypt;" \\
    "run 'make setup' in a checkout of Kindling" >&2
exit 1
"""
_START = f"""\
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from {_PACKAGE}.packages import package
from {_PACKAGE}.server import serve

arguments = [text for text in sys.argv[2:] if not text.startswith("-")]
serve(package(sys.argv[1]), arguments[0] if arguments else None)
"""


def install_plugins(pulumi: Path) -> None:
    """Make every plugin available that the program's Python packages ask for."""
    for name in VERSIONS:
        if not installed(name):
            _install(pulumi, name)


def installed(name: str) -> bool:
    """Tell, without starting Pulumi, whether it has the plugin."""
    folder = home() / "plugins" / f"resource-{name}-v{VERSIONS[name]}"
    # Pulumi marks an installation that was interrupted with a file beside the folder.
    if folder.with_name(f"{folder.name}.partial").exists():
        return False
    if not (folder / f"pulumi-resource-{name}").is_file():
        return False
    mark = folder / _MARK
    return not mark.exists() or mark.read_text() == _digest()


def home() -> Path:
    """Return Pulumi's own folder; like Pulumi, by the account's home and not by $HOME."""
    if named := os.environ.get("PULUMI_HOME"):
        return Path(named)
    return Path(pwd.getpwuid(os.getuid()).pw_dir) / ".pulumi"


def _install(pulumi: Path, name: str) -> None:
    if _pulumi_install(pulumi, name, _DOWNLOAD_TIMEOUT) is None:
        return
    with tempfile.TemporaryDirectory(prefix="kindling-plugin-") as folder:
        archive = Path(folder) / f"{name}.tar.gz"
        archive.write_bytes(plugin_archive(name, Path(sys.executable)))
        problem = _pulumi_install(
            pulumi, name, _INSTALL_TIMEOUT, "--reinstall", "--file", str(archive)
        )
    if problem is not None:
        raise ToolError(f"the Pulumi plugin {name} could not be installed: {problem}")
    print(f"Pulumi's download was not reachable: installed the offline plugin {name}")


def _pulumi_install(pulumi: Path, name: str, timeout: float, *more: str) -> str | None:
    """Run Pulumi's own installation; return None, or why it failed."""
    argv = [str(pulumi), "plugin", "install", "resource", name, VERSIONS[name], *more]
    proxies = {key: text for key, text in os.environ.items() if key.lower().endswith("_proxy")}
    environment = proxies | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    if "PULUMI_HOME" in os.environ:
        environment["PULUMI_HOME"] = os.environ["PULUMI_HOME"]
    try:
        done = run(argv, timeout=timeout, environment=environment)
    except CommandError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[-500:]


def plugin_archive(name: str, python: Path) -> bytes:
    """Return the archive of an offline plugin; ``python`` is the first that it will try."""
    launcher = _LAUNCHER.format(name=name, python=shlex.quote(str(python)))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        _add(archive, f"pulumi-resource-{name}", launcher.encode(), 0o755)
        _add(archive, "code/start.py", _START.encode(), 0o644)
        _add(archive, _MARK, _digest().encode(), 0o644)
        for source in _sources():
            _add(archive, f"code/{_PACKAGE}/{source.name}", source.read_bytes(), 0o644)
    return content.getvalue()


def _sources() -> list[Path]:
    return sorted(_SOURCES.glob("*.py"))


def _digest() -> str:
    content = b"".join(source.read_bytes() for source in _sources())
    return hashlib.sha256(content + (_LAUNCHER + _START).encode()).hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
