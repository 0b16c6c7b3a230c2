"""How a machine becomes a member: the rendered programs run, with kubeadm as a small program."""

import json

import pytest

from kindling.models.role import Role
from tests.fakes.api_server import api_server
from tests.fakes.cluster_server import TOKEN, cluster_server
from tests.fakes.joining_machine import STILL_READY, JoiningMachine, node

GRANTED = {"granted": True, "holder": "cp1.example.com", "reason": "it initialises"}
REFUSED = {"granted": False, "holder": "cp2.example.com", "reason": "cp2 initialises it; wait"}
PRESENT = "/var/lib/kindling/member"


@pytest.fixture
def api(tmp_path):
    with api_server(tmp_path) as server:
        yield server


@pytest.fixture
def server():
    with cluster_server() as made:
        made.claims = [REFUSED]
        yield made


@pytest.fixture
def plane(tmp_path, server, api):
    return JoiningMachine(tmp_path, server, api)


@pytest.fixture
def worker(tmp_path, server, api):
    return JoiningMachine(tmp_path, server, api, role=Role.WORKER)


def first(machine):
    """Nothing answers until kubeadm has run: each choice asks once."""
    machine.api.statuses = [503]
    machine.server.claims = [GRANTED]


def test_a_granted_claim_is_initialised_reported_and_ended(plane):
    first(plane)
    done = plane.run()
    assert done.status == 0, done.output
    assert plane.server.stages == ["initialising", "joined", "ready"]
    assert [claim["done"] for claim in plane.server.claimed] == [False, True]
    assert plane.called("kubeadm init --config")
    assert plane.has(PRESENT)
    assert not plane.has("/var/lib/kindling/attempt")


def test_the_token_is_in_every_request_and_in_no_argument(plane):
    first(plane)
    done = plane.run()
    assert plane.server.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in "\n".join(plane.calls) + done.output


def test_kubeadm_is_told_to_print_no_join_token(plane):
    first(plane)
    plane.run()
    assert "--skip-token-print" in plane.called("kubeadm init --config")[0]


def test_a_cluster_that_answers_is_joined_without_a_claim(plane):
    plane.server.claims = [GRANTED]
    done = plane.run()
    assert done.status == 0, done.output
    assert plane.server.stages == ["joining", "joined", "ready"]
    assert plane.server.claimed == []
    assert plane.called("kubeadm join")


def test_who_is_not_granted_the_claim_waits_for_the_api_and_joins(plane):
    plane.api.statuses = [503] * 5
    plane.run()
    assert plane.server.stages == ["joining", "joined", "ready"]
    assert "cp2 initialises it; wait" in plane.server.messages[0]
    assert len(plane.called("kubeadm join")) == 1


def test_a_silent_boot_server_does_not_keep_a_control_plane_from_a_cluster_that_answers(plane):
    plane.server.silent = True
    done = plane.run()
    assert done.status == 0, done.output
    assert plane.called("kubeadm join")


def test_without_boot_server_and_api_a_control_plane_waits_and_does_not_initialise(plane):
    plane.api.status = 0
    plane.server.claims = [503]
    plane.run()  # ends when the small program `sleep` loses patience
    assert not plane.called("kubeadm")
    assert plane.server.stages == ["joining"]
    assert "which says who initialises" in plane.server.messages[-1]


def test_a_worker_joins_and_reports_each_stage(worker):
    done = worker.run()
    assert done.status == 0, done.output
    assert worker.server.stages == ["joining", "joined", "ready"]
    assert worker.server.claimed == []
    assert [call.split()[1] for call in worker.called("kubeadm")] == ["join"]


def test_a_worker_waits_for_the_endpoint(worker):
    worker.api.statuses = [503, 503, 0]
    worker.run()
    assert worker.server.messages[0].startswith("waiting for the API at 127.0.0.1:")
    assert worker.server.stages == ["joining", "joined", "ready"]


@pytest.mark.parametrize("status", [401, 403])
def test_an_api_that_answers_nobody_unknown_is_one_that_answers(worker, status):
    worker.api.status = status
    worker.run()
    assert worker.called("kubeadm join")


@pytest.mark.parametrize("role", [Role.CONTROL_PLANE, Role.WORKER])
def test_a_failed_run_is_reported_with_the_reason_and_log_and_tried_again(
    tmp_path, server, api, role
):
    machine = JoiningMachine(tmp_path, server, api, role=role)
    machine.set("kubeadm", "error execution phase preflight: no port\nwell\n")
    done = machine.run()
    assert done.status == 0, done.output
    failed = next(report for report in server.reports if report["state"] == "failed")
    assert failed["message"] == "cluster: kubeadm join: preflight: no port"
    assert failed["stage"] == "cluster"
    assert "no port" in failed["log"]
    assert server.stages[-1] == "ready"
    assert len(machine.called("kubeadm join")) == 2


