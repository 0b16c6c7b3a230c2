"""What a Flatcar node gets, read back from the Ignition that Butane made."""

import hashlib
import json

import pytest

from kindling.errors import RenderError
from kindling.models.cluster import Proxy, Updates
from kindling.models.credentials import Credentials
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.ignition import file_text
from tests.fakes.plans import SSH_KEY, make_plan, make_sysext

SECRETS = NodeSecrets.derive(Credentials(stack="secret"), "node-1.example.com", 1)


def render(**fields):
    return render_node(make_plan(**fields), SECRETS)


def units(rendered):
    return {unit["name"]: unit for unit in json.loads(rendered.node_ignition)["systemd"]["units"]}


def links(rendered):
    return {
        link["path"]: link["target"]
        for link in json.loads(rendered.node_ignition)["storage"]["links"]
    }


def test_each_extension_is_fetched_from_the_boot_server_verified_and_linked():
    rendered = render()
    path = "/opt/extensions/containerd/containerd-2.0.5-x86-64.raw"
    files = json.loads(rendered.node_ignition)["storage"]["files"]
    contents = next(each for each in files if each["path"] == path)["contents"]
    assert contents["source"] == (
        "http://192.0.2.2:8080/assets/extensions/containerd-2.0.5-x86-64.raw"
    )
    assert contents["verification"] == {"hash": "sha256-" + "a" * 64}
    assert links(rendered)["/etc/extensions/containerd.raw"] == path


def test_every_remote_file_has_a_digest():
    source = {"source": "https://example.com/tool", "sha256": "b" * 64}
    rendered = render(
        storage={"installDisk": "/dev/sda", "files": [{"path": "/opt/tool", "contents": source}]}
    )
    remote = [
        each["contents"]
        for each in json.loads(rendered.node_ignition)["storage"]["files"]
        if each["contents"].get("source", "").startswith("http")
    ]
    assert len(remote) == 3
    assert all(each["verification"]["hash"].startswith("sha256-") for each in remote)


def test_flatcars_own_docker_and_containerd_are_off():
    made = links(render())
    assert made["/etc/extensions/docker-flatcar.raw"] == "/dev/null"
    assert made["/etc/extensions/containerd-flatcar.raw"] == "/dev/null"


def test_without_updates_the_update_services_are_masked():
    made = units(render())
    masked = {name for name, unit in made.items() if unit.get("mask")}
    assert masked == {
        "locksmithd.service",
        "systemd-sysupdate-reboot.timer",
        "systemd-sysupdate.timer",
        "update-engine.service",
    }


def test_with_updates_nothing_is_masked_and_flatcar_is_told_group_and_strategy():
    rendered = render(updates=Updates(strategy="reboot", group="beta"))
    assert not any(unit.get("mask") for unit in units(rendered).values())
    assert file_text(rendered.node_ignition, "/etc/flatcar/update.conf") == (
        "GROUP=beta\nREBOOT_STRATEGY=reboot\n"
    )


def test_etcd_lock_is_refused_with_its_reason():
    with pytest.raises(RenderError, match=r"node-1\.example\.com.*etcd-lock needs etcd endpoints"):
        render(updates=Updates(strategy="etcd-lock"))


@pytest.mark.parametrize(
    ("containerd", "kubernetes", "version", "pause"),
    [
        ("1.7.27", "1.30.4", "version = 2", "pause:3.9"),
        ("2.0.5", "1.33.6", "version = 3", "pause:3.10"),
        ("2.1.4", "1.34.1", "version = 3", "pause:3.10.1"),
        ("2.1.4", "1.99.0", "version = 3", "pause:3.10.2"),
    ],
)
def test_containerd_gets_the_configuration_of_its_version_and_the_pause_of_kubernetes(
    containerd, kubernetes, version, pause
):
    sysexts = (make_sysext("containerd", containerd), make_sysext("kubernetes", kubernetes))
    text = file_text(render(sysexts=sysexts).node_ignition, "/etc/containerd/config.toml")
    assert version in text
    assert f'"registry.k8s.io/{pause}"' in text
    assert "SystemdCgroup = true" in text


def test_a_node_without_containerd_gets_no_configuration_for_it():
    rendered = render(sysexts=(make_sysext("keepalived", "2.3.1"),))
    assert "/etc/containerd/config.toml" not in rendered.files
    assert "systemd/containerd.service" not in rendered.files


def test_a_proxy_reaches_containerd_but_not_what_is_inside_the_cluster():
    proxy = Proxy(http="http://proxy.example.com:3128", no_proxy=("10.0.0.0/8",))
    rendered = render(proxy=proxy)
    text = file_text(rendered.node_ignition, "/etc/kindling/proxy.env")
    variables = dict(line.split("=", 1) for line in text.splitlines())
    assert variables["HTTP_PROXY"] == variables["http_proxy"] == "http://proxy.example.com:3128"
    assert variables["NO_PROXY"].split(",") == [
        *("10.0.0.0/8", "localhost", "127.0.0.1", "::1", ".svc", ".cluster.local", "192.0.2.2")
    ]
    dropin = units(rendered)["containerd.service"]["dropins"][0]["contents"]
    assert "EnvironmentFile=/etc/kindling/proxy.env" in dropin


