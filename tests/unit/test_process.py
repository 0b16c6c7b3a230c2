"""Programs of others: followed line by line, interrupted once, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kindling.errors import CommandError
from kindling.process import beside, follow

_ROOT = Path(__file__).resolve().parents[2]
# A program that ends in good order when it is interrupted once, and says so twice if it is twice.
_PATIENT = """
import os, signal, sys, time
count = 0
def hear(*_):
    global count
    count += 1
    os.write(1, f"heard {count}\\n".encode())
signal.signal(signal.SIGINT, hear)
print("begun", flush=True)
end = time.monotonic() + 60
while not count and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.3)
print("ended in good order", flush=True)
"""
_FOLLOWER = f"""
import sys
from kindling.process import follow
try:
    follow([sys.executable, "-c", {_PATIENT!r}], lambda line: print(line, flush=True), timeout=60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def gone(pid: int) -> bool:
    """Whether a process has ended, within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_each_line_is_passed_on_as_it_comes_and_the_exit_code_at_the_end() -> None:
    """Both outputs together, in their order."""
    lines: list[tuple[float, str]] = []
    script = "echo one; sleep 0.5; echo two >&2; exit 7"
    code = follow(
        ["sh", "-c", script], lambda line: lines.append((time.monotonic(), line)), timeout=30
    )
    assert code == 7
    assert [line for _, line in lines] == ["one", "two"]
    assert lines[1][0] - lines[0][0] > 0.3


def test_the_callers_environment_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a program needs to start, and what is given."""
    monkeypatch.setenv("SOMEBODYS_SECRET", "1")
    lines: list[str] = []
    follow(["env"], lines.append, timeout=30, environment={"GIVEN": "yes"})
    assert "GIVEN=yes" in lines
    assert not any("SOMEBODYS_SECRET" in line for line in lines)


def test_an_interrupt_of_the_whole_group_reaches_the_program_once_and_is_waited_for() -> None:
    """As a terminal sends Ctrl-C: to us and to everybody that we started."""
    process = subprocess.Popen(
        [sys.executable, "-c", _FOLLOWER],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.read().split("\n")[:-1] == [
        "heard 1",
        "ended in good order",
        "interrupted",
    ]
    assert process.wait(30) == 0


def test_a_program_that_is_too_slow_is_ended_with_what_it_started(tmp_path: Path) -> None:
    """Its output would be waited for otherwise."""
    pid = tmp_path / "pid"
    script = f"trap 'exit 1' INT; sleep 300 & echo $! > {pid}; wait"
    with pytest.raises(CommandError, match="within 1 s"):
        follow(["bash", "-c", script], lambda _: None, timeout=1)
    assert gone(int(pid.read_text()))


def test_a_missing_program_is_named() -> None:
    """With what makes it available."""
    with pytest.raises(CommandError, match="no-such-program is not on PATH"):
        follow(["no-such-program"], lambda _: None, timeout=1)


def test_a_program_beside_ends_with_the_block() -> None:
    """Also when the block ends by an error."""
    with pytest.raises(RuntimeError), beside(["sh", "-c", "echo $$; sleep 300"]) as program:
        pid = int(program.line(10))
        raise RuntimeError
    assert gone(pid)


def test_silence_and_an_early_end_of_a_program_beside_are_errors() -> None:
    """Each says what happened."""
    with beside(["sleep", "60"]) as program, pytest.raises(CommandError, match="said nothing"):
        program.line(0.1)
    with beside(["true"]) as program, pytest.raises(CommandError, match="ended early"):
        program.line(10)
