"""What a machine gets to serve the API's endpoint, by its role and by what the stack says."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from kindling.errors import RenderError
from kindling.models.plan import ImagePlan
from kindling.rendering.kubernetes.endpoint import endpoint_live, endpoint_part
from kindling.rendering.kubernetes.scripts import common_part
from kindling.rendering.secrets import NodeSecrets
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.credentials import VRRP_PASSWORD, make_credentials
from tests.fakes.field_tools import shellcheck, systemd_verify

CREDENTIALS = make_credentials()
PLANES = tuple(machine("control-plane", number) for number in (1, 2, 3))
BALANCERS = (machine("load-balancer", 1), machine("load-balancer", 2))
SHARED = {"endpoint": {"virtualAddress": "192.0.2.100/24"}}
SEARCHED = "/usr/sbin:/sbin:/usr/bin:/bin"
IMAGE = ImagePlan(
    name="docker.io/library/haproxy:3.2.22",
    path="assets/images/haproxy-3.2.22-x86-64.tar",
    sha256="b" * 64,
)


def with_image(plan):
    cluster = plan.kubernetes.model_copy(update={"haproxy": IMAGE})
    return plan.model_copy(update={"kubernetes": cluster})


def plans(*machines, **keys):
    made = cluster_plans(*machines, **keys)
    return {name: with_image(plan) if "lb" in name else plan for name, plan in made.items()}


def part_of(plan):
    return endpoint_part(plan, NodeSecrets("token", CREDENTIALS.of(plan)))


def paths(part):
    return {each.path for each in part.files}


def units(part):
    return {each.name: each for each in part.units}


def file(part, path):
    return next(each for each in part.files if each.path == path)


def variables(part):
    lines = file(part, "/etc/kindling/endpoint.env").content.splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_workers_and_planes_behind_balancers_get_nothing():
    found = plans(*PLANES, *BALANCERS, machine("worker"), kubernetes=SHARED)
    for host in ("cp1", "worker1"):
        assert part_of(found[host]) == type(part_of(found[host]))()
        assert endpoint_live(found[host]) == {}


def test_a_load_balancer_gets_haproxy_and_its_image_with_a_digest():
    part = part_of(plans(*PLANES, *BALANCERS, kubernetes=SHARED)["lb1"])
    assert {"/opt/kindling/balancer", "/opt/kindling/live.d/haproxy.cfg"} <= paths(part)
    assert {"kindling-haproxy.service", "kindling-balancer.service", "keepalived.service"} == {
        name for name, unit in units(part).items() if unit.enabled
    }
    [image] = part.downloads
    assert (image.store_path, image.sha256) == (IMAGE.path, IMAGE.sha256)
    assert variables(part)["KINDLING_HAPROXY_ARCHIVE"] == image.path
    assert variables(part)["KINDLING_HAPROXY_IMAGE"] == IMAGE.name


def test_a_load_balancer_without_an_image_names_the_key_to_give():
    plan = cluster_plans(PLANES[0], BALANCERS[0])["lb1"]
    assert plan.kubernetes
    cluster = plan.kubernetes.model_copy(update={"haproxy": None})
    with pytest.raises(RenderError, match=r"lb1.*assets\.haproxy.*give its version"):
        part_of(plan.model_copy(update={"kubernetes": cluster}))


def test_a_single_load_balancer_without_a_virtual_address_has_no_keepalived():
    part = part_of(plans(PLANES[0], BALANCERS[0])["lb1"])
    assert units(part)["keepalived.service"].mask
    assert "/etc/keepalived/authentication.conf" not in paths(part)
    assert set(endpoint_live(plans(PLANES[0], BALANCERS[0])["lb1"])) == {"haproxy.cfg"}


def test_control_planes_that_share_the_address_get_keepalived_alone():
    plan = plans(*PLANES, kubernetes=SHARED)["cp2"]
    part = part_of(plan)
    assert set(units(part)) == {"keepalived.service"}
    assert not part.downloads
    assert "/opt/kindling/balancer" not in paths(part)
    assert set(endpoint_live(plan)) == {"keepalived.conf"}


@pytest.mark.parametrize(("host", "port"), [("lb1", 8443), ("cp1", 6443)])
def test_the_check_asks_where_the_api_answers_on_this_machine(host, port):
    machines = (*PLANES, *BALANCERS) if host == "lb1" else PLANES
    keys = {"endpoint": {**SHARED["endpoint"], **({"port": 8443} if host == "lb1" else {})}}
    part = part_of(plans(*machines, kubernetes=keys)[host])
    text = file(part, "/opt/kindling/check-endpoint").content
    assert f"https://127.0.0.1:{port}/readyz" in text
    assert "--fail" in text


def test_the_password_is_in_one_secret_file_and_in_nothing_live():
    plan = plans(*PLANES, *BALANCERS, kubernetes=SHARED)["lb1"]
    part = part_of(plan)
    holding = [each for each in part.files if VRRP_PASSWORD in each.content]
    assert [each.path for each in holding] == ["/etc/keepalived/authentication.conf"]
    assert (holding[0].mode, holding[0].secret) == (0o600, True)
    assert VRRP_PASSWORD not in "".join(endpoint_live(plan).values())
    assert VRRP_PASSWORD not in repr(plan)


def test_priorities_are_distinct_and_fall_in_the_stacks_order():
    found = plans(*PLANES, *BALANCERS, kubernetes=SHARED)
    texts = [endpoint_live(found[host])["keepalived.conf"] for host in ("lb1", "lb2")]
    first, second = (int(re.findall(r"priority (\d+)", text)[0]) for text in texts)
    assert 255 > first > second > 0


def test_peers_are_told_one_by_one_and_oneself_is_none():
    found = plans(*PLANES, *BALANCERS, kubernetes=SHARED)
    text = endpoint_live(found["lb2"])["keepalived.conf"]
    assert re.findall(r"unicast_src_ip (\S+)", text) == ["192.0.2.32"]
    assert re.findall(r"unicast_peer \{\s*([^}]*?)\s*\}", text) == ["192.0.2.31"]


def test_every_control_plane_is_behind_the_endpoint():
    found = plans(*PLANES, *BALANCERS, kubernetes=SHARED)
    text = endpoint_live(found["lb1"])["haproxy.cfg"]
    assert re.findall(r"^    server (\S+) (\S+)$", text, re.MULTILINE) == [
        (f"cp{number}.example.com", f"192.0.2.1{number}:6443") for number in (1, 2, 3)
    ]
    assert endpoint_live(found["lb2"])["haproxy.cfg"] == text


def test_a_new_control_plane_changes_what_is_live_and_nothing_else():
    two = plans(*PLANES[:2], *BALANCERS, kubernetes=SHARED)["lb1"]
    three = plans(*PLANES, *BALANCERS, kubernetes=SHARED)["lb1"]
    assert endpoint_live(two) != endpoint_live(three)
    assert part_of(two) == part_of(three)


@pytest.mark.parametrize(
    ("fields", "address", "name"),
    [
        ({}, "192.0.2.31", ""),  # the card with an address in the same network
        ({"interface": "eth0"}, "192.0.2.31", "eth0"),
    ],
)
def test_the_card_is_told_by_its_address_because_names_are_linuxs_own(fields, address, name):
    keys = {"endpoint": {**SHARED["endpoint"], **fields}}
    found = variables(part_of(plans(*PLANES, *BALANCERS, kubernetes=keys)["lb1"]))
    assert found["KINDLING_CARD_ADDRESS"] == address
    assert found["KINDLING_CARD_NAME"] == (name or "''")
    assert found["KINDLING_VIRTUAL_NETWORK"] == "192.0.2.0/24"


def test_a_card_with_dhcp_is_told_by_its_name():
    cards = {"network": {"ethernets": {"eno1": {"dhcp4": True}}}, "address": "192.0.2.31"}
    keys = {"endpoint": {**SHARED["endpoint"], "interface": "eno1"}}
    balancer = machine("load-balancer", 1, **cards)
    found = variables(part_of(plans(PLANES[0], balancer, kubernetes=keys)["lb1"]))
    assert (found["KINDLING_CARD_ADDRESS"], found["KINDLING_CARD_NAME"]) == ("''", "eno1")


@pytest.mark.parametrize("keys", [SHARED, {"endpoint": {"host": "api.example.com", "port": 443}}])
@pytest.mark.parametrize("count", [1, 3])
def test_haproxy_accepts_its_configuration_without_a_warning(keys, count, tmp_path):
    configuration = tmp_path / "haproxy.cfg"
    plan = plans(*PLANES[:count], *BALANCERS, kubernetes=keys)["lb1"]
    configuration.write_text(endpoint_live(plan)["haproxy.cfg"])
    program = shutil.which("haproxy", path=SEARCHED)
    assert program, "haproxy is missing; install haproxy"
    done = subprocess.run(
        [program, "-c", "-dW", "-f", str(configuration)],  # -dW: a warning is an error
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def some_card():
    """A card of this machine on which keepalived could speak: no loopback, with multicast."""
    for _, name in socket.if_nameindex():
        flags = int(Path(f"/sys/class/net/{name}/flags").read_text(), 16)
        if flags & 0x1000 and not flags & 0x8:  # IFF_MULTICAST, IFF_LOOPBACK of linux/if.h
            return name
    raise AssertionError("keepalived's test needs a network card")


@pytest.mark.parametrize("machines", [(*PLANES, *BALANCERS), PLANES, (PLANES[0], BALANCERS[0])])
def test_keepalived_accepts_its_configuration(machines, tmp_path):
    host = "lb1" if BALANCERS[0] in machines else "cp1"
    plan = plans(*machines, kubernetes=SHARED)[host]
    part, text = part_of(plan), endpoint_live(plan)["keepalived.conf"]
    check = tmp_path / "check-endpoint"
    check.write_text(file(part, "/opt/kindling/check-endpoint").content)
    check.chmod(0o755)
    secret = tmp_path / "authentication.conf"
    secret.write_text(file(part, "/etc/keepalived/authentication.conf").content)
    (tmp_path / "interface.conf").write_text(f"interface {some_card()}\n")
    # At their real places they are only on a machine; tests/cluster has one.
    for path, here in (
        ("/opt/kindling/check-endpoint", check),
        ("/etc/keepalived/authentication.conf", secret),
        ("/run/kindling/keepalived-interface.conf", tmp_path / "interface.conf"),
    ):
        assert path in text
        text = text.replace(path, str(here))
    configuration = tmp_path / "keepalived.conf"
    configuration.write_text(text)
    program = shutil.which("keepalived", path=SEARCHED)
    assert program, "keepalived is missing; install keepalived"
    command = [program, "--config-test", "--use-file", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("host", ["lb1", "cp1"])
def test_shellcheck_finds_nothing(host, tmp_path):
    plan = plans(*PLANES, *(BALANCERS if host == "lb1" else ()), kubernetes=SHARED)[host]
    assert shellcheck(common_part(plan) + part_of(plan), tmp_path) == ""


@pytest.mark.parametrize("keys", [SHARED, {"endpoint": {"host": "api.example.com"}}])
def test_systemd_accepts_the_units(keys, tmp_path):
    part = part_of(plans(*PLANES, *BALANCERS, kubernetes=keys)["lb1"])
    assert systemd_verify(part, tmp_path) == ""


def test_the_extensions_own_keepalived_does_not_come_in_between():
    part = part_of(plans(*PLANES, *BALANCERS, kubernetes=SHARED)["lb1"])
    folder = "/etc/systemd/system"
    assert {each.path: each.target for each in part.links} == {
        f"{folder}/multi-user.target.d/10-keepalived.conf": "/dev/null",
        f"{folder}/keepalived.service.d/10-keepalived.conf": "/dev/null",
    }
