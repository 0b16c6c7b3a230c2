"""What shellcheck and systemd say of a rendered part of a machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from kindling.rendering.parts import SystemPart


def shellcheck(part: SystemPart, folder: Path) -> str:
    """Its findings about every program of the part; `common` and others must be in the part."""
    programs = [file for file in part.files if file.path.startswith("/opt/kindling/")]
    for file in programs:
        target = folder / file.path.removeprefix("/opt/kindling/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.content)
    names = [file.path.removeprefix("/opt/kindling/") for file in programs if file.mode == 0o755]
    assert names, "there are no programs"
    program = Path(sys.executable).with_name("shellcheck")  # from PyPI, beside this Python
    options = ["--shell=bash", "--external-sources", f"--source-path={folder}"]
    return _run(folder, str(program), *options, *names)[1]


def systemd_verify(part: SystemPart, folder: Path) -> str:
    """Its complaints about the part's units; empty when it accepts them."""
    units = {each.name: each.contents for each in part.units if each.contents}
    assert units, "there are no units"
    for name, text in units.items():
        # The programs are on the machine; what is verified here are the units.
        there = re.sub(r"^(Exec\w+=)/\S+", r"\1/bin/true", text, flags=re.MULTILINE)
        (folder / name).write_text(there)
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is missing; install systemd"
    paths = [str(folder / name) for name in units]
    status, said = _run(folder, analyze, "verify", "--man=no", "--recursive-errors=no", *paths)
    ours = [line for line in said.splitlines() if any(name in line for name in units)]
    return "\n".join(ours) if ours else said if status else ""


def _run(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
