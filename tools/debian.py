"""Debian's packages for builds and images: installed on Debian by root, named anywhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from kindling.process import run
from tools.problems import ToolError

_INSTALL_TIMEOUT = 900.0
# A shell of root's does not always search where administrators' programs lie.
SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_COMPILER = {"gcc": "gcc libc6-dev", "pkg-config": "pkg-config"}


def ensure_programs(programs: Mapping[str, str], purpose: str) -> None:
    """Make programs available: name -> the Debian packages, separated by spaces, that bring it.

    Raises `ToolError`, which names the packages, where they cannot be installed.
    """
    _install([programs[name] for name in programs if not find(name)], purpose)


def ensure_c(libraries: Mapping[str, str], purpose: str) -> None:
    """Make a C compiler and libraries available: pkg-config's name -> Debian package."""
    ensure_programs(_COMPILER, purpose)
    _install([libraries[name] for name in libraries if not _has_library(name)], purpose)


def find(program: str) -> str | None:
    """Return where a program of the system lies, administrators' programs included."""
    return shutil.which(program, path=SEARCHED)


def _has_library(name: str) -> bool:
    return run(["pkg-config", "--exists", name]).returncode == 0


def _install(packages: Sequence[str], purpose: str) -> None:
    names = sorted({name for package in packages for name in package.split()})
    if not names:
        return
    if os.geteuid() != 0 or not find("apt-get"):
        raise ToolError(f"{purpose} needs {', '.join(names)} (Debian's names); install them first")
    print(f"installing for {purpose}: {' '.join(names)}", flush=True)
    _apt("update", "-qq")
    _apt("install", "-y", "-qq", "--no-install-recommends", *names)


def _apt(*arguments: str) -> None:
    # Another program may hold dpkg's lock for a while.
    argv = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = {"DEBIAN_FRONTEND": "noninteractive", "PATH": SEARCHED}
    done = run(argv, timeout=_INSTALL_TIMEOUT, environment=environment)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise ToolError(f"apt-get {arguments[0]} failed; apt said:\n{said[-1000:]}")