def test_a_reboot_of_a_member_starts_the_kubelet_and_nothing_else(plane):
    plane.run()
    plane.restart()
    plane.server.reports.clear()
    done = plane.run()
    assert done.status == 0, done.output
    assert plane.server.stages == ["joined", "ready"]
    assert "systemctl start kubelet.service" in plane.calls
    assert not plane.called("kubeadm")


def test_a_member_comes_back_while_the_boot_server_is_silent(worker):
    worker.run()
    worker.restart()
    worker.server.silent = True
    assert worker.run().status == 0
    assert "systemctl start kubelet.service" in worker.calls


def test_a_kubelet_that_cannot_be_started_yet_is_tried_again(worker):
    worker.run()
    worker.set("no-start", "")
    worker.run()
    assert "the kubelet cannot be started (systemctl status kubelet)" in worker.server.messages
    assert worker.server.stages[-1] == "ready"


def test_a_manifest_that_etcds_programs_hold_back_makes_no_stranger_of_a_member(plane):
    plane.run()
    held = plane.path("/etc/kubernetes/kindling-held/kube-apiserver.yaml")
    plane.path("/etc/kubernetes/manifests/kube-apiserver.yaml").rename(held)
    plane.run()
    assert not plane.called("kubeadm")


@pytest.mark.parametrize("lost", ["/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml"])
def test_a_member_without_its_files_joins_again(worker, lost):
    worker.run()
    worker.write(lost, "")
    worker.set("kubeadm", "well\n")
    done = worker.run()
    assert worker.called("kubeadm join"), done.output
    assert worker.server.stages[-1] == "ready"


def test_a_power_cut_in_the_middle_of_init_ends_in_the_same_cluster(plane):
    first(plane)
    plane.set("kubeadm", "power-cut\n")
    assert plane.run().status != 0
    plane.restart()
    # Its own half of an API server may answer: that is nothing to join.
    plane.api.statuses = []
    plane.set("kubeadm", "well\n")
    done = plane.run()
    assert done.status == 0, done.output
    assert [call.split()[1] for call in plane.called("kubeadm")] == ["reset", "init"]
    assert plane.server.stages[-1] == "ready"


def test_a_power_cut_in_the_middle_of_init_waits_for_the_boot_server(plane):
    first(plane)
    plane.set("kubeadm", "power-cut\n")
    plane.run()
    plane.server.claims = [503, 503, GRANTED]
    plane.set("kubeadm", "well\n")
    plane.run()
    assert not plane.called("kubeadm join")
    assert plane.called("kubeadm init")


def test_who_lost_the_claim_in_the_middle_of_init_joins(plane):
    first(plane)
    plane.set("kubeadm", "power-cut\n")
    plane.run()
    plane.server.claims = [REFUSED]
    plane.set("kubeadm", "well\n")
    plane.run()
    assert [call for call in plane.called("kubeadm") if " phase " not in call] == [
        f"kubeadm join --config {plane.root}/etc/kindling/kubeadm/join.yaml"
    ]


@pytest.mark.parametrize("role", [Role.CONTROL_PLANE, Role.WORKER])
def test_a_power_cut_in_the_middle_of_join_recovers(tmp_path, server, api, role):
    machine = JoiningMachine(tmp_path, server, api, role=role)
    machine.set("kubeadm", "power-cut\n")
    assert machine.run().status != 0
    assert machine.has("/etc/kubernetes/bootstrap-kubelet.conf")
    machine.restart()
    machine.set("kubeadm", "well\n")
    done = machine.run()
    assert done.status == 0, done.output
    assert machine.called("kubeadm reset phase cleanup-node")
    assert server.stages[-1] == "ready"


def test_a_reset_never_takes_the_authorities(plane):
    plane.set("kubeadm", "power-cut\n")
    plane.run()
    plane.write("/etc/kubernetes/pki/apiserver.crt", "")
    plane.set("kubeadm", "well\n")
    plane.run()
    [reset] = plane.called("kubeadm reset")
    assert f"--cert-dir {plane.root}/run/kindling/nothing" in reset
    assert plane.path("/etc/kubernetes/pki/ca.key").read_text() == "the authority's key\n"
    assert plane.path("/etc/kubernetes/pki/apiserver.crt").read_text() == "of kubeadm\n"


