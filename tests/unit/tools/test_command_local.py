"""local.Command: what runs when, with what around it, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.plugins.command_local import LocalCommand
from tools.plugins.resource import Call, PluginError
from tools.plugins.wire import UNKNOWN, Secret, reveal

RECORDED = json.loads((Path(__file__).parent / "data" / "state.json").read_text())
HELLO = next(
    item for item in RECORDED["deployment"]["resources"] if item["type"] == LocalCommand.token
)
COMMAND = LocalCommand()
CALL = Call("hello")


def test_state_is_the_one_that_the_official_plugin_recorded() -> None:
    identifier, outputs = COMMAND.create(CALL, HELLO["inputs"])
    assert outputs == HELLO["outputs"]
    assert identifier.startswith("hello")
    assert len(identifier) == len(HELLO["id"])


def test_update_runs_update_and_else_create() -> None:
    assert COMMAND.update(CALL, {}, {}, {"create": "echo a", "update": "echo b"})["stdout"] == "b"
    assert COMMAND.update(CALL, {}, {}, {"create": "echo a"})["stdout"] == "a"
    kept = COMMAND.update(CALL, {"stdout": "old"}, {}, {"delete": "true"})
    assert kept["stdout"] == "old"


def test_delete_gets_what_the_last_run_printed(tmp_path: Path) -> None:
    olds = {
        "delete": 'echo "$PULUMI_COMMAND_STDOUT $PULUMI_COMMAND_STDERR" > deleted',
        "dir": str(tmp_path),
        "stdout": "out",
        "stderr": "err",
    }
    COMMAND.delete(CALL, olds)
    assert (tmp_path / "deleted").read_text() == "out err\n"
    COMMAND.delete(CALL, olds | {"addPreviousOutputInEnv": False})
    assert (tmp_path / "deleted").read_text() == " \n"


def test_stdin_environment_directory_and_interpreter(tmp_path: Path) -> None:
    inputs = {
        "create": "import os,sys; print(os.getcwd(), os.environ['A'], sys.stdin.read())",
        "interpreter": ["python3", "-c"],
        "environment": {"A": "b"},
        "stdin": "given",
        "dir": str(tmp_path),
    }
    assert COMMAND.create(CALL, inputs)[1]["stdout"] == f"{tmp_path} b given"


def test_one_newline_is_cut_and_both_outputs_are_kept() -> None:
    _, outputs = COMMAND.create(CALL, {"create": "printf 'a\\n\\n'; echo b >&2"})
    assert (outputs["stdout"], outputs["stderr"]) == ("a\n", "b")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(None, ["e", "o"]), ("stdout", ["o"]), ("stderr", ["e"]), ("none", [])],
)
def test_logging_mode_chooses_the_lines(mode: str | None, expected: list[str]) -> None:
    lines: list[str] = []
    inputs = {"create": "echo o; echo e >&2"} | ({"logging": mode} if mode else {})
    COMMAND.create(Call("hello", log=lines.append), inputs)
    assert sorted(lines) == expected


def test_failure_names_step_status_and_output() -> None:
    with pytest.raises(PluginError, match=r"(?s)create failed, exit status 3: .*\nwhy"):
        COMMAND.create(CALL, {"create": "echo why; exit 3"})


def test_missing_directory_is_named() -> None:
    with pytest.raises(PluginError, match=r"No such file or directory .*nowhere/at/all"):
        COMMAND.create(CALL, {"create": "true", "dir": "/nowhere/at/all"})


def test_a_secret_input_shows_neither_in_state_nor_log_nor_message() -> None:
    lines: list[str] = []
    call = Call("hello", log=lines.append)
    inputs = {"create": "echo $A", "environment": {"A": Secret("hush")}}
    _, outputs = COMMAND.create(call, inputs)
    assert isinstance(outputs["stdout"], Secret)
    assert outputs["environment"] == {"A": Secret("hush")}
    assert lines == []
    with pytest.raises(PluginError) as caught:
        COMMAND.create(call, inputs | {"create": "echo $A; exit 1"})
    assert "hush" not in str(caught.value)


def test_a_secret_command_is_no_argument_of_a_process() -> None:
    command = Secret("tr '\\0' ' ' < /proc/$$/cmdline; echo $KINDLING_COMMAND")
    _, outputs = COMMAND.create(CALL, {"create": command})
    assert "cmdline" not in reveal(outputs["stdout"])


def test_only_triggers_replace() -> None:
    old = {"create": "a", "triggers": ["1", "2"], "environment": {"A": "b"}}
    found = COMMAND.diff({}, old, {"create": "b", "triggers": ["1", "3"], "environment": {}})
    assert {path: change.replace for path, change in found.items()} == {
        "create": False,
        "triggers[1]": True,
        "environment.A": False,
    }


def test_preview_runs_nothing(tmp_path: Path) -> None:
    call = Call("hello", preview=True)
    inputs = {"create": f"touch {tmp_path}/ran"}
    assert COMMAND.create(call, inputs)[1]["stdout"] is UNKNOWN
    assert COMMAND.update(call, {}, {}, inputs)["stdout"] is UNKNOWN
    assert not (tmp_path / "ran").exists()


def test_what_only_the_official_plugin_has_is_refused() -> None:
    _, failures = COMMAND.check({"create": "true", "assetPaths": ["*"]})
    assert [failure.property for failure in failures] == ["assetPaths"]
    assert "official" in failures[0].reason
