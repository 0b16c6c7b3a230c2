"""The real Ignition on a machine's tree, as it runs in an initial RAM disk before the system.

The stages fetch and files; disks, mount and kargs need a disk and a boot loader.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from kindling.errors import CommandError
from kindling.process import run
from tests.cluster.harness.network import inside
from tools.places import BIN

_TIMEOUT = 300.0
# In mounts of its own: Ignition reads the address of its configuration from the kernel's command
# line, leaves its state in /run, and writes the users' files as these users, who must get there.
_SCRIPT = """
set -eu
mount --bind "$1" /proc/cmdline
mount -t tmpfs tmpfs /run
mkdir /run/sysroot
mount --bind "$2" /run/sysroot
shift 2
"$@" -stage fetch
exec "$@" -stage files
"""


def provision(tree: Path, configuration: bytes | str, namespace: str, log: Path) -> None:
    """Run Ignition on ``tree`` with a configuration, or the URL of one, from inside ``namespace``.

    What it says is kept in ``log``. Raises `CommandError` with the end of it.
    """
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix=".ignition-") as name:
        platform, command_line, environment = _given(configuration, Path(name))
        ignition = [str(BIN / "ignition"), "-root", "/run/sysroot", "-platform", platform]
        ignition += ["-config-cache", f"{name}/cached.json", "-log-to-stdout"]
        alone = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _SCRIPT, "sh"]
        argv = [*inside(namespace), *alone, str(command_line), str(tree), *ignition]
        done = run(argv, timeout=_TIMEOUT, environment=environment)
    # After a failure it prints the whole configuration, with its secrets.
    said = (done.stdout + done.stderr).decode(errors="replace").partition("Full config:")[0]
    log.write_text(said)
    if done.returncode != 0:
        raise CommandError(f"Ignition could not make the system; {log}:\n{said[-4000:]}")


def _given(configuration: bytes | str, folder: Path) -> tuple[str, Path, dict[str, str]]:
    """The platform that Ignition is told, the kernel's command line, and its environment."""
    command_line, document = folder / "cmdline", folder / "config.ign"
    if isinstance(configuration, str):
        command_line.write_text(f"ignition.config.url={configuration}\n")
        return "metal", command_line, {}
    command_line.write_text("\n")
    document.write_bytes(configuration)
    return "file", command_line, {"IGNITION_CONFIG_FILE": str(document)}
