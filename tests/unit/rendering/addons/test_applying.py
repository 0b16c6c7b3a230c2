"""The script `addons`, run with the real kubectl against a real API server."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
import yaml

from kindling.models.plan import ManifestPlan
from tests.fakes.addon_machine import AddonMachine

MARKET = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "market"}}
SOME = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "some", "namespace": "shop"}}
GADGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.shop.example.com"},
    "spec": {
        "group": "shop.example.com",
        "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer"}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


def config(name, namespace="shop", **data):
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def gadget(name, size=1):
    metadata = {"name": name, "namespace": "shop"}
    spec = {"size": size}
    return {
        "apiVersion": "shop.example.com/v1",
        "kind": "Gadget",
        "metadata": metadata,
        "spec": spec,
    }


def deployment(name, replicas):
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "example.com/main:1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def inline(name, *objects, **fields):
    text = yaml.safe_dump_all(objects, sort_keys=False)
    return ManifestPlan(name=name, inline=text, **fields)


def published(machine, name, *objects, **fields):
    body = yaml.safe_dump_all(objects, sort_keys=False).encode()
    path = f"assets/manifests/{name}-1.yaml"
    machine.web.files[f"/{path}"] = body
    digest = hashlib.sha256(body).hexdigest()
    return ManifestPlan(name=name, path=path, sha256=digest, **fields)


def get(cluster, *arguments):
    return json.loads(cluster.kubectl("get", *arguments, "-o", "json"))


def names(cluster, kind, namespace="shop"):
    items = get(cluster, kind, "-n", namespace)["items"]
    return {each["metadata"]["name"] for each in items} - {"kube-root-ca.crt", "some"}


def test_an_addon_of_a_published_file_is_applied_with_our_label(machine, cluster):
    machine.apply(published(machine, "shop", config("one", a="1")))
    found = get(cluster, "configmap", "one", "-n", "shop")
    assert found["data"] == {"a": "1"}
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "kindling"}
    assert machine.status == {"shop": "ready ", "coredns": "ready "}


def test_a_patch_changes_what_upstream_says(machine, cluster):
    patch = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}}
    patch["metadata"] = {"name": "one", "namespace": "shop"}
    appended = {
        "target": {"kind": "Deployment", "name": "front"},
        "patch": [
            {
                "op": "add",
                "path": "/spec/template/spec/containers/0/args",
                "value": ["--quick"],
            }
        ],
    }
    nobody = {"target": {"kind": "ConfigMap", "name": "absent"}, "patch": patch}
    objects = (config("one", a="1", b="1"), deployment("front", 0))
    plan = published(
        machine, "shop", *objects, patches=tuple(map(json.dumps, (patch, appended, nobody)))
    )
    machine.apply(plan)
    assert get(cluster, "configmap", "one", "-n", "shop")["data"] == {"a": "2", "b": "1"}
    container = get(cluster, "deployment", "front", "-n", "shop")["spec"]["template"]["spec"]
    assert container["containers"][0]["args"] == ["--quick"]


def test_a_patch_that_fits_nothing_is_reported_with_the_addons_name(machine):
    patch = json.dumps(config("absent", a="1"))
    machine.told(inline("shop", patches=(patch,)))
    done = machine.run()
    assert done.returncode == 0
    assert machine.status["shop"].startswith("failed its patches do not fit: ")
    assert "absent" in machine.status["shop"]


def test_bytes_other_than_the_pinned_ones_are_refused_and_reported(machine, cluster):
    plan = published(machine, "shop", SOME)
    machine.web.files[f"/{plan.path}"] += b"# tampered\n"
    machine.told(plan)
    assert machine.run().returncode == 0
    assert "has not the pinned SHA-256" in machine.status["shop"]
    assert cluster.try_kubectl("get", "configmap", "some", "-n", "shop").returncode != 0
    assert machine.warning.startswith("add-ons: shop: assets/manifests/shop-1.yaml has not")


def test_a_failure_does_not_keep_others_from_being_applied_and_its_end_is_told(machine, cluster):
    plan = published(machine, "shop", SOME)
    body = machine.web.files.pop(f"/{plan.path}")
    other = inline("other", config("one", namespace="default"))
    machine.told(plan, other)
    assert machine.run().returncode == 0
    assert "cannot be fetched" in machine.status["shop"]
    assert "one" in names(cluster, "configmap", "default")
    machine.web.files[f"/{plan.path}"] = body
    machine.apply(plan, other)
    assert not machine.warning


def test_a_file_is_fetched_once_and_what_did_not_change_is_not_applied_again(machine, cluster):
    plan = published(machine, "shop", config("one", a="1"))
    machine.apply(plan)
    cluster.kubectl("delete", "configmap", "one", "-n", "shop")
    machine.apply(plan)
    assert names(cluster, "configmap") == set()
    assert len(machine.web.requests()) == 1
    machine.apply(plan, KINDLING_ADDON_AGAIN="0")
    assert names(cluster, "configmap") == {"one"}
    assert len(machine.web.requests()) == 1


def test_what_is_settled_is_not_even_looked_at(machine, cluster):
    plan = published(machine, "shop", SOME)
    machine.apply(plan)
    cached = machine.root / "var/lib/kindling/manifests" / f"{plan.sha256}.yaml"
    cached.write_text("broken: [")
    machine.apply(plan)
    assert machine.status["shop"] == "ready "
    machine.apply(plan, KINDLING_ADDON_AGAIN="0")
    assert cached.read_bytes() == machine.web.files[f"/{plan.path}"]


def test_what_others_changed_of_ours_is_put_right_and_what_they_added_stays(machine, cluster):
    plan = inline("shop", config("one", a="1"))
    machine.apply(plan)
    patch = '{"data": {"a": "theirs", "b": "theirs"}}'
    cluster.kubectl("patch", "configmap", "one", "-n", "shop", "-p", patch)
    machine.apply(plan, KINDLING_ADDON_AGAIN="0")
    assert get(cluster, "configmap", "one", "-n", "shop")["data"] == {"a": "1", "b": "theirs"}


def test_kinds_are_served_before_objects_of_them_are_applied(machine, cluster):
    machine.apply(inline("shop", gadget("first"), GADGETS))
    assert names(cluster, "gadgets.shop.example.com") == {"first"}


def test_objects_of_its_own_kinds_follow_when_the_addon_is_ready(machine, cluster):
    plan = inline(
        "shop",
        GADGETS,
        deployment("front", 0),
        waits=("*", "CustomResourceDefinition//gadgets.shop.example.com"),
        after=(json.dumps(gadget("first", 3)),),
    )
    machine.apply(plan)
    found = get(cluster, "gadgets.shop.example.com", "first", "-n", "shop")
    assert found["spec"] == {"size": 3}
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "kindling"}


def test_an_addon_that_is_not_ready_is_waited_for_and_no_failure(machine, cluster):
    waiting = inline("shop", GADGETS, deployment("front", 1), waits=("*",),
                     after=(json.dumps(gadget("first")),))  # fmt: skip
    other = inline("other", config("one", namespace="default"))
    machine.apply(waiting, other)
    assert machine.status["shop"].startswith("waiting Deployment front is not ready: ")
    assert machine.status["other"] == "ready "
    assert names(cluster, "gadgets.shop.example.com") == set()
    assert not machine.warning
    cluster.kubectl("scale", "deployment", "front", "-n", "shop", "--replicas=0")
    machine.apply(waiting, other)
    assert machine.status["shop"] == "ready "
    assert names(cluster, "gadgets.shop.example.com") == {"first"}


def test_nothing_follows_a_pod_network_that_is_not_ready(machine, cluster):
    network = inline("flannel", deployment("front", 1), waits=("*",))
    machine.apply(network, inline("other", config("late", namespace="default")))
    assert machine.status["flannel"].startswith("waiting ")
    assert "other" not in machine.status
    assert "late" not in names(cluster, "configmap", "default")


def test_what_an_addon_no_longer_has_is_deleted(machine, cluster):
    machine.apply(inline("shop", config("one"), config("two")))
    out = machine.apply(inline("shop", config("two")))
    assert names(cluster, "configmap") == {"two"}
    assert "shop: deleted ConfigMap one" in out


def test_an_addon_that_the_stack_no_longer_has_is_removed_last_object_first(machine, cluster):
    plan = inline(
        "shop", MARKET, GADGETS, config("one"), after=(json.dumps(gadget("first")),),
    )  # fmt: skip
    machine.apply(plan)
    out = machine.apply()
    deleted = [line.split()[3] for line in out.splitlines() if " deleted " in line]
    assert deleted == ["Gadget", "ConfigMap", "CustomResourceDefinition", "Namespace"]
    assert "shop: removed" in out
    inventories = get(cluster, "configmap", "-n", "kube-system",
                      "-l", "app.kubernetes.io/component=inventory")  # fmt: skip
    assert inventories["items"] == []


def test_a_kind_with_objects_of_others_and_a_namespace_with_claims_stay(machine, cluster):
    machine.apply(inline("shop", MARKET, GADGETS))
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(gadget("theirs")))
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "market"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    out = machine.apply()
    assert "CustomResourceDefinition gadgets.shop.example.com stays, since it holds" in out
    assert "Namespace market stays, since it holds persistentvolumeclaim/data" in out
    assert names(cluster, "gadgets.shop.example.com") == {"theirs"}
    cluster.kubectl("delete", "gadgets.shop.example.com/theirs", "-n", "shop")
    cluster.kubectl("delete", "persistentvolumeclaim/data", "-n", "market", "--wait=false")
    finalizers = '{"metadata": {"finalizers": null}}'
    cluster.try_kubectl("patch", "pvc/data", "-n", "market", "-p", finalizers)
    assert "shop: removed" in machine.apply()


def test_what_somebody_else_has_taken_over_is_not_deleted(machine, cluster):
    machine.apply(inline("shop", config("one")), inline("other", config("two")))
    label = "app.kubernetes.io/managed-by=somebody"
    cluster.kubectl("label", "configmap", "two", "-n", "shop", label, "--overwrite")
    machine.apply(inline("shop", SOME))
    assert names(cluster, "configmap") == {"two"}
    cluster.kubectl("delete", "configmap", "two", "-n", "shop")


def test_an_object_that_moves_to_another_addon_is_kept(machine, cluster):
    machine.apply(inline("first", config("one")), inline("second", config("two")))
    before = get(cluster, "configmap", "one", "-n", "shop")["metadata"]["uid"]
    machine.apply(inline("first", SOME), inline("second", config("two"), config("one")))
    assert get(cluster, "configmap", "one", "-n", "shop")["metadata"]["uid"] == before
    assert names(cluster, "configmap") == {"one", "two"}


def test_nothing_is_deleted_while_an_addon_could_not_be_applied(machine, cluster):
    machine.apply(inline("shop", config("one")), inline("old", config("two")))
    broken = ManifestPlan(name="broken", path="assets/manifests/absent.yaml", sha256="0" * 64)
    machine.told(inline("shop", SOME), broken)
    assert machine.run().returncode == 0
    assert names(cluster, "configmap") == {"one", "two"}
    machine.apply(inline("shop", SOME))
    assert names(cluster, "configmap") == set()


def test_another_api_version_of_an_object_is_the_same_object(machine, cluster):
    scaler = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "front", "namespace": "shop"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "front"},
        },
    }
    machine.apply(inline("shop", scaler))
    before = get(cluster, "hpa", "front", "-n", "shop")["metadata"]["uid"]
    machine.apply(inline("shop", scaler | {"apiVersion": "autoscaling/v2"}))
    assert get(cluster, "hpa", "front", "-n", "shop")["metadata"]["uid"] == before


def test_leaving_the_default_namespace_out_names_the_same_object(machine, cluster):
    explicit = config("one", namespace="default", a="1")
    implicit = json.loads(json.dumps(explicit))
    del implicit["metadata"]["namespace"]
    machine.apply(inline("shop", explicit))
    machine.apply(inline("shop", implicit))
    assert "one" in names(cluster, "configmap", "default")


def test_a_namespace_of_the_plan_is_made_and_everything_moves_there(machine, cluster):
    machine.apply(inline("shop", config("one", namespace="default"), namespace="market"))
    assert names(cluster, "configmap", "market") == {"one"}


def test_namespaces_of_the_cluster_itself_are_never_deleted(machine, cluster):
    system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-public"}}
    machine.apply(inline("shop", system))
    assert "shop: removed" in machine.apply()
    assert get(cluster, "namespace", "kube-public")["status"]["phase"] == "Active"


def test_what_the_api_server_says_at_length_is_cut_in_the_middle(machine):
    rule = {"apiGroups": ["x" * 900], "resources": ["pods"], "verbs": ["get"]}
    role = {"apiVersion": "v1", "kind": "Role", "metadata": {"name": "a", "namespace": "shop"}}
    wrong = config("one") | {"data": {"key": {"nested": "y" * 900}}}
    machine.told(inline("shop", role | {"rules": [rule]}, wrong))
    assert machine.run().returncode == 0
    assert " ... " in machine.status["shop"]
    assert len(machine.status["shop"]) < 600


def test_a_job_that_changed_takes_the_place_of_the_old_one(machine, cluster):
    def job(image):
        pod = {"containers": [{"name": "main", "image": image}], "restartPolicy": "Never"}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "prepare", "namespace": "shop"},
            "spec": {"template": {"spec": pod}},
        }

    machine.apply(inline("shop", job("example.com/a:1")))
    machine.apply(inline("shop", job("example.com/a:2")))
    found = get(cluster, "job", "prepare", "-n", "shop")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/a:2"
    cluster.kubectl("delete", "job", "prepare", "-n", "shop", "--cascade=foreground")


def lease(cluster, holder, age):
    renewed = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - age))
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 600, "renewTime": renewed}
    metadata = {"name": "kindling-addons", "namespace": "kube-system"}
    made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-",
                    stdin=json.dumps(made | {"metadata": metadata, "spec": spec}))  # fmt: skip


def test_one_control_plane_at_a_time_applies(machine, cluster):
    lease(cluster, "cp2.example.com", age=60)
    out = machine.apply(inline("shop", SOME))
    assert "cp2.example.com applies the add-ons" in out
    assert cluster.try_kubectl("get", "configmap", "some", "-n", "shop").returncode != 0
    lease(cluster, "cp2.example.com", age=601)
    machine.apply(inline("shop", SOME))
    assert machine.status["shop"] == "ready "
    spec = get(cluster, "lease", "kindling-addons", "-n", "kube-system")["spec"]
    assert spec["holderIdentity"] == ""


def test_another_machine_goes_on_with_what_the_first_wrote_down(machine, cluster, web, tmp_path):
    machine.apply(inline("shop", config("one")))
    other = AddonMachine.make(tmp_path / "cp2", web, cluster, host="cp2.example.com")
    other.apply(inline("shop", config("two")))
    assert names(cluster, "configmap") == {"two"}


def test_without_an_api_server_nothing_is_done_and_the_reason_is_told(machine):
    text = (machine.root / "etc/kubernetes/admin.conf").read_text()
    broken = text.replace("server: https://127.0.0.1:", "server: https://127.0.0.2:")
    (machine.root / "etc/kubernetes/admin.conf").write_text(broken)
    assert "the API server does not answer" in machine.apply(inline("shop", SOME))
    (machine.root / "etc/kubernetes/admin.conf").write_text(text)


def test_before_the_first_live_document_nothing_is_removed(machine, cluster):
    machine.apply(inline("shop", config("one")))
    (machine.root / "var/lib/kindling/live/manifests.json").unlink()
    assert "no manifests are known yet" in machine.run().stdout
    assert names(cluster, "configmap") == {"one"}


def test_files_that_no_manifest_names_leave_the_cache(machine):
    machine.apply(published(machine, "shop", SOME))
    folder = machine.root / "var/lib/kindling/manifests"
    assert len(list(folder.iterdir())) == 1
    machine.apply()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["addons", "inventory"])
def test_the_scripts_pass_shellcheck(name, machine):
    import subprocess

    folder = machine.root / "opt/kindling"
    done = subprocess.run(
        ["shellcheck", "-x", "addons"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert (folder / name).read_text().count("{{") == 0
