"""Upstream's real manifests with our patches, judged by Kubernetes' own schemas and API server.

What no Go module has (calico, ingress-nginx, longhorn, flux) is judged by its patches only, in
test_patches.py; docs/addons.md lists it.
"""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pytest

from kindling.models.manifest_text import objects_of
from tests.fakes.addon_clusters import addon_cluster, locked_plans
from tools.upstream_manifests import UPSTREAMS, upstream_manifest

VERSIONS = {each.name: each.version for each in UPSTREAMS}
# Each add-on with every setting that becomes a patch or an object.
SETTINGS: dict[str, Any] = {
    "flannel": {
        "cni": "flannel",
        "kubernetes": {"networking": {"podSubnet": "10.32.0.0/12"}},
        "addons": {"flannel": {"version": VERSIONS["flannel"], "mtu": 1400}},
    },
    "kube-network-policies": {
        "addons": {"networkPolicies": {"version": VERSIONS["kube-network-policies"]}}
    },
    "metallb": {
        "addons": {
            "metallb": {
                "version": VERSIONS["metallb"],
                "interfaces": ["eth0"],
                "pools": [
                    {"name": "public", "addresses": ["198.51.100.0/28"]},
                    {
                        "name": "held-back",
                        "addresses": ["198.51.100.64-198.51.100.70"],
                        "autoAssign": False,
                    },
                ],
            }
        }
    },
    "metrics-server": {"addons": {"metricsServer": {"version": VERSIONS["metrics-server"]}}},
    "prometheus-operator": {
        "addons": {
            "prometheus": {
                "version": VERSIONS["prometheus-operator"],
                "replicas": 2,
                "retention": "30d",
                "storage": "50Gi",
            }
        }
    },
}
# Kinds that Kubernetes does not know by itself: the API server judges them, by upstream's CRDs.
OWN_KINDS = {
    "metallb": {"IPAddressPool", "L2Advertisement"},
    "prometheus-operator": {"Prometheus"},
}
# The oldest and the newest release that the project knows, and one between.
KUBERNETES = ("1.29", "1.33", "1.37")


@pytest.fixture(scope="module")
def shown(tmp_path_factory, cluster):
    """What the script would apply, by add-on; made once."""
    from tests.fakes.addon_machine import AddonMachine
    from tests.fakes.web import Web

    made = {}
    with Web() as web:
        machine = AddonMachine.make(tmp_path_factory.mktemp("shown") / "cp1", web, cluster)
        for name, keys in SETTINGS.items():
            file = upstream_manifest(name)
            plan = locked_plans(addon_cluster(**keys), {name: file})[name]
            web.files[f"/{plan.path}"] = file.read_bytes()
            made[name] = objects_of(machine.show(plan))
    return made


def as_text(objects):
    return "\n---\n".join(map(json.dumps, objects))


def one(objects, kind, name):
    (found,) = [
        each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", SETTINGS)
def test_kubernetes_own_schemas_accept_every_patched_manifest_strictly(name, version, shown):
    skipped = set()
    for each in shown[name]:
        try:
            kubernetes_validate.validate(dict(each), version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            skipped.add(each["kind"])
    assert skipped == OWN_KINDS.get(name, set())


@pytest.mark.parametrize("name", OWN_KINDS)
def test_the_api_server_accepts_our_objects_of_the_addons_own_kinds(name, shown, cluster):
    kinds = [each for each in shown[name] if each["kind"] == "CustomResourceDefinition"]
    namespaces = [each for each in shown[name] if each["kind"] == "Namespace"]
    ours = [each for each in shown[name] if each["kind"] in OWN_KINDS[name]]
    assert {each["kind"] for each in ours} == OWN_KINDS[name]
    apply = ("apply", "--server-side", "-f", "-")
    cluster.kubectl(*apply, stdin=as_text((*kinds, *namespaces)))
    crds = [each["metadata"]["name"] for each in kinds]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", *crds)
    strict = (*apply, "--dry-run=server", "--validate=strict")
    cluster.kubectl(*strict, stdin=as_text(ours))
    cluster.kubectl("delete", "crd", "--wait=false", *crds)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_api_server_accepts_the_rest_as_it_is_applied(name, shown, cluster):
    for each in shown[name]:
        if each["kind"] == "Namespace":
            cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(each))
    rest = [each for each in shown[name] if each["kind"] not in OWN_KINDS.get(name, set())]
    arguments = ("--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    cluster.kubectl("apply", *arguments, stdin=as_text(rest))


def test_flannel_gets_the_pod_network_and_the_mtu(shown):
    data = one(shown["flannel"], "ConfigMap", "kube-flannel-cfg")["data"]
    assert json.loads(data["net-conf.json"]) == {
        "Network": "10.32.0.0/12",
        "EnableNFTables": False,
        "Backend": {"Type": "vxlan", "MTU": 1400},
    }
    assert json.loads(data["cni-conf.json"])["name"] == "cbr0"


def test_metallb_gets_its_pools_and_announces_them(shown):
    pool = one(shown["metallb"], "IPAddressPool", "held-back")
    assert pool["spec"] == {"addresses": ["198.51.100.64-198.51.100.70"], "autoAssign": False}
    announced = one(shown["metallb"], "L2Advertisement", "kindling")["spec"]
    assert announced == {"ipAddressPools": ["public", "held-back"], "interfaces": ["eth0"]}


def test_metrics_server_keeps_its_arguments_and_does_not_verify_kubelets(shown):
    deployment = one(shown["metrics-server"], "Deployment", "metrics-server")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--kubelet-use-node-status-port" in arguments
    assert arguments[-1] == "--kubelet-insecure-tls"


def test_prometheus_lives_in_its_own_namespace_with_its_rights(shown):
    objects = shown["prometheus-operator"]
    namespaces = {each["metadata"].get("namespace") for each in objects}
    assert namespaces == {"monitoring", None}
    made = one(objects, "Prometheus", "kindling")["spec"]
    assert (made["replicas"], made["retention"]) == (2, "30d")
    claim = made["storage"]["volumeClaimTemplate"]["spec"]
    assert claim["resources"]["requests"] == {"storage": "50Gi"}
    operator = one(objects, "ClusterRoleBinding", "prometheus-operator")
    assert operator["subjects"][0]["namespace"] == "monitoring"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_object_is_labelled_as_ours(name, shown):
    labels = [each["metadata"]["labels"]["app.kubernetes.io/managed-by"] for each in shown[name]]
    assert set(labels) == {"kindling"}


def test_metallb_is_applied_by_the_script_up_to_its_readiness(machine, cluster, web):
    file = upstream_manifest("metallb")
    plan = locked_plans(addon_cluster(**SETTINGS["metallb"]), {"metallb": file})["metallb"]
    web.files[f"/{plan.path}"] = file.read_bytes()
    machine.apply(plan)
    # Nobody runs its pods here, so its webhook would refuse pools: they have to wait.
    assert machine.status["metallb"].startswith("waiting Deployment controller is not ready")
    found = json.loads(cluster.kubectl("get", "crd", "ipaddresspools.metallb.io", "-o", "json"))
    assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kindling"
