"""Plans of add-ons: their order, their patches, and the user's own."""

from __future__ import annotations

import json

import pytest
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.selection import select_assets
from kindling.errors import CatalogError
from kindling.models.architecture import Architecture
from kindling.planning.addons import image_plans
from kindling.rendering.kubernetes.live import live_texts
from kindling.rendering.kubernetes.scripts import control_plane_part
from kindling.templating import TEMPLATES
from tests.fakes.addon_clusters import addon_cluster, locked_plans
from tests.fakes.cluster_plans import cluster_plans, machine

URL = "https://files.example.com/{}.yaml"


def patches(name, **keys):
    """The patches of one add-on, as data."""
    return [json.loads(each) for each in locked_plans(addon_cluster(**keys))[name].patches]


def test_the_network_comes_first_then_policies_then_kinds_then_the_rest_then_the_users():
    addons = {
        "loki": {"url": URL.format("loki")},
        "ingressNginx": {},
        "metricsServer": {},
        "flux": {},
        "longhorn": {},
        "velero": {"url": URL.format("velero")},
        "metallb": {},
        "prometheus": {},
        "networkPolicies": {},
        "flannel": {},
    }
    own = [
        {"name": "second", "inline": "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}"},
        {"name": "first", "url": URL.format("first")},
    ]
    plans = locked_plans(addon_cluster(cni="flannel", addons=addons, manifests=own))
    assert list(plans) == [
        "flannel",
        "kube-network-policies",
        "prometheus-operator",
        "metallb",
        "longhorn",
        "velero",
        "flux",
        "metrics-server",
        "ingress-nginx",
        "loki",
        "manifest-second",
        "manifest-first",
    ]


def test_the_network_that_cni_names_is_there_without_settings():
    assert list(locked_plans(addon_cluster(cni="calico"))) == ["calico"]
    assert list(locked_plans(addon_cluster(cni="none"))) == []


def test_an_addon_that_is_not_enabled_is_left_out():
    assert not locked_plans(addon_cluster(addons={"metallb": {"enabled": False}}))


def test_a_plan_names_the_published_file_its_version_and_its_pinned_digest():
    plan = locked_plans(addon_cluster(cni="flannel", addons={"flannel": {"version": "0.27.2"}}))
    found = plan["flannel"]
    assert (found.version, found.path) == ("0.27.2", "assets/manifests/flannel-0.27.2.yaml")
    assert found.sha256 is not None
    assert found.waits == ("*",)


def test_calico_gets_the_pod_network():
    networking = {"networking": {"podSubnet": "10.40.0.0/16"}}
    (patch,) = patches("calico", cni="calico", kubernetes=networking)
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert container == {
        "name": "calico-node",
        "env": [{"name": "CALICO_IPV4POOL_CIDR", "value": "10.40.0.0/16"}],
    }


def test_cilium_gets_the_pod_network_wherever_its_settings_lie():
    (patch,) = patches("cilium", cni="cilium", addons={"cilium": {"url": URL.format("cilium")}})
    assert patch["target"] == {"kind": "ConfigMap", "name": "cilium-config"}
    assert patch["patch"]["data"] == {"cluster-pool-ipv4-cidr": "10.244.0.0/16"}


def test_ingress_nginx_gets_its_service_type_copies_and_default_class():
    settings = {"serviceType": "LoadBalancer", "replicas": 3, "defaultClass": False}
    service, ingress_class, deployment = patches("ingress-nginx", addons={"ingressNginx": settings})
    assert service["spec"] == {"type": "LoadBalancer"}
    assert deployment["spec"] == {"replicas": 3}
    annotations = ingress_class["patch"]["metadata"]["annotations"]
    assert annotations == {"ingressclass.kubernetes.io/is-default-class": "false"}


