"""Network plugins, the restart, certificates and the API server's etcd: rendered programs run."""

import subprocess
from pathlib import Path

import pytest

from kindling.models.role import Role
from tests.fakes.api_server import api_server
from tests.fakes.cluster_server import cluster_server
from tests.fakes.joining_machine import JoiningMachine

PLUGINS = "/usr/local/bin/cni"
OWN = "MAC(52540000000b,1)"
OTHER = "MAC(b42e99071ac4,1)"
FOUR, SIX = "IPv4(0.0.0.00.0.0.0,0,0)", "IPv6([::]:<->[::]:,0,0)"
# As efibootmgr 17 and 18 print them with -v.
ENTRIES = f"""\
BootCurrent: 0006
Timeout: 0 seconds
BootOrder: 0006,0001,0002,0003,0004,0005
Boot0001* UEFI PXEv6 (MAC:52540000000B)\tPciRoot(0x0)/Pci(0x3,0x0)/{OWN}/{SIX}
Boot0002* UEFI HTTPv4 (MAC:52540000000B)\tPciRoot(0x0)/Pci(0x3,0x0)/{OWN}/{FOUR}/Uri()
Boot0003* UEFI PXEv4 (MAC:B42E99071AC4)\tPciRoot(0x0)/Pci(0x1,0x0)/{OTHER}/{FOUR}
Boot0004  UEFI PXEv4 (MAC:52540000000B)\tPciRoot(0x0)/Pci(0x3,0x0)/{OWN}/{FOUR}
Boot0005* UEFI PXEv4 (MAC:52540000000B)\tPciRoot(0x0)/Pci(0x3,0x0)/{OWN}/{FOUR}
Boot0006* Flatcar\tHD(1,GPT,3a7f1c2e-9b4d-4e6f-8a10-2b3c4d5e6f70,0x800)/File(shimx64.efi)
"""
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  labels:
    component: {name}
  name: {name}
spec:
  containers:
  - command:
    - {name}
    - --etcd-servers=https://192.0.2.21:2379
    - --secure-port=6443