def test_kernel_parameters_join_ours_and_win():
    text = file_text(
        render(kernelParameters={"vm.swappiness": 1, "net.ipv4.ip_forward": 0}).node_ignition,
        "/etc/sysctl.d/90-kindling.conf",
    )
    assert "vm.swappiness = 1\n" in text
    assert "net.ipv4.ip_forward = 0\n" in text
    assert "net.ipv4.ip_forward = 1" not in text
    assert "net.bridge.bridge-nf-call-iptables = 1\n" in text


def test_the_clusters_keys_join_those_that_the_node_gives_core():
    other = SSH_KEY.replace("operator", "second").replace("Fake", "Face")
    rendered = render(passwd={"users": [{"name": "core", "sshAuthorizedKeys": [other, SSH_KEY]}]})
    users = json.loads(rendered.node_ignition)["passwd"]["users"]
    assert users == [{"name": "core", "sshAuthorizedKeys": [SSH_KEY, other]}]


def test_a_file_of_the_node_replaces_ours():
    path = "/etc/containerd/config.toml"
    own = {"path": path, "contents": {"inline": "version = 3\n"}}
    rendered = render(storage={"installDisk": "/dev/sda", "files": [own]})
    assert file_text(rendered.node_ignition, path) == "version = 3\n"


def test_a_file_where_kindling_keeps_its_own_is_refused():
    own = {"path": "/etc/kindling/status.token", "contents": {"inline": "x"}}
    with pytest.raises(
        RenderError, match=r"storage\.files\[0\]\.path: /etc/kindling/status\.token"
    ):
        render(storage={"installDisk": "/dev/sda", "files": [own]})


def test_dropins_of_the_node_join_ours_and_its_wishes_win():
    rendered = render(
        systemd={
            "units": [
                {
                    "name": "containerd.service",
                    "dropins": [{"name": "20-x.conf", "contents": "[Service]\n"}],
                },
                {"name": "update-engine.service", "mask": False},
            ]
        }
    )
    dropins = units(rendered)["containerd.service"]["dropins"]
    assert [each["name"] for each in dropins] == ["10-kindling.conf", "20-x.conf"]
    assert not units(rendered)["update-engine.service"].get("mask")


def test_the_reporter_cannot_be_changed():
    with pytest.raises(RenderError, match=r"kindling-report\.service is Kindling's own"):
        render(systemd={"units": [{"name": "kindling-report.service", "mask": True}]})


def test_kernel_arguments_are_in_ignition_and_with_the_installer_so_no_restart_is_needed():
    wanted = {"shouldExist": ["quiet", "intel_iommu=on"], "shouldNotExist": ["debug"]}
    rendered = render(kernelArguments=wanted)
    assert json.loads(rendered.node_ignition)["kernelArguments"] == wanted
    assert "KINDLING_OEM_ARGUMENTS='quiet intel_iommu=on'" in file_text(
        rendered.ignition, "/opt/kindling/install.env"
    )


def test_storage_is_butanes_own():
    storage = {
        "installDisk": "/dev/sda",
        "disks": [
            {
                "device": "/dev/sda",
                "partitions": [
                    {"number": 9, "label": "ROOT", "sizeMib": 20000, "resize": True},
                    {"number": 10, "label": "data"},
                ],
            }
        ],
        "raid": [{"name": "data", "level": "raid1", "devices": ["/dev/sdb", "/dev/sdc"]}],
        "luks": [{"name": "vault", "device": "/dev/sdd", "clevis": {"tpm2": True}}],
        "filesystems": [
            {"device": "/dev/md/data", "format": "ext4", "path": "/data", "withMountUnit": True}
        ],
        "directories": [{"path": "/data/a", "mode": "0700", "user": "core"}],
        "links": [{"path": "/d", "target": "/data"}],
    }
    rendered = render(storage=storage)
    made = json.loads(rendered.node_ignition)["storage"]
    assert made["disks"][0]["partitions"][0]["sizeMiB"] == 20000
    assert made["luks"][0]["clevis"] == {"tpm2": True}
    assert made["directories"][0]["user"] == {"name": "core"}
    assert made["directories"][0]["mode"] == 0o700
    for name in ("storage//dev/sda", "storage//dev/md/data", "storage/data", "storage//dev/sdd"):
        assert name in rendered.files


def test_the_installer_carries_the_nodes_ignition_whose_digest_it_will_report():
    rendered = render()
    inside = file_text(rendered.ignition, "/opt/kindling/node.ign").encode()
    assert inside == rendered.node_ignition
    assert hashlib.sha256(inside).hexdigest() == rendered.digest
    assert f"KINDLING_DIGEST={rendered.digest}\n" in file_text(
        rendered.ignition, "/opt/kindling/install.env"
    )
    assert hashlib.sha256(rendered.ignition).hexdigest() == rendered.ignition_digest