def test_a_reinstalled_machine_waits_until_its_former_system_is_forgotten(worker):
    worker.set("kubeadm", f"{STILL_READY}\n{STILL_READY}\nwell\n")
    done = worker.run()
    assert done.status == 0, done.output
    assert worker.server.stages == ["joining", "joined", "ready"]
    assert any(
        "has noticed that the system that was here is gone" in m for m in worker.server.messages
    )


def test_a_control_plane_that_joins_stores_its_stacks_configuration_first(plane):
    plane.set("nodes", "NotFound\n" + json.dumps(node(ready=True)) + "\n")
    plane.run()
    init = f"{plane.root}/etc/kindling/kubeadm/init.yaml"
    assert plane.called("kubeadm init phase") == [
        f"kubeadm init phase kubeconfig admin --config {init}",
        f"kubeadm init phase upload-config kubeadm --config {init}",
    ]


def test_a_reinstalled_control_plane_stores_the_kubelets_configuration_too(plane):
    plane.run()
    assert plane.called("kubeadm init phase upload-config kubelet")


def test_a_control_plane_waits_for_its_etcd_first(plane):
    plane.set("no-etcd", "")
    plane.while_asleep('[ $1 -lt 5 ] || rm -f "$STATE/no-etcd"\n')
    assert plane.run().status == 0
    assert plane.server.messages[0] == "waiting for etcd (local)"
    [asked] = {call for call in plane.called("etcdctl") if "kindling/incarnation" in call}
    assert "--endpoints https://127.0.0.1:2379" in asked
    assert plane.calls.index(asked) < plane.calls.index(plane.called("kubeadm")[0])


def test_an_etcd_of_another_incarnation_is_not_this_clusters(plane):
    plane.append("/etc/kindling/cluster.env", "KINDLING_INCARNATION=2\n")
    plane.run()
    assert plane.server.messages[-1] == "waiting for etcd (local)"
    assert not plane.called("kubeadm")


def test_the_addresses_of_etcds_own_machines_come_from_the_live_document(tmp_path, server, api):
    plane = JoiningMachine(tmp_path, server, api, dedicated=True)
    plane.write(
        "/var/lib/kindling/live/etcd-endpoints", "https://192.0.2.21:2379,https://192.0.2.22:2379\n"
    )
    first(plane)
    done = plane.run()
    assert done.status == 0, done.output
    text = plane.path("/run/kindling/init.yaml").read_text()
    assert "    - https://192.0.2.21:2379\n    - https://192.0.2.22:2379\n" in text
    assert ".invalid" not in text
    assert plane.path("/run/kindling/init.yaml").stat().st_mode & 0o777 == 0o600
    assert f"--config {plane.root}/run/kindling/init.yaml" in plane.called("kubeadm init")[0]
    asked = plane.called("etcdctl")[0]
    assert "--endpoints https://192.0.2.21:2379,https://192.0.2.22:2379 " in asked


def test_a_static_pods_old_member_is_removed_before_its_machine_joins_again(tmp_path, server, api):
    plane = JoiningMachine(tmp_path, server, api, etcd="static-pod")
    plane.write("/var/lib/etcd/member/wal/0.wal", "of the old member")
    plane.write("/etc/kubernetes/kubelet.conf", "of the old system")
    plane.write("/etc/kubernetes/manifests/etcd.yaml", "of the old system")
    done = plane.run()
    assert done.status == 0, done.output
    remove = f"etcd remove-member {plane.host}"
    started, removed = (
        plane.calls.index("systemctl start kubelet.service"),
        plane.calls.index(remove),
    )
    assert started < removed < plane.calls.index(plane.called("kubeadm reset")[0])
    assert not plane.has("/var/lib/etcd/member")
    assert not plane.called("etcdctl")


def test_a_static_pods_data_stays_while_its_member_cannot_be_removed(tmp_path, server, api):
    plane = JoiningMachine(tmp_path, server, api, etcd="static-pod")
    plane.write("/var/lib/etcd/member/wal/0.wal", "of the old member")
    plane.set("no-etcd", "")
    plane.run()
    assert plane.has("/var/lib/etcd/member/wal/0.wal")
    assert any("cannot be removed from the cluster" in message for message in server.messages)
    assert not plane.called("kubeadm join")


def test_a_second_init_on_a_static_pods_data_keeps_it(tmp_path, server, api):
    plane = JoiningMachine(tmp_path, server, api, etcd="static-pod")
    first(plane)
    plane.set("kubeadm", "power-cut\n")
    plane.run()
    plane.set("kubeadm", "well\n")
    plane.run()
    ignored = "--ignore-preflight-errors DirAvailable--var-lib-etcd"
    assert ignored in plane.called("kubeadm init --config")[0]


