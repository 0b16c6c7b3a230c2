"""Scripts and units are checked by the tools of their field."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kindling.templating import render

SCRIPTS = {
    "install": render("flatcar/install"),
    "report": render("flatcar/report"),
    "commands": render("flatcar/commands", when="pre-install", commands=["echo one"]),
}
UNITS = ("kindling-install.service", "kindling-report.service")


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing(name, tmp_path):
    script = tmp_path / name
    script.write_text(SCRIPTS[name])
    program = Path(sys.executable).with_name("shellcheck")  # from PyPI, beside this Python
    done = subprocess.run(
        [str(program), "--shell=bash", str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit(name, tmp_path):
    unit = tmp_path / name
    text = render(f"flatcar/{name}")
    # The programs are there on the machine; what is verified here is the unit.
    unit.write_text(text.replace("/opt/kindling/", f"{tmp_path}/"))
    for program in ("install", "report"):
        (tmp_path / program).write_text("#!/bin/bash\n")
        (tmp_path / program).chmod(0o755)
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is missing; install systemd"
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if name in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_puts_a_token_on_a_command_line(name):
    for line in SCRIPTS[name].splitlines():
        assert not (line.lstrip().startswith("curl") and "token" in line), line
