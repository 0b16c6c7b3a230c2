"""What a few nodes get, as a person reads it. `KINDLING_UPDATE_GOLDEN=1 pytest ...` writes anew."""

import json
import os
from pathlib import Path

import pytest

from kindling.models.cluster import Dhcp, Proxy, Updates
from kindling.rendering.boot_files import BootFilesPlan, render_boot_files
from kindling.rendering.nodes import render_node
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.ignition import content
from tests.fakes.plans import make_plan, make_sysext

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
PLANS = {
    "dhcp-worker": make_plan(),
    "static-load-balancer": make_plan(
        role="load-balancer",
        sysexts=(make_sysext("keepalived", "2.3.1"),),
        network={
            "ethernets": {
                "eth0": {
                    "addresses": ["192.0.2.5/24", "2001:db8::5/64"],
                    "gateway": "192.0.2.1",
                    "gateway6": "2001:db8::1",
                    "nameservers": {"addresses": ["192.0.2.53"], "search": ["example.com"]},
                }
            }
        },
        updates=Updates(strategy="reboot"),
    ),
    "bonded-control-plane": make_plan(
        arch="arm64",
        role="control-plane",
        generation=3,
        macAddress=["52:54:00:00:00:01", "52:54:00:00:00:02"],
        proxy=Proxy(http="http://proxy.example.com:3128"),
        network={
            "bonds": {
                "bond0": {
                    "interfaces": ["enp1s0", "enp2s0"],
                    "mode": "802.3ad",
                    "mtu": 9000,
                    "parameters": {"lacpRate": "fast", "transmitHashPolicy": "layer3+4"},
                }
            },
            "vlans": {
                "cluster": {
                    "id": 120,
                    "link": "bond0",
                    "addresses": ["192.0.2.11/24"],
                    "gateway": "192.0.2.1",
                    "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.254", "metric": 50}],
                }
            },
        },
        kernelArguments={"shouldExist": ["intel_iommu=on"]},
        kernelParameters={"vm.max_map_count": 262144},
        storage={
            "installDisk": "/dev/disk/by-id/nvme-example",
            "files": [{"path": "/etc/motd", "mode": "0644", "contents": {"inline": "hello\n"}}],
        },
        preInstallCommands=["nvme format /dev/nvme0n1"],
    ),
}
BOOT = BootFilesPlan(
    stack="test",
    cluster="example",
    base_url="http://192.0.2.2:8080",
    dhcp=Dhcp.model_validate(
        {
            "interface": "eth0",
            "subnet": "192.0.2.0/24",
            "range": {"start": "192.0.2.100", "end": "192.0.2.200"},
            "gateway": "192.0.2.1",
        }
    ),
)


def check(path, text):
    file = GOLDEN / path
    if os.environ.get("KINDLING_UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{path} differs; is the change meant?"


# Their text is not repeated: the templates are it.
TEMPLATES = {"/opt/kindling/install", "/opt/kindling/report"}


def readable(ignition, digest):
    """The document with its data URLs written out as lists of lines."""
    document = json.loads(ignition)
    for entry in document["storage"]["files"]:
        path, contents = entry["path"], entry["contents"]
        if path in TEMPLATES or path == "/opt/kindling/node.ign":
            entry["contents"] = "(not repeated here)"
        elif contents["source"].startswith("data:"):
            text = content(contents).decode().replace(digest, "(digest of node.ign)")
            entry["contents"] = text.splitlines()
    for unit in document["systemd"]["units"]:
        if "contents" in unit:
            unit["contents"] = unit["contents"].splitlines()
    return document


@pytest.mark.parametrize("name", PLANS)
def test_a_node_gets_what_the_golden_file_says(name):
    rendered = render_node(PLANS[name], NodeSecrets.placeholder(PLANS[name]))
    shown = {
        "boot": json.loads(rendered.boot.to_json()),
        "node": readable(rendered.node_ignition, rendered.digest),
        "installer": readable(rendered.ignition, rendered.digest),
        "secretFiles": sorted(rendered.secret_files),
        "files": sorted(rendered.files),
    }
    check(f"nodes/{name}.json", json.dumps(shown, indent=1) + "\n")


def test_boot_files_are_what_the_golden_files_say():
    for path, body in render_boot_files(BOOT).items():
        check(f"boot/{path}", body.decode())
