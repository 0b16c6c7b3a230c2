"""The cluster's credentials with the real command line: made once, kept secret, made anew."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling.models.credentials import Authorities
from kindling.pki.certificates import AUTHORITY_LIFE, make_authority
from tests.fakes.kubeadm import make_certificates, verify, write_authorities
from tests.fakes.pulumi import Project
from tests.fakes.server import Server
from tests.stack.conftest import HOST

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

_SECRET = "4dabf18193072939515e22adb298388d"  # what Pulumi's state marks a secret with


def resources(project: Project) -> dict[str, dict[str, Any]]:
    """Decrypted outputs by the resource's name."""
    exported = json.loads(project.pulumi("stack", "export", "--show-secrets"))
    listed = exported["deployment"]["resources"]
    return {each["urn"].split("::")[-1]: revealed(each.get("outputs", {})) for each in listed}


def revealed(value: Any) -> Any:
    """A value without the marks of secrets."""
    if isinstance(value, dict) and _SECRET in value:
        return json.loads(value["plaintext"])
    if isinstance(value, dict):
        return {key: revealed(each) for key, each in value.items()}
    return value


def credentials(project: Project) -> dict[str, str]:
    """Everything that must not change by the way."""
    found = resources(project)
    authorities = Authorities.model_validate_json(found["authorities"]["authorities"])
    made = {name: getattr(authorities, name) for name in type(authorities).model_fields}
    drawn = ("secret", "bootstrap-token", "encryption-key", "vrrp-password")
    passwords = {name: found[name]["result"] for name in drawn}
    return made | passwords | {"admin": found["admin"]["credential"]}


def kubeconfig(project: Project) -> dict[str, Any]:
    """The kubeconfig that another stack, or a person, gets."""
    text = project.pulumi("stack", "output", "kubeconfig", "--show-secrets")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def plain_places(project: Project, shown: str) -> list[str]:
    """Where a secret stands in plain text: in any file of the backend, or in what was shown."""
    found = resources(project)
    authorities = Authorities.model_validate_json(found["authorities"]["authorities"])
    pairs = (authorities.kubernetes, authorities.front_proxy, authorities.etcd)
    keys = [*(pair.key for pair in pairs), authorities.service_account_key]
    keys.append(json.loads(found["admin"]["credential"])["key"])
    secrets = {line for key in keys for line in key.splitlines()[1:3]}
    secrets |= {base64.b64encode(key.encode()).decode()[100:160] for key in keys}
    names = ("secret", "bootstrap-token", "encryption-key", "vrrp-password")
    secrets |= {found[name]["result"] for name in names}
    files = [each for each in (project.directory / "state").rglob("*") if each.is_file()]
    texts = {str(file): file.read_text() for file in files} | {"shown": shown}
    assert len(files) > 2
    return [
        name
        for name, text in texts.items()
        if any(each in text for each in (*secrets, "PRIVATE KEY"))
    ]


