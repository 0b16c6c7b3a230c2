"""The offline plugins under the real command line, on states of the official ones and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.tools.conftest import Pulumi, RemoteMachine

pytestmark = pytest.mark.stack
DATA = Path(__file__).parent / "data"


def _resources(pulumi: Pulumi) -> dict[str, dict[str, object]]:
    exported = json.loads(pulumi("stack", "export", "--show-secrets").stdout)
    return {item["urn"].rsplit("::")[-1]: item for item in exported["deployment"]["resources"]}


def test_a_stack_of_the_official_plugins_does_not_change(pulumi: Pulumi, tmp_path: Path) -> None:
    (tmp_path / "project" / "__main__.py").write_text((DATA / "program.py").read_text())
    pulumi("stack", "init", "official")
    pulumi("stack", "import", "--file", str(DATA / "state.json"))
    pulumi("preview", "--expect-no-changes")
    pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_new_stack_has_states_like_the_official_ones(pulumi: Pulumi, tmp_path: Path) -> None:
    (tmp_path / "project" / "__main__.py").write_text((DATA / "program.py").read_text())
    recorded = json.loads((DATA / "state.json").read_text())["deployment"]["resources"]
    pulumi("stack", "init", "official")
    pulumi("up", "--yes", "--skip-preview")
    ours = _resources(pulumi)
    for official in recorded:
        made = ours[official["urn"].rsplit("::")[-1]]
        assert set(official) <= set(made)
        assert made.get("inputs") == official.get("inputs")
        assert _shape(made.get("outputs")) == _shape(official.get("outputs"))
    pulumi("preview", "--expect-no-changes")
    pulumi("destroy", "--yes", "--skip-preview")


def test_changes_replace_update_and_destroy(pulumi: Pulumi, tmp_path: Path) -> None:
    program = """
import pulumi, pulumi_random as random
from pulumi_command import local
size, trigger = {size}, {trigger}
name = random.RandomString("name", length=size, special=False)
command = local.Command("run", create=pulumi.Output.concat("echo ", name.result),
    delete="echo gone >> {log}", triggers=[trigger])
pulumi.export("said", command.stdout)
pulumi.export("name", name.result)
"""
    log = tmp_path / "log"
    main = tmp_path / "project" / "__main__.py"
    main.write_text(program.format(size=4, trigger=1, log=log))
    pulumi("stack", "init", "official")
    pulumi("up", "--yes")
    outputs = json.loads(pulumi("stack", "output", "--json").stdout)
    assert outputs["said"] == outputs["name"]
    main.write_text(program.format(size=5, trigger=1, log=log))
    preview = pulumi("preview", "--diff").stdout
    assert "length: 4 => 5" in preview
    assert "1 to update" in preview
    assert "1 to replace" in preview
    pulumi("up", "--yes", "--skip-preview")
    assert not log.exists()
    main.write_text(program.format(size=5, trigger=2, log=log))
    pulumi("up", "--yes", "--skip-preview")
    assert log.read_text() == "gone\n"
    pulumi("destroy", "--yes", "--skip-preview")
    assert log.read_text() == "gone\ngone\n"


def test_remote_command_and_copy(
    pulumi: Pulumi, tmp_path: Path, remote_machine: RemoteMachine
) -> None:
    (tmp_path / "connection.json").write_text(json.dumps(remote_machine.connection()))
    (tmp_path / "project" / "__main__.py").write_text(f"""
import json, pulumi
from pulumi_command import remote
given = json.load(open({str(tmp_path / "connection.json")!r}))
connection = remote.ConnectionArgs(host=given["host"], port=given["port"], user=given["user"],
    private_key=given["privateKey"], host_key=given["hostKey"])
copy = remote.CopyToRemote("copy", connection=connection, remote_path={str(tmp_path / "there")!r},
    source=pulumi.StringAsset("hello"))
remote.Command("run", connection=connection, create="cat {tmp_path}/there",
    opts=pulumi.ResourceOptions(depends_on=[copy]))
""")
    pulumi("stack", "init", "official")
    shown = pulumi("up", "--yes").stdout
    assert "PRIVATE KEY" not in shown
    assert "hello" in json.dumps(_resources(pulumi)["run"]["outputs"])
    plain = pulumi("stack", "export").stdout
    assert "PRIVATE KEY" not in plain
    pulumi("preview", "--expect-no-changes")
    pulumi("destroy", "--yes", "--skip-preview")


def _shape(value: object) -> object:
    if isinstance(value, dict):
        if "plaintext" in value:
            return "secret"
        return {name: _shape(item) for name, item in value.items()}
    return type(value).__name__