def test_a_cluster_that_only_etcd_still_has_is_served_again(plane):
    plane.api.statuses = [503] * 6
    done = plane.run(KINDLING_PATIENCE="0")
    assert done.status == 0, done.output
    assert plane.called("kubeadm init --config")
    assert plane.server.stages[-1] == "ready"


def test_an_empty_etcd_is_no_cluster_to_serve(plane):
    plane.api.statuses = [503] * 6
    plane.set("etcd-keys", "")
    plane.run(KINDLING_PATIENCE="0")
    assert not plane.called("kubeadm")


def test_what_answers_while_etcd_is_empty_is_an_earlier_cluster_and_neither_joined_nor_doubled(
    plane,
):
    plane.server.claims = [GRANTED]
    plane.set("etcd-keys", "")
    plane.run()  # ends when the small program `sleep` loses patience
    assert not plane.called("kubeadm")
    assert plane.server.claimed == []
    assert "an earlier cluster's control planes still run" in plane.server.messages[-1]


def test_a_new_cluster_begins_when_nothing_of_the_earlier_one_answers_any_more(plane):
    plane.server.claims = [GRANTED]
    plane.set("etcd-keys", "")
    plane.api.statuses = [200, 200, 503]
    done = plane.run()
    assert done.status == 0, done.output
    assert plane.server.stages == ["joining", "initialising", "joined", "ready"]
    assert not plane.called("kubeadm join")


def test_the_wrong_architecture_fails_clearly_and_runs_nothing(worker):
    worker.set("machine", "aarch64\n")
    worker.run()
    said = "this machine is aarch64 and the stack says x86-64; correct arch in the stack"
    assert worker.server.messages[0] == f"cluster: {said}"
    assert not worker.called("kubeadm")


def test_the_architecture_that_the_node_is_labelled_with_is_the_stacks(worker):
    worker.node(ready=True, arch="arm64")
    worker.run()
    assert (
        "its label kubernetes.io/arch is arm64, and the stack says amd64"
        in worker.server.messages[-1]
    )
    assert "ready" not in worker.server.stages


def test_a_node_is_not_ready_by_what_it_said_before_this_boot(worker):
    old = node(ready=True, boot_id="0")
    worker.set("nodes", "\n".join(map(json.dumps, (old, old, node(ready=True)))) + "\n")
    worker.run()
    assert (
        "not ready yet: the kubelet has not reported since this machine started"
        in worker.server.messages
    )


def test_what_keeps_a_node_from_being_ready_is_said(worker):
    worker.set("nodes", "\n".join(map(json.dumps, (node(ready=False), node(ready=True)))) + "\n")
    worker.run()
    assert "not ready yet: KubeletNotReady: cni plugin not initialized" in worker.server.messages
    assert worker.server.stages == ["joining", "joined", "ready"]


def test_a_control_plane_is_ready_when_its_own_api_server_answers(plane):
    plane.api.statuses = [200, 503]
    plane.run()
    said = "not ready yet: the API server of this machine does not answer"
    assert said in plane.server.messages


def test_a_control_plane_reconciles_as_soon_as_it_is_one(plane):
    plane.run()
    assert "systemctl start --no-block kindling-reconcile.service" in plane.calls


def test_containerd_is_waited_for(worker):
    worker.set("no-containerd", "")
    assert worker.run().status == 0
    assert len(worker.called("ctr")) == 2


def test_a_check_says_that_a_ready_node_is_no_longer_and_is_again(worker):
    worker.run()
    worker.node(ready=False)
    worker.run("cluster", "check")
    assert worker.server.reports[-1]["state"] == "joined"
    worker.node(ready=True)
    worker.run("cluster", "check")
    assert worker.server.reports[-1]["state"] == "ready"


def test_a_check_says_nothing_new_when_the_api_does_not_answer(worker):
    worker.run()
    said = len(worker.server.reports)
    worker.set("nodes", "")
    worker.run("cluster", "check")
    assert len(worker.server.reports) == said


def test_a_check_before_the_first_stage_of_a_boot_says_nothing(worker):
    worker.run()
    worker.restart()
    said = len(worker.server.reports)
    worker.run("cluster", "check")
    assert len(worker.server.reports) == said


def test_a_join_token_that_a_program_prints_is_withheld(worker):
    worker.set("kubeadm", "error: token abcdef.0123456789abcdef is no good\nwell\n")
    done = worker.run()
    assert "0123456789abcdef" not in done.output + json.dumps(worker.server.reports)
    assert "(token withheld)" in json.dumps(worker.server.reports)
