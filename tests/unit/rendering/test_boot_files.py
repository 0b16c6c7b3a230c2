"""What machines meet first: the iPXE entry, dnsmasq's configuration, the site document."""

import json
import os
import subprocess

import pytest

from kindling.models.cluster import Dhcp
from kindling.rendering.boot_files import BootFilesPlan, boot_file_paths, render_boot_files
from kindling.templating import render

DHCP = {
    "interface": "lo",
    "subnet": "192.0.2.0/24",
    "range": {"start": "192.0.2.100", "end": "192.0.2.200"},
    "gateway": "192.0.2.1",
    "nameservers": ["192.0.2.53", "192.0.2.54"],
}


def make(**fields):
    dhcp = fields.pop("dhcp", DHCP)
    return BootFilesPlan(
        stack="prod",
        cluster="example",
        base_url="http://192.0.2.2:8080",
        dhcp=dhcp and Dhcp.model_validate(dhcp),
        **fields,
    )


def texts(**fields):
    return {path: body.decode() for path, body in render_boot_files(make(**fields)).items()}


def test_the_paths_are_known_without_rendering():
    for dhcp in (None, DHCP, {"subnet": "192.0.2.0/24"}):
        plan = make(dhcp=dhcp)
        assert boot_file_paths(plan) == tuple(sorted(render_boot_files(plan)))


def test_full_dhcp_needs_a_range_and_any_dhcp_the_segments_facts():
    assert set(texts(dhcp=None)) == {"boot.ipxe", "sites/prod.json", "dnsmasq/boot.conf"}
    assert "dnsmasq/dhcp.conf" not in texts(dhcp={"subnet": "192.0.2.0/24"})
    assert "dnsmasq/dhcp.conf" in texts()


def test_the_same_plan_gives_the_same_bytes():
    assert render_boot_files(make()) == render_boot_files(make())


def test_the_site_document_says_what_the_boot_server_must_know():
    site = json.loads(texts(public_page=True)["sites/prod.json"])
    assert site["stack"] == "prod"
    assert site["baseUrl"] == "http://192.0.2.2:8080"
    assert site["publicPage"] is True


@pytest.mark.parametrize("dhcp", [DHCP, {"subnet": "192.0.2.0/24"}, None])
def test_dnsmasq_itself_accepts_every_configuration(dhcp, tmp_path):
    environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    rendered = texts(dhcp=dhcp)
    for path, text in rendered.items():
        if not path.startswith("dnsmasq/"):
            continue
        # The directory of TFTP must exist for dnsmasq, and it does on the machine that serves it.
        file = tmp_path / path.rsplit("/", 1)[-1]
        file.write_text(text.replace("/srv/kindling/tftp", str(tmp_path)))
        done = subprocess.run(
            ["dnsmasq", "--test", "-C", str(file)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{path}: {done.stderr}"


@pytest.mark.parametrize("name", ["boot", "dhcp", "proxy-dhcp"])
def test_ipxe_gets_the_script_and_firmware_gets_ipxe(name):
    lines = texts()[f"dnsmasq/{name}.conf"].splitlines()
    for line in (
        "dhcp-boot=tag:ipxe,http://192.0.2.2:8080/boot.ipxe",
        "dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe",
        "dhcp-boot=tag:!ipxe,tag:efi-x86-64,ipxe-x86-64.efi",
        "dhcp-boot=tag:!ipxe,tag:efi-arm64,ipxe-arm64.efi",
        "dhcp-boot=tag:!ipxe,tag:http-arm64,http://192.0.2.2:8080/assets/ipxe/ipxe-arm64.efi",
        "dhcp-option-force=tag:!ipxe,tag:http-x86-64,60,HTTPClient",
    ):
        assert line in lines


def test_every_client_architecture_is_told_apart():
    text = texts()["dnsmasq/boot.conf"]
    for number, tag in (
        (0, "bios"),
        (7, "efi-x86-64"),
        (9, "efi-x86-64"),
        (11, "efi-arm64"),
        (16, "http-x86-64"),
        (19, "http-arm64"),
    ):
        assert f"dhcp-match=set:{tag},option:client-arch,{number}\n" in text


def test_full_dhcp_tells_addresses_router_and_name_servers():
    text = texts()["dnsmasq/dhcp.conf"]
    assert "dhcp-range=192.0.2.100,192.0.2.200,255.255.255.0,1h\n" in text
    assert "dhcp-option=option:router,192.0.2.1\n" in text
    assert "dhcp-option=option:dns-server,192.0.2.53,192.0.2.54\n" in text


def test_proxy_dhcp_gives_no_addresses():
    text = texts()["dnsmasq/proxy-dhcp.conf"]
    assert "dhcp-range=192.0.2.0,proxy,255.255.255.0\n" in text
    assert "option:router" not in text


def test_the_entry_detects_the_architecture_even_where_ipxe_calls_itself_i386():
    text = texts()["boot.ipxe"]
    assert text.startswith("#!ipxe\n")
    assert "set arch ${buildarch}\n" in text
    assert "cpuid --ext 29 && set arch x86_64 ||\n" in text


def test_the_entry_asks_with_all_that_identifies_the_machine():
    line = next(each for each in texts()["boot.ipxe"].splitlines() if each.startswith("set script"))
    assert line == (
        "set script http://192.0.2.2:8080/boot/${netX/mac:hexhyp}?arch=${arch}"
        "&platform=${platform}&manufacturer=${manufacturer:uristring}"
        "&product=${product:uristring}&serial=${serial:uristring}"
    )


def installing(**values):
    return render(
        "ipxe/install.ipxe",
        **{
            "hostname": "node-1.example.com",
            "generation": 2,
            "base_url": "http://192.0.2.2:8080",
            "kernel": "assets/flatcar/x86-64/1/flatcar_production_pxe.vmlinuz",
            "initrds": ["assets/flatcar/x86-64/1/flatcar_production_pxe_image.cpio.gz"],
            "arguments": ["flatcar.first_boot=1", "console=ttyS0"],
            "ignition_url": "http://192.0.2.2:8080/ignition/m?token=t",
            **values,
        },
    )


def test_the_kernel_line_names_the_initrd_and_the_ignition():
    assert (
        "kernel http://192.0.2.2:8080/assets/flatcar/x86-64/1/flatcar_production_pxe.vmlinuz "
        "initrd=flatcar_production_pxe_image.cpio.gz flatcar.first_boot=1 console=ttyS0 "
        "ignition.config.url=http://192.0.2.2:8080/ignition/m?token=t || goto wait1\n"
    ) in installing()


@pytest.mark.parametrize(
    "script",
    [
        installing(),
        render("ipxe/disk.ipxe", hostname=None, reason="installed"),
        render("ipxe/stop.ipxe", reason="held"),
        render("ipxe/boot.ipxe", base_url="http://192.0.2.2:8080"),
    ],
    ids=["install", "disk", "stop", "boot"],
)
def test_every_script_is_plain_ascii_ends_at_the_disk_and_jumps_only_to_labels_it_has(script):
    assert script.isascii()
    assert script.startswith("#!ipxe\n")
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert lines[-5:] == [
        ":disk",
        "iseq ${platform} efi && goto leave ||",
        "sanboot --no-describe --drive 0x80 ||",
        ":leave",
        "exit 1",
    ]
    labels = {line[1:] for line in lines if line.startswith(":")}
    words = [line.split() for line in lines]
    jumps = {each[at + 1] for each in words for at, word in enumerate(each) if word == "goto"}
    assert jumps <= labels
    assert labels <= jumps | {"disk"}
    assert len(labels) == sum(line.startswith(":") for line in lines)
