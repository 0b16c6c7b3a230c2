"""remote.Command and CopyToRemote against a real OpenSSH server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.tools.conftest import RemoteMachine
from tools.plugins.command_remote import CopyToRemote, RemoteCommand
from tools.plugins.resource import Call, PluginError
from tools.plugins.wire import (
    ARCHIVE_SIGNATURE,
    ASSET_SIGNATURE,
    SIGNATURE,
    UNKNOWN,
    Properties,
    Secret,
    reveal,
)

COMMAND = RemoteCommand()
COPY = CopyToRemote()
CALL = Call("far")


def _inputs(
    machine: RemoteMachine, changes: Mapping[str, object] | None = None, **more: object
) -> Properties:
    return {"connection": Secret(machine.connection(**(changes or {}))), **more}


def _asset(path: Path) -> Properties:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {SIGNATURE: ASSET_SIGNATURE, "path": str(path), "hash": digest}


def test_create_update_and_delete_run_over_there(
    remote_machine: RemoteMachine, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    inputs = _inputs(
        remote_machine,
        create=f"cat > {file}; echo made",
        update='echo "after $PULUMI_COMMAND_STDOUT"',
        delete=f"rm {file}",
        stdin="content",
    )
    _, outputs = COMMAND.create(CALL, inputs)
    assert reveal(outputs["stdout"]) == "made"
    assert file.read_text() == "content"
    updated = COMMAND.update(CALL, outputs, inputs, inputs)
    assert reveal(updated["stdout"]) == "after made"
    COMMAND.delete(CALL, updated)
    assert not file.exists()


def test_environment_arrives_whatever_characters_it_has(remote_machine: RemoteMachine) -> None:
    text = 'it\'s "so" $HOME `x`\nnext'
    inputs = _inputs(remote_machine, create='printf %s "$TEXT"', environment={"TEXT": text})
    assert reveal(COMMAND.create(CALL, inputs)[1]["stdout"]) == text


def test_secrets_are_no_arguments_of_any_process(remote_machine: RemoteMachine) -> None:
    inputs = _inputs(
        remote_machine,
        create="for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; done 2>/dev/null; true",
        environment={"TEXT": Secret("hush-hush")},
    )
    seen = reveal(COMMAND.create(CALL, inputs)[1]["stdout"])
    assert "eval" in seen
    assert "hush-hush" not in seen


def test_exit_status_of_the_command_is_its_own(remote_machine: RemoteMachine) -> None:
    with pytest.raises(PluginError, match=r"(?s)create failed, exit status 7: .*\nwhy"):
        COMMAND.create(CALL, _inputs(remote_machine, create="echo why >&2; exit 7"))


def test_another_host_key_is_refused(remote_machine: RemoteMachine, tmp_path: Path) -> None:
    inputs = _inputs(
        remote_machine,
        {"hostKey": remote_machine.foreign_host_key},
        create=f"touch {tmp_path}/ran",
    )
    with pytest.raises(PluginError, match=r"another host key than connection\.hostKey"):
        COMMAND.create(CALL, inputs)
    assert not (tmp_path / "ran").exists()


def test_no_host_key_means_no_check(remote_machine: RemoteMachine) -> None:
    inputs = _inputs(remote_machine, {"hostKey": None}, create="echo in")
    assert reveal(COMMAND.create(CALL, inputs)[1]["stdout"]) == "in"


def test_refused_login_says_what_to_check(remote_machine: RemoteMachine) -> None:
    inputs = _inputs(remote_machine, {"privateKey": remote_machine.foreign_key}, create="true")
    with pytest.raises(PluginError, match=r"refused the login; check connection\.user") as caught:
        COMMAND.create(CALL, inputs)
    assert "PRIVATE KEY" not in str(caught.value)


def test_key_with_a_password(remote_machine: RemoteMachine) -> None:
    changes = {"privateKey": remote_machine.locked_key, "privateKeyPassword": "sesame"}
    inputs = _inputs(remote_machine, changes, create="echo in")
    assert reveal(COMMAND.create(CALL, inputs)[1]["stdout"]) == "in"
    with pytest.raises(PluginError, match="does not open privateKey"):
        wrong = _inputs(remote_machine, changes | {"privateKeyPassword": "no"}, create="true")
        COMMAND.create(CALL, wrong)


def test_through_a_proxy(remote_machine: RemoteMachine) -> None:
    changes = {"proxy": remote_machine.connection()}
    inputs = _inputs(remote_machine, changes, create="echo in")
    assert reveal(COMMAND.create(CALL, inputs)[1]["stdout"]) == "in"


def test_nobody_there_is_tried_again_and_then_named(remote_machine: RemoteMachine) -> None:
    inputs = _inputs(remote_machine, {"port": 1, "dialErrorLimit": 2}, create="true")
    with pytest.raises(PluginError, match=r"no connection to .*:1 in 3 attempts: .*refused"):
        COMMAND.create(CALL, inputs)


def test_connection_is_checked_completed_and_secret() -> None:
    given, failures = COMMAND.check({"connection": {"host": "far", "user": UNKNOWN}})
    assert failures == []
    assert given["connection"] == Secret(
        {"host": "far", "user": UNKNOWN, "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
    )
    _, failures = COMMAND.check({"connection": {"hots": "far"}})
    assert [failure.property for failure in failures] == ["connection.hots", "connection.host"]


def test_nothing_is_left_in_the_temporary_folder(remote_machine: RemoteMachine) -> None:
    COMMAND.create(CALL, _inputs(remote_machine, create="true"))
    mine = [path for path in Path("/tmp").glob("kindling-????????") if (path / "config").exists()]
    assert mine == []


def test_copy_of_a_file_makes_folders_and_fills_existing_ones(
    remote_machine: RemoteMachine, tmp_path: Path
) -> None:
    source = tmp_path / "source.txt"
    source.write_bytes(b"\0binary\n" * 10_000)
    there = tmp_path / "new folder" / "file"
    inputs = _inputs(remote_machine, source=_asset(source), remotePath=str(there))
    identifier, outputs = COPY.create(CALL, inputs)
    assert there.read_bytes() == source.read_bytes()
    assert len(identifier) == 8
    assert isinstance(outputs["connection"], Secret)
    COPY.create(CALL, inputs | {"remotePath": str(there.parent)})
    assert (there.parent / "source.txt").read_bytes() == source.read_bytes()


def test_copy_of_a_text(remote_machine: RemoteMachine, tmp_path: Path) -> None:
    source = {SIGNATURE: ASSET_SIGNATURE, "text": "größer", "hash": "1"}
    inputs = _inputs(remote_machine, source=source, remotePath=str(tmp_path / "text"))
    COPY.create(CALL, inputs)
    assert (tmp_path / "text").read_text() == "größer"
    with pytest.raises(PluginError, match="remotePath is a folder"):
        COPY.create(CALL, inputs | {"remotePath": str(tmp_path)})


def test_copy_of_a_folder(remote_machine: RemoteMachine, tmp_path: Path) -> None:
    source = tmp_path / "from"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("deep")
    archive = {SIGNATURE: ARCHIVE_SIGNATURE, "path": str(source), "hash": "1"}
    COPY.create(CALL, _inputs(remote_machine, source=archive, remotePath=str(tmp_path / "to")))
    assert (tmp_path / "to" / "from" / "sub" / "file").read_text() == "deep"
    bare = archive | {"path": f"{source}/"}
    COPY.create(CALL, _inputs(remote_machine, source=bare, remotePath=str(tmp_path / "bare")))
    assert (tmp_path / "bare" / "sub" / "file").read_text() == "deep"


def test_update_copies_only_another_content(remote_machine: RemoteMachine, tmp_path: Path) -> None:
    there = tmp_path / "text"
    old = {SIGNATURE: ASSET_SIGNATURE, "text": "old", "hash": "1"}
    inputs = _inputs(remote_machine, source=old, remotePath=str(there))
    COPY.update(CALL, inputs, inputs, inputs)
    assert not there.exists()
    new = inputs | {"source": old | {"text": "new", "hash": "2"}}
    assert set(COPY.diff(inputs, inputs, new)) == {"source"}
    COPY.update(CALL, inputs, inputs, new)
    assert there.read_text() == "new"