"""


@pytest.fixture
def plane(tmp_path):
    with api_server(tmp_path) as api, cluster_server() as server:
        yield JoiningMachine(tmp_path, server, api, dedicated=True)


def plugin(machine, name, folder=PLUGINS):
    machine.write(f"{folder}/{name}", "a program", 0o755)
    return machine.path(f"{folder}/{name}")


def linked(machine, name):
    return machine.path(f"/opt/cni/bin/{name}")


def test_the_extensions_plugins_are_linked_where_containerd_looks(plane):
    expected = plugin(plane, "bridge")
    other = plugin(plane, "loopback", "/usr/lib/cni")
    assert plane.run("cni").status == 0
    assert linked(plane, "bridge").readlink() == expected
    assert linked(plane, "loopback").readlink() == other


def test_what_a_pod_network_installed_stays(plane):
    plugin(plane, "bridge")
    plane.write("/opt/cni/bin/bridge", "of the pod network", 0o755)
    plane.run("cni")
    assert linked(plane, "bridge").read_text() == "of the pod network"


def test_a_link_that_leads_nowhere_is_replaced(plane):
    expected = plugin(plane, "bridge")
    linked(plane, "bridge").symlink_to("/usr/local/bin/cni/of-an-older-extension")
    plane.run("cni")
    assert linked(plane, "bridge").readlink() == expected


def test_without_plugins_the_unit_fails_and_is_tried_again(plane):
    done = plane.run("cni")
    assert done.status == 1
    assert "no network plugins are there yet" in done.output


def test_a_restart_is_from_the_network_by_the_nodes_own_card(plane):
    plane.set("entries", ENTRIES)
    plane.program("efibootmgr", 'echo "efibootmgr $*" >>"$STATE/calls"\ncat "$STATE/entries"\n')
    assert plane.run("reboot").status == 0
    assert plane.calls == [
        "efibootmgr -v",
        "efibootmgr --quiet --bootnext 0005",
        "systemctl reboot",
    ]


def test_another_card_is_better_than_the_disk(plane):
    others = "".join(line for line in ENTRIES.splitlines(True) if "52540000000" not in line.upper())
    plane.set("entries", others)
    plane.program("efibootmgr", 'echo "efibootmgr $*" >>"$STATE/calls"\ncat "$STATE/entries"\n')
    plane.run("reboot")
    assert "efibootmgr --quiet --bootnext 0003" in plane.calls


@pytest.mark.parametrize("body", ["exit 2", "echo 'BootOrder: 0006'"], ids=["broken", "no entry"])
def test_a_machine_whose_firmware_cannot_be_told_restarts_all_the_same(plane, body):
    plane.program("efibootmgr", f"{body}\n")
    assert plane.run("reboot").status == 0
    assert plane.calls == ["systemctl reboot"]


def test_a_machine_without_efibootmgr_restarts_in_the_firmwares_order(plane):
    assert plane.run("reboot").status == 0
    assert plane.calls == ["systemctl reboot"]


def endpoints(machine, step, text):
    machine.write("/var/lib/kindling/live/etcd-endpoints", text)
    file = machine.path("/var/lib/kindling/live/etcd-endpoints")
    return machine.run("live.d/etcd-endpoints", step, str(file))


def api_manifest(machine):
    return machine.path("/etc/kubernetes/manifests/kube-apiserver.yaml")


def test_the_api_server_follows_etcds_machines(plane):
    plane.write(
        "/etc/kubernetes/manifests/kube-apiserver.yaml", MANIFEST.format(name="kube-apiserver")
    )
    done = endpoints(plane, "apply", "https://192.0.2.22:2379,https://[2001:db8::1]:2379\n")
    assert done.status == 0, done.output
    expected = "    - --etcd-servers=https://192.0.2.22:2379,https://[2001:db8::1]:2379\n"
    assert expected in api_manifest(plane).read_text()
    assert [file.name for file in api_manifest(plane).parent.iterdir()] == ["kube-apiserver.yaml"]


def test_the_same_list_leaves_the_api_server_alone(plane):
    plane.write(
        "/etc/kubernetes/manifests/kube-apiserver.yaml", MANIFEST.format(name="kube-apiserver")
    )
    before = api_manifest(plane).stat().st_ino
    endpoints(plane, "apply", "https://192.0.2.21:2379\n")
    assert api_manifest(plane).stat().st_ino == before


def test_a_control_plane_that_is_none_yet_takes_the_list_for_later(plane):
    assert endpoints(plane, "apply", "https://192.0.2.21:2379\n").status == 0
    assert not plane.has("/etc/kubernetes/manifests/kube-apiserver.yaml")


@pytest.mark.parametrize("text", ["", "http://192.0.2.21:2379", "https://a:2379|$(reboot)"])
def test_a_list_that_is_none_is_refused(plane, text):
    assert endpoints(plane, "check", text).status == 1


# --- certificates ------------------------------------------------------------------------------


def certificate(path: Path, days: int) -> None:
    """A certificate that lives so long, self-signed; a kubeconfig of it where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=test", "-keyout", str(path.with_suffix(".key"))),
            *("-days", str(days), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    if path.suffix == ".conf":
        encoded = subprocess.check_output(["base64", "--wrap=0", str(made)], text=True)
        path.write_text(f"users:\n- user:\n    client-certificate-data: {encoded}\n")
        made.unlink()
    else:
        made.rename(path)


COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def member(machine, **days):
    """A control plane whose certificates live for a year, but for those named."""
    names = ("apiserver", "apiserver-kubelet-client", "front-proxy-client")
    confs = ("admin", "controller-manager", "scheduler")
    for name in names:
        life = days.get(name, 365)
        certificate(machine.path(f"/etc/kubernetes/pki/{name}.crt"), life)
    for name in confs:
        certificate(machine.path(f"/etc/kubernetes/{name}.conf"), days.get(name, 365))
    for name in COMPONENTS:
        machine.write(f"/etc/kubernetes/manifests/{name}.yaml", MANIFEST.format(name=name))
    machine.write("/var/lib/kindling/member", "1\n")
    machine.program("kubeadm", 'echo "kubeadm $*" >>"$STATE/calls"\n')


def restarted(machine):
    folder = machine.path("/etc/kubernetes/manifests/x").parent
    return {file.stem for file in folder.iterdir() if "kindling.dev/restarted" in file.read_text()}


def test_certificates_that_live_long_enough_are_left_alone(plane):
    member(plane)
    assert plane.run("certificates").status == 0
    assert plane.called("kubeadm") == []
    assert restarted(plane) == set()


@pytest.mark.parametrize("name", ["apiserver", "front-proxy-client", "admin", "scheduler"])
def test_one_that_ends_within_sixty_days_renews_all_and_restarts_the_pods(plane, name):
    member(plane, **{name: 59})
    done = plane.run("certificates")
    assert done.status == 0, done.output
    init = f"{plane.root}/etc/kindling/kubeadm/init.yaml"
    assert plane.called("kubeadm") == [f"kubeadm certs renew all --config {init}"]
    assert restarted(plane) == set(COMPONENTS)


def test_a_pod_that_is_restarted_twice_has_one_mark(plane):
    member(plane, admin=1)
    plane.run("certificates")
    plane.run("certificates")
    text = plane.path("/etc/kubernetes/manifests/kube-scheduler.yaml").read_text()
    assert text.count("kindling.dev/restarted") == 1
    assert '  labels:\n    kindling.dev/restarted: "' in text
    assert "    component: kube-scheduler\n" in text


def test_a_certificate_that_cannot_be_read_is_renewed(plane):
    member(plane)
    plane.write("/etc/kubernetes/pki/apiserver.crt", "cut off")
    plane.run("certificates")
    assert plane.called("kubeadm certs renew all")


def test_the_next_pod_waits_for_an_api_server_that_comes_back(plane):
    member(plane, admin=1)
    plane.api.status = 503
    done = plane.run("certificates")
    assert done.status != 0
    assert restarted(plane) == {"kube-apiserver"}


def test_a_renewal_that_fails_is_a_warning_in_every_heartbeat(plane):
    member(plane, admin=1)
    plane.program("kubeadm", "echo 'error: the key does not fit'; exit 1\n")
    assert plane.run("certificates").status != 0
    plane.server.publish({}, host=plane.host)
    plane.write("/run/kindling/stage", '{"state": "ready", "message": "well"}')
    plane.run("live")
    expected = "well; warning: certificates: error: the key does not fit"
    assert plane.server.messages == [expected]


def test_etcds_certificates_are_renewed_by_etcds_program(plane):
    member(plane)
    plane.run("certificates")
    assert plane.called("etcd") == ["etcd certificates"]


def test_a_worker_has_nothing_to_renew(tmp_path):
    with api_server(tmp_path) as api, cluster_server() as server:
        worker = JoiningMachine(tmp_path, server, api, role=Role.WORKER)
        assert not worker.has("/opt/kindling/certificates")
