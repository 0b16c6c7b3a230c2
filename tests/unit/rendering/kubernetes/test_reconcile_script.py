"""What control planes do for the cluster as a whole: the rendered program and a real API server."""

import base64
import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from kindling.models.credentials import Credentials
from tests.fakes.api_server import ApiServer
from tests.fakes.cluster_server import cluster_server
from tests.fakes.control_plane import control_plane
from tests.fakes.joining_machine import JoiningMachine

TOKEN = Credentials.placeholder().bootstrap_token or ""
SECRET = f"bootstrap-token-{TOKEN.partition('.')[0]}"
APPLIED = "kindling.dev/applied"
KUBEADM_CONFIG = """\
apiVersion: kubeadm.k8s.io/v1beta4
etcd:
  external:
    caFile: /etc/kubernetes/pki/etcd/ca.crt
    endpoints:
    - https://192.0.2.21:2379
    - https://192.0.2.22:2379
    keyFile: /etc/kubernetes/pki/apiserver-etcd-client.key
kind: ClusterConfiguration
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def plane(tmp_path, cluster):
    with cluster_server() as server:
        yield make_plane(tmp_path, cluster, server)


def make_plane(folder, cluster, server, **how):
    certificate = cluster.kubeconfig.parent / "served" / "apiserver.crt"
    machine = JoiningMachine(folder, server, ApiServer(cluster.url, certificate), **how)
    (machine.bin / "kubectl").unlink()  # the real one
    machine.program("kubeadm", 'echo "kubeadm $*" >>"$STATE/calls"\n')
    shutil.copy(cluster.kubeconfig, machine.path("/etc/kubernetes/admin.conf"))
    machine.write("/var/lib/kindling/member", "1\n")
    armed(machine, False)
    told(machine, {}, {})
    cluster.kubectl("delete", "nodes", "--all", "--wait=true")
    cluster.kubectl("delete", "-n", "kube-system", "secret", SECRET, "--ignore-not-found")
    cluster.kubectl("delete", "-n", "kube-system", "configmap", "kindling", "--ignore-not-found")
    return machine


def told(machine, labels, taints):
    """The live document says so."""
    for name, value in (("labels", labels), ("taints", taints)):
        machine.write(f"/var/lib/kindling/live/node-{name}.json", json.dumps(value))


def armed(machine, any_armed, *, age=0.0):
    """The boot server said so, that many seconds ago."""
    machine.write("/var/lib/kindling/live.json", json.dumps({"anyArmed": any_armed}))
    file, then = machine.path("/var/lib/kindling/live.json"), time.time() - age
    os.utime(file, (then, then))


def node(cluster, name, *, labels=None, taints=(), version="v1.33.6"):
    """A node that has joined."""
    metadata = {"name": name, "labels": labels or {}}
    made = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": {"taints": list(taints)},
    }
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(made))
    status = json.dumps({"status": {"nodeInfo": {"kubeletVersion": version}}})
    cluster.kubectl(
        "patch", "node", name, "--subresource=status", "--type=merge", f"--patch={status}"
    )


def read(cluster, *what):
    found = cluster.kubectl("get", *what, "-o", "json", "--ignore-not-found")
    return json.loads(found) if found else None


def labels_of(cluster, name="w1"):
    return read(cluster, "node", name)["metadata"]["labels"]


def taints_of(cluster, name="w1"):
    taints = read(cluster, "node", name)["spec"].get("taints", [])
    # The API server's own, while no controller manager runs.
    return [each for each in taints if not each["key"].startswith("node.kubernetes.io/")]


def reconcile(machine):
    done = machine.run("reconcile", PATH=f"{machine.bin}:{os.environ['PATH']}")
    assert done.status == 0, done.output
    return done.output


def expiration(cluster):
    secret = read(cluster, "-n", "kube-system", "secret", SECRET)
    text = base64.b64decode(secret["data"]["expiration"]).decode()
    return datetime.fromisoformat(text)


def test_a_node_gets_the_labels_that_it_may_not_give_itself(plane, cluster):
    node(cluster, "w1", labels={"somebody.example/else": "x"})
    told(plane, {"w1": {"node-role.kubernetes.io/worker": "", "zone": "a"}}, {})
    reconcile(plane)
    found = labels_of(cluster)
    assert found == {
        "node-role.kubernetes.io/worker": "",
        "zone": "a",
        "somebody.example/else": "x",
    }


def test_labels_that_the_stack_no_longer_has_go_and_others_stay(plane, cluster):
    node(cluster, "w1", labels={"somebody.example/else": "x"})
    told(plane, {"w1": {"zone": "a", "disk": "ssd"}}, {})
    reconcile(plane)
    told(plane, {"w1": {"zone": "b"}}, {})
    reconcile(plane)
    assert labels_of(cluster) == {"zone": "b", "somebody.example/else": "x"}


def test_taints_come_and_go_and_those_of_others_stay(plane, cluster):
    theirs = {"key": "somebody.example/else", "effect": "NoExecute"}
    node(cluster, "w1", taints=[theirs])
    told(plane, {"w1": {}}, {"w1": ["storage=yes:NoSchedule", "quiet=:PreferNoSchedule"]})
    reconcile(plane)
    ours = [
        {"key": "storage", "value": "yes", "effect": "NoSchedule"},
        {"key": "quiet", "effect": "PreferNoSchedule"},
    ]
    assert taints_of(cluster) == [theirs, *ours]
    told(plane, {"w1": {}}, {"w1": ["storage=no:NoSchedule"]})
    reconcile(plane)
    assert taints_of(cluster) == [theirs, {**ours[0], "value": "no"}]
    told(plane, {"w1": {}}, {})
    reconcile(plane)
    assert taints_of(cluster) == [theirs]


def test_what_is_right_is_not_written_again(plane, cluster):
    node(cluster, "w1")
    told(plane, {"w1": {"zone": "a"}}, {"w1": ["storage=yes:NoSchedule"]})
    reconcile(plane)
    before = read(cluster, "node", "w1")["metadata"]["resourceVersion"]
    reconcile(plane)
    assert read(cluster, "node", "w1")["metadata"]["resourceVersion"] == before


def test_a_node_that_is_not_the_stacks_or_not_there_is_left_alone(plane, cluster):
    node(cluster, "guest", labels={"a": "b"})
    told(plane, {"absent": {"zone": "a"}}, {"guest": ["a=b:NoSchedule"]})
    reconcile(plane)
    assert labels_of(cluster, "guest") == {"a": "b"}
    assert taints_of(cluster, "guest") == []


def test_what_was_given_is_written_on_the_node(plane, cluster):
    node(cluster, "w1")
    told(plane, {"w1": {"zone": "a"}}, {"w1": ["storage=yes:NoSchedule"]})
    reconcile(plane)
    written = read(cluster, "node", "w1")["metadata"]["annotations"][APPLIED]
    assert json.loads(written) == {"labels": ["zone"], "taints": ["storage:NoSchedule"]}


@pytest.mark.parametrize("written", ["{", "[1]", '{"labels": 3, "taints": {"a": {}}}'])
def test_what_a_nodes_kubelet_wrote_there_keeps_nobody_from_labels_and_credential(
    plane, cluster, written
):
    node(cluster, "w1")
    node(cluster, "w2")
    cluster.kubectl("annotate", "node", "w1", f"{APPLIED}={written}")
    told(plane, {"w1": {"zone": "a"}, "w2": {"zone": "b"}}, {})
    armed(plane, True)
    reconcile(plane)
    assert [labels_of(cluster, host)["zone"] for host in ("w1", "w2")] == ["a", "b"]
    assert read(cluster, "-n", "kube-system", "secret", SECRET)


def test_the_join_credential_is_made_while_a_machine_may_need_it(plane, cluster):
    armed(plane, True)
    output = reconcile(plane)
    data = read(cluster, "-n", "kube-system", "secret", SECRET)["data"]
    decoded = {key: base64.b64decode(value).decode() for key, value in data.items()}
    assert f"{decoded['token-id']}.{decoded['token-secret']}" == TOKEN
    assert decoded["usage-bootstrap-signing"] == decoded["usage-bootstrap-authentication"] == "true"
    assert decoded["auth-extra-groups"] == "system:bootstrappers:kubeadm:default-node-token"
    life = expiration(cluster) - datetime.now(UTC)
    assert timedelta(hours=23) < life <= timedelta(hours=24)
    assert TOKEN not in output + "\n".join(plane.calls)
    assert TOKEN.partition(".")[2] not in output


def test_the_join_credential_is_as_kubeadm_makes_it(plane, cluster, tmp_path):
    armed(plane, True)
    reconcile(plane)
    listed = subprocess.run(
        ["kubeadm", "token", "list", "--kubeconfig", str(cluster.kubeconfig), "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(listed.stdout)["token"] == TOKEN


def test_the_join_credential_lapses_when_no_machine_needs_it(plane, cluster):
    armed(plane, False)
    reconcile(plane)
    assert read(cluster, "-n", "kube-system", "secret", SECRET) is None


def test_the_join_credential_is_renewed_in_the_second_half_of_its_life(plane, cluster):
    armed(plane, True)
    reconcile(plane)
    first = expiration(cluster)
    reconcile(plane)
    assert expiration(cluster) == first
    soon = (datetime.now(UTC) + timedelta(hours=11)).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = json.dumps({"data": {"expiration": base64.b64encode(soon.encode()).decode()}})
    cluster.kubectl("-n", "kube-system", "patch", "secret", SECRET, f"--patch={patch}")
    reconcile(plane)
    assert expiration(cluster) >= first


def test_an_old_word_of_the_boot_server_renews_nothing(plane, cluster):
    armed(plane, True, age=90_000)
    reconcile(plane)
    assert read(cluster, "-n", "kube-system", "secret", SECRET) is None


def test_addons_run_at_the_end_with_the_own_api_server(plane, cluster):
    addons = '#!/bin/bash\ngrep "server: " "$KUBECONFIG" >"$STATE/addons"\n'
    plane.write("/opt/kindling/addons", addons, 0o755)
    reconcile(plane)
    assert cluster.url in (plane.state / "addons").read_text()


def test_a_failure_is_a_warning_in_every_heartbeat_until_it_is_mended(plane):
    plane.write(
        "/opt/kindling/addons", "#!/bin/bash\necho 'flannel is not ready' >&2\nexit 1\n", 0o755
    )
    assert plane.run("reconcile", PATH=f"{plane.bin}:{os.environ['PATH']}").status == 1
    warning = plane.path("/run/kindling/warnings/reconcile")
    assert warning.read_text() == "reconcile: flannel is not ready\n"
    plane.path("/opt/kindling/addons").unlink()
    reconcile(plane)
    assert not warning.exists()


@pytest.mark.parametrize("missing", ["/etc/kubernetes/admin.conf", "/var/lib/kindling/member"])
def test_a_control_plane_that_is_none_yet_does_nothing(plane, missing):
    plane.path(missing).unlink()
    assert "does not answer yet" in reconcile(plane)


def test_without_its_own_api_server_it_does_nothing(plane):
    done = plane.run("reconcile", KINDLING_LOCAL_API="https://127.0.0.1:1")
    assert done.status == 0
    assert "does not answer yet" in done.output


def test_kubeadms_addons_follow_when_every_control_plane_has_the_new_version(plane, cluster):
    plane_label = {"node-role.kubernetes.io/control-plane": ""}
    node(cluster, "cp1", labels=plane_label)
    node(cluster, "cp2", labels=plane_label, version="v1.33.5")
    reconcile(plane)  # cp2 is not there yet
    assert read(cluster, "-n", "kube-system", "configmap", "kindling") is None
    written = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kindling", "namespace": "kube-system"},
            "data": {"kubernetesVersion": "v1.33.5"},
        }
    )
    cluster.kubectl("create", "-f", "-", stdin=written)
    patch = json.dumps({"status": {"nodeInfo": {"kubeletVersion": "v1.33.6"}}})
    cluster.kubectl(
        "patch", "node", "cp2", "--subresource=status", "--type=merge", f"--patch={patch}"
    )
    reconcile(plane)
    assert [call.split()[1:5] for call in plane.called("kubeadm")] == [
        ["init", "phase", "addon", "coredns"]
    ]
    reconcile(plane)
    assert plane.called("kubeadm") == []


def test_a_new_cluster_has_its_version_written_down_and_nothing_else_done(plane, cluster):
    node(cluster, "cp1", labels={"node-role.kubernetes.io/control-plane": ""})
    reconcile(plane)
    assert plane.called("kubeadm") == []
    written = read(cluster, "-n", "kube-system", "configmap", "kindling")
    assert written["data"] == {"kubernetesVersion": "v1.33.6"}


def test_who_joins_later_is_told_the_etcd_of_today(tmp_path, cluster):
    with cluster_server() as server:
        plane = make_plane(tmp_path, cluster, server, dedicated=True)
        made = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kubeadm-config", "namespace": "kube-system"},
            "data": {"ClusterConfiguration": KUBEADM_CONFIG},
        }
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(made))
        plane.write(
            "/var/lib/kindling/live/etcd-endpoints",
            "https://192.0.2.22:2379,https://192.0.2.23:2379,https://192.0.2.24:2379\n",
        )
        reconcile(plane)
        found = read(cluster, "-n", "kube-system", "configmap", "kubeadm-config")
        expected = KUBEADM_CONFIG.replace("    - https://192.0.2.21:2379\n", "").replace(
            "22:2379\n", "22:2379\n    - https://192.0.2.23:2379\n    - https://192.0.2.24:2379\n"
        )
        assert found["data"]["ClusterConfiguration"] == expected
        version = found["metadata"]["resourceVersion"]
        reconcile(plane)
        again = read(cluster, "-n", "kube-system", "configmap", "kubeadm-config")
        assert again["metadata"]["resourceVersion"] == version