def test_the_nodes_ignition_is_compressed_and_its_scripts_are_executable():
    files = {each["path"]: each for each in json.loads(render().ignition)["storage"]["files"]}
    assert files["/opt/kindling/node.ign"]["contents"]["compression"] == "gzip"
    for name in ("install", "pre-install", "post-install"):
        assert files[f"/opt/kindling/{name}"]["mode"] == 0o755
    for name in ("status.token", "install.env", "node.ign"):
        assert files[f"/opt/kindling/{name}"]["mode"] == 0o600


def test_the_installer_of_a_static_node_keeps_its_network_after_the_initramfs():
    network = {"ethernets": {"eth0": {"addresses": ["192.0.2.5/24"], "gateway": "192.0.2.1"}}}
    rendered = render(network=network)
    path = "/etc/systemd/network/10-eth0.network"
    assert file_text(rendered.ignition, path) == file_text(rendered.node_ignition, path)


def test_a_static_node_has_one_and_the_same_ip_argument_at_both_boots():
    network = {"ethernets": {"eth0": {"addresses": ["192.0.2.5/24"], "gateway": "192.0.2.1"}}}
    rendered = render(network=network)
    expected = "ip=192.0.2.5::192.0.2.1:255.255.255.0:node-1.example.com:e*:none"
    assert [each for each in rendered.boot.arguments if each.startswith("ip=")] == [expected]
    settings = file_text(rendered.ignition, "/opt/kindling/install.env")
    assert f"KINDLING_OEM_ARGUMENTS='{expected}'\n" in settings
    reporter = file_text(rendered.node_ignition, "/etc/kindling/node.env")
    assert f"KINDLING_FIRST_BOOT_ARGUMENTS='{expected}'\n" in reporter


def test_the_installer_starts_flatcars_pxe_image_of_the_pinned_version():
    boot = render(arch="arm64").boot
    directory = "assets/flatcar/arm64/4230.2.3"
    assert boot.kernel == f"{directory}/flatcar_production_pxe.vmlinuz"
    assert boot.initrds == (f"{directory}/flatcar_production_pxe_image.cpio.gz",)
    assert "flatcar.first_boot=1" in boot.arguments
    assert not any("initrd=" in each or "ignition.config.url" in each for each in boot.arguments)


def test_consoles_of_the_node_replace_the_installers():
    boot = render(kernelArguments={"shouldExist": ["console=ttyS1,57600n8"]}).boot
    assert [each for each in boot.arguments if each.startswith("console=")] == [
        "console=ttyS1,57600n8"
    ]


def test_commands_of_the_node_run_in_order_and_stop_at_the_first_failure():
    rendered = render(preInstallCommands=["echo one", "echo two"])
    text = file_text(rendered.ignition, "/opt/kindling/pre-install")
    assert text.endswith("set -euo pipefail\necho one\necho two\n")


def test_equal_plans_give_equal_bytes():
    assert render() == render()


def test_different_secrets_change_exactly_the_secret_files():
    secrets = NodeSecrets.derive(Credentials(stack="other"), "node-1.example.com", 1)
    other = render_node(make_plan(), secrets)
    first = render()
    changed = {name for name in first.files if first.files[name] != other.files[name]}
    assert changed == first.secret_files
    assert set(first.files) == set(other.files)


def test_a_changed_address_changes_exactly_what_carries_it():
    def with_address(address):
        return render(network={"ethernets": {"eth0": {"addresses": [address]}}}).files

    first, second = with_address("192.0.2.5/24"), with_address("192.0.2.6/24")
    assert {name for name in first if first[name] != second[name]} == {
        "/etc/kindling/node.env",
        "/etc/systemd/network/10-eth0.network",
        "install/kernel-arguments",
        "install/settings",
    }


def test_placeholders_are_provisional_exactly_where_secrets_would_be():
    rendered = render_node(make_plan(), NodeSecrets.placeholder(make_plan()))
    assert rendered.provisional == rendered.secret_files
    assert rendered.provisional <= set(rendered.files)
    assert render().provisional == frozenset()


def test_an_unlocked_extension_is_provisional():
    rendered = render(sysexts=(make_sysext("containerd", "2.0.5", sha256=None),))
    assert rendered.provisional == {"/opt/extensions/containerd/containerd-2.0.5-x86-64.raw"}


def test_the_token_is_in_no_name_and_not_in_the_document():
    rendered = render()
    document = rendered.document(make_plan(), "secret")
    assert SECRETS.status_token not in document.to_json().decode() + repr(rendered.files)
    assert SECRETS.status_token not in repr(SECRETS)
    expected = hashlib.sha256(SECRETS.status_token.encode()).hexdigest()
    assert document.status_tokens == {1: expected}


def test_the_document_appends_itself_to_the_history_once():
    rendered = render()
    plan = make_plan()
    first = rendered.document(plan, "secret")
    assert rendered.document(plan, "secret", first.history) == first
    assert [(each.generation, each.digest) for each in first.history] == [(1, rendered.digest)]