def test_credentials_are_made_once_and_not_again_by_another_change(small: Project) -> None:
    """Another cluster name, endpoint, label and machine: the kubeconfig's text follows."""
    small.up("--skip-preview")
    before, config = credentials(small), kubeconfig(small)
    assert config["clusters"][0]["cluster"]["server"] == f"https://{HOST}:6443"
    outputs = small.outputs()
    assert outputs["endpoint"] == {"host": HOST, "port": 6443, "url": f"https://{HOST}:6443"}
    assert outputs["networks"]["podSubnet"] == "10.244.0.0/16"
    assert outputs["versions"]["kubernetes"] == "1.33.6"
    assert outputs["nodes"][0]["address"] == "192.0.2.11"
    trusted = config["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(trusted).decode() == outputs["caCertificate"]
    assert small.plan() == {}

    small.cluster["name"] = "renamed"
    small.cluster["kubernetes"]["endpoint"] = {"host": "other.example", "port": 443}
    small.cluster["nodes"][1]["labels"] = {"example.com/new": "label"}
    small.cluster["nodes"].append(
        {"hostname": "worker2.demo.example", "macAddress": "525400de0007", "role": "worker"}
    )
    assert not [name for name in small.plan() if "Password" in name or "Credential" in name]
    small.up("--skip-preview")
    assert credentials(small) == before
    after = kubeconfig(small)
    assert after["clusters"][0]["cluster"]["server"] == "https://other.example:443"
    assert after["users"][0]["user"] == config["users"][0]["user"]
    assert after["current-context"] == "admin@renamed"


def ignitions(server: Server) -> dict[str, bytes]:
    """What machines would be installed with."""
    return {file.name: file.read_bytes() for file in Path(server.directory).glob("nodes/*.ign")}


def test_a_rotation_makes_everything_anew_and_nothing_is_ever_in_plain_text(
    small: Project, server: Server, tmp_path: Path
) -> None:
    """It says what it means, and no generation rises by itself; the documented way back works.

    Neither a file of the backend nor what is shown has a credential, through a whole life.
    """
    shown = small.preview() + small.up("--skip-preview") + small.refresh()
    assert plain_places(small, shown) == []
    before, published = credentials(small), ignitions(server)
    small.pulumi("stack", "export", "--file", str(tmp_path / "before.json"))
    small.cluster["credentials"] = {"rotation": 2}
    shown = small.preview()
    assert "warning: demo: rotation 1 -> 2: every authority, key and credential is made" in shown
    assert '=> "rotation 1 -> 2: every authority' in shown
    assert "No machine is installed again until its generation rises" in shown
    shown += small.up("--skip-preview") + small.refresh()
    after = credentials(small)
    kept = [name for name in before if before[name] == after[name]]
    assert kept == ["secret", "encryption-key"]
    assert [node["generation"] for node in small.outputs()["nodes"]] == [1, 1]
    exported = small.pulumi("stack", "export", "--show-secrets")
    assert plain_places(small, exported) == ["shown"], "what is looked for is what there is"
    assert plain_places(small, shown + small.pulumi("stack", "export")) == []
    assert "rotation 1 -> 2" not in small.preview()
    assert not set(ignitions(server).values()) & set(published.values())

    del small.cluster["credentials"]
    small.pulumi("stack", "import", "--file", str(tmp_path / "before.json"))
    small.refresh()
    small.up("--skip-preview")
    assert credentials(small) == before
    assert ignitions(server) == published


def test_an_admin_credential_near_its_end_is_made_anew_alone(
    small: Project, tmp_path: Path
) -> None:
    """No machine changes with it: machines do not have it."""
    small.up("--skip-preview")
    before = credentials(small)
    age(small, tmp_path / "state.json", days=320)
    assert "the admin credential in the kubeconfig ends on" in small.preview()
    assert small.plan() == {"AdminCredential admin": "update"}
    small.up("--skip-preview")
    after = credentials(small)
    assert after.pop("admin") != before.pop("admin")
    assert after == before
    assert small.plan() == {}


def age(project: Project, file: Path, *, days: int) -> None:
    """Let the admin credential have been issued so long ago, as far as the state knows."""
    project.pulumi("stack", "export", "--file", str(file))
    state = json.loads(file.read_text())
    (admin,) = (
        each for each in state["deployment"]["resources"] if each["urn"].endswith("::admin")
    )
    issued = f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"
    for part in ("inputs", "outputs"):
        admin[part]["issued"] = issued
    file.write_text(json.dumps(state))
    project.pulumi("stack", "import", "--file", str(file))


def set_secret(project: Project, key: str, value: str) -> None:
    """``pulumi config set --secret --path KEY < FILE``, as documentation and messages say."""
    project.write()
    command = project.command("config", "set", "--secret", "--path", key)
    subprocess.run(
        command,
        cwd=project.directory,
        env=project.full_environment(),
        input=value,
        text=True,
        check=True,
        capture_output=True,
    )
    stack_file = yaml.safe_load((project.directory / f"Pulumi.{project.stack}.yaml").read_text())
    top = f"kindling:{key.removeprefix('kindling:').partition('.')[0]}"
    project.configuration[top] = stack_file["config"][top]


def test_authorities_that_are_brought_in_are_used_and_stay_secret(
    small: Project, tmp_path: Path
) -> None:
    """Set as the documentation says; the other authorities are the stack's; kubeadm takes all."""
    own = make_authority("kubernetes", datetime.now(UTC) - AUTHORITY_LIFE + timedelta(days=200))
    set_secret(small, "authorities.kubernetes.certificate", own.certificate)
    set_secret(small, "kindling:authorities.kubernetes.key", own.key)
    shown = small.preview() + small.up("--skip-preview")
    made = Authorities.model_validate_json(resources(small)["authorities"]["authorities"])
    assert made.kubernetes == own
    assert "The cluster's kubernetes authority ends on" in shown
    assert "The cluster's etcd authority ends on" not in shown
    assert plain_places(small, shown) == []
    write_authorities(tmp_path, made)
    make_certificates(tmp_path)
    verify(tmp_path / "pki" / "ca.crt", tmp_path / "pki" / "apiserver.crt", "sslserver")

    set_secret(small, "authorities.kubernetes.key", made.etcd.key)
    refused = small.preview(check=False)
    assert "kindling:authorities.kubernetes.key: does not belong to kubernetes.certif" in refused
    assert "Traceback" not in refused
    assert "PRIVATE KEY" not in refused

    del small.configuration["kindling:authorities"]
    shown = small.preview()
    assert "kubernetes: brought in, certificate" in shown
    assert "-> made by the stack; it must reach every control plane and worker" in shown


def test_secrets_of_the_configuration_must_be_encrypted_and_complete(small: Project) -> None:
    """Each refusal names the key and the command."""
    small.cluster["nodes"] = small.cluster["nodes"][:1]
    small.configuration["kindling:s3AccessKey"] = "plain"
    small.configuration["kindling:authorities"] = {"serviceAccount": {"key": "plain"}}
    refused = small.preview(check=False)
    assert "kindling:s3AccessKey: lies in the stack file in plain text" in refused
    assert "kindling:authorities: lies in the stack file in plain text" in refused
    assert "kindling:s3SecretKey: is missing, and its other half is given" in refused
    assert "pulumi config set --secret s3SecretKey" in refused

    for name in ("s3AccessKey", "authorities"):
        del small.configuration[f"kindling:{name}"]
    place = {"endpoint": "https://s3.example.com", "bucket": "snapshots"}
    small.cluster["etcd"] = {"snapshots": {"s3": place}}
    refused = small.preview(check=False)
    for name in ("s3AccessKey", "s3SecretKey"):
        assert f"kindling:{name}: is missing, and etcd.snapshots.s3 needs it: pulumi" in refused

    set_secret(small, "s3AccessKey", "the-access-key-of-the-test")
    set_secret(small, "s3SecretKey", "the-secret-key-of-the-test")
    shown = small.preview() + small.up("--skip-preview")
    assert "-key-of-the-test" not in shown + small.state()


def test_a_stack_without_kubernetes_has_no_credentials_and_may_get_them(small: Project) -> None:
    """The stack's own secret, from which machines' tokens come, is the same before and after."""
    version = small.cluster["assets"].pop("kubernetes")
    del small.cluster["kubernetes"]
    small.up("--skip-preview")
    outputs = small.outputs()
    assert {name: outputs.get(name) for name in ("kubeconfig", "endpoint", "caCertificate")} == {
        "kubeconfig": None,
        "endpoint": None,
        "caCertificate": None,
    }
    secret = resources(small)["secret"]["result"]
    assert not [name for name in resources(small) if name in ("authorities", "bootstrap-token")]
    small.cluster["assets"]["kubernetes"] = version
    small.cluster["kubernetes"] = {"endpoint": {"host": HOST}}
    small.up("--skip-preview")
    assert credentials(small)["secret"] == secret