def test_longhorn_gets_its_directory_copies_and_class():
    settings = {"replicas": 2, "dataPath": "/srv/longhorn", "defaultClass": True}
    defaults, storage = patches("longhorn", addons={"longhorn": settings})
    values = yaml.safe_load(defaults["data"]["default-setting.yaml"])
    assert values["default-data-path"] == "/srv/longhorn"
    assert values["default-replica-count"] == "2"
    made = yaml.safe_load(storage["data"]["storageclass.yaml"])
    assert made["parameters"]["numberOfReplicas"] == "2"
    annotations = made["metadata"]["annotations"]
    assert annotations == {"storageclass.kubernetes.io/is-default-class": "true"}


def test_metrics_server_verifies_kubelets_when_they_have_certificates():
    assert not patches("metrics-server", addons={"metricsServer": {"verifyKubelets": True}})


def test_metallb_announces_nothing_without_pools_or_without_l2():
    def kinds(**settings):
        plan = locked_plans(addon_cluster(addons={"metallb": settings}))["metallb"]
        return [json.loads(each)["kind"] for each in plan.after]

    pool = {"addresses": ["198.51.100.0/28"]}
    assert kinds() == []
    assert kinds(pools=[pool], l2=False) == ["IPAddressPool"]
    assert kinds(pools=[pool]) == ["IPAddressPool", "L2Advertisement"]


def test_the_users_own_patches_follow_ours():
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-flannel-cfg"}}
    found = patches("flannel", cni="flannel", addons={"flannel": {"patches": [own]}})
    assert found[-1] == own
    assert len(found) == 2


def test_the_users_manifests_are_taken_as_written_and_not_waited_for():
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    plan = locked_plans(addon_cluster(manifests=[{"name": "own", "inline": text}]))["manifest-own"]
    assert (plan.inline, plan.path, plan.waits) == (text, None, ())


def test_an_addon_without_a_released_manifest_says_how_to_make_one():
    with pytest.raises(CatalogError, match=r"addons\.cilium\.url: .*`helm template cilium"):
        locked_plans(addon_cluster(cni="cilium"))


def test_a_cluster_without_kubernetes_applies_nothing():
    cluster = addon_cluster().model_copy(update={"cni": "flannel"})
    assets = cluster.assets.model_copy(update={"kubernetes": None})
    assert not locked_plans(cluster.model_copy(update={"assets": assets}))


def test_each_architecture_of_the_load_balancers_has_its_image():
    nodes = [
        machine("control-plane"),
        machine("load-balancer", 1, arch="arm64"),
        machine("load-balancer", 2),
    ]
    versions = {"haproxy": "3.2.22", "keepalived": "2.3.4"}
    endpoint = {"endpoint": {"virtualAddress": "192.0.2.5/24"}}
    cluster = addon_cluster(nodes=nodes, assets=versions, kubernetes=endpoint)
    catalog = load_catalog()
    pinned = {asset.main.path: asset for asset in select_assets(cluster, catalog)}
    plans = image_plans(cluster, catalog, pinned)
    assert {arch: plan.path for arch, plan in plans.items()} == {
        Architecture.ARM64: "assets/images/haproxy-3.2.22-arm64.tar",
        Architecture.X86_64: "assets/images/haproxy-3.2.22-x86-64.tar",
    }
    assert {plan.name for plan in plans.values()} == {"docker.io/library/haproxy:3.2.22"}


def test_control_planes_have_the_program_as_it_is_tested_and_what_it_reads():
    plans = cluster_plans(machine("control-plane"), machine("worker"), cni="flannel")
    files = {each.path: each for each in control_plane_part(plans["cp1"]).files}
    for name in ("addons", "inventory"):
        text = (TEMPLATES / "kubernetes" / name).read_text()
        assert files[f"/opt/kindling/{name}"].content == text
    texts = live_texts(plans["cp1"])
    (flannel,) = json.loads(texts["manifests.json"])
    assert flannel["path"] == "assets/manifests/flannel-0.27.4.yaml"
    assert json.loads(texts["coredns.json"])["changed"] is False
    assert "manifests.json" not in live_texts(plans["worker1"])
