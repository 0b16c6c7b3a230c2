"""What the stack file may say of add-ons and manifests, and how mistakes are refused."""

from __future__ import annotations

import pytest

from kindling.artifacts.catalog import load_catalog
from kindling.errors import StackFileError
from kindling.models.crosschecks import unknown_versions
from kindling.models.loading import warnings
from tests.fakes.addon_clusters import addon_cluster
from tests.fakes.cluster_plans import machine

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {}}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def refusals(**keys):
    """Every problem as it is shown."""
    with pytest.raises(StackFileError) as raised:
        addon_cluster(**keys)
    return [str(each) for each in raised.value.problems]


def refusal(**keys):
    (only,) = refusals(**keys)
    return only


def inline(text, name="own"):
    return [{"name": name, "inline": text}]


def metallb(*addresses, **keys):
    return {"addons": {"metallb": {"pools": [{"addresses": list(addresses)}]}}} | keys


def test_settings_of_a_network_that_is_not_chosen_are_refused():
    assert refusal(cni="flannel", addons={"calico": {}}) == (
        "addons.calico: is given, but cni is flannel; remove it or write cni: calico"
    )
    addon_cluster(cni="flannel", addons={"calico": {"enabled": False}})


def test_the_chosen_network_cannot_be_left_out():
    said = refusal(cni="flannel", addons={"flannel": {"enabled": False}})
    assert said == (
        "addons.flannel.enabled: false leaves the cluster without the network that cni names; "
        "write cni: none"
    )


def test_host_gw_has_no_mtu():
    settings = {"flannel": {"backend": "host-gw", "mtu": 1400}}
    assert "addons.flannel.mtu: 1400 means nothing to" in refusal(cni="flannel", addons=settings)


def test_addons_and_manifests_need_kubernetes():
    said = refusals(assets={"kubernetes": None}, addons={"metallb": {}}, manifests=inline(CONFIG))
    assert [each for each in said if "assets.kubernetes is absent" in each] == [
        "addons: needs a cluster, and assets.kubernetes is absent; give that or remove this",
        "manifests: needs a cluster, and assets.kubernetes is absent; give that or remove this",
    ]


def test_an_own_patch_names_its_object():
    settings = {"flannel": {"patches": [{"kind": "ConfigMap", "data": {}}]}}
    assert refusals(cni="flannel", addons=settings) == [
        "addons.flannel.patches[0]: has no apiVersion; a patch names the object that it changes",
        "addons.flannel.patches[0]: has no metadata.name; a patch names the object that it changes",
    ]


@pytest.mark.parametrize(
    "manifest",
    [
        {"name": "own"},
        {"name": "own", "inline": CONFIG, "url": "https://files.example.com/a.yaml"},
    ],
)
def test_a_manifest_is_inline_or_has_a_url(manifest):
    assert refusal(manifests=[manifest]) == "manifests[0]: needs exactly one of: inline, url"


def test_a_digest_belongs_to_a_url():
    manifest = {"name": "own", "inline": CONFIG, "sha256": "ab" * 32}
    assert "has sha256 without url" in refusal(manifests=[manifest])
    assert "has sha256 without url" in refusal(addons={"metallb": {"sha256": "ab" * 32}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML: line 2: "),
        ("# nothing\n", "holds no object of Kubernetes; write at least one"),
        ("- a\n", "document 1 is no object; it needs apiVersion, kind and metadata"),
        ("kind: ConfigMap\nmetadata: {name: a}\n", "document 1 has no apiVersion"),
        (CONFIG + "---\napiVersion: v1\n", "document 2 has no kind"),
        (CONFIG + "---\napiVersion: v1\nkind: Pod\n", "document 2 (Pod) has no metadata.name"),
    ],
)
def test_a_manifest_that_is_none_is_refused(text, said):
    assert f"manifests[0].inline: {said}" in refusal(manifests=inline(text))


def test_a_manifest_with_a_secret_is_refused_since_it_is_published():
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {a: b}\n"
    said = refusal(manifests=inline(secret))
    assert said.startswith("manifests[0].inline: has Secret login with a value, and what the stack")


def test_a_list_is_judged_by_what_is_in_it():
    text = (
        f"apiVersion: v1\nkind: List\nitems:\n- {POLICY.strip().replace(chr(10), chr(10) + '  ')}\n"
    )
    assert "has NetworkPolicy closed" in refusal(cni="flannel", manifests=inline(text))


def test_network_policies_need_somebody_who_enforces_them():
    assert refusal(cni="flannel", manifests=inline(POLICY)) == (
        "manifests[0].inline: has NetworkPolicy closed, and Flannel enforces none; give "
        "addons.networkPolicies: {}, or another cni"
    )
    addon_cluster(cni="flannel", manifests=inline(POLICY), addons={"networkPolicies": {}})
    addon_cluster(cni="calico", manifests=inline(POLICY))


def test_names_of_manifests_and_pools_are_given_once():
    said = refusal(manifests=inline(CONFIG) + inline(CONFIG))
    assert said == 'manifests[1].name: "own" repeats manifests[0].name; give each once'
    pools = [{"addresses": ["198.51.100.0/28"]}, {"addresses": ["198.51.100.16/28"]}]
    said = refusal(addons={"metallb": {"pools": pools}})
    assert said.startswith('addons.metallb.pools[1].name: "default" repeats')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.8-192.0.2.12", "holds 192.0.2.11, the address of cp1.example.com"),
        ("192.0.2.5-192.0.2.5", "holds 192.0.2.5, kubernetes.endpoint.virtualAddress"),
        ("192.0.2.2-192.0.2.3", "holds 192.0.2.2, the boot server"),
        ("192.0.2.192/27", "holds addresses of bootServer.dhcp.range"),
        ("10.244.7.0/24", "holds addresses of kubernetes.networking.podSubnet"),
        ("10.96.0.0/24", "holds addresses of kubernetes.networking.serviceSubnet"),
    ],
)
def test_a_pool_has_nobody_elses_addresses(text, said):
    keys = metallb(
        text,
        kubernetes={"endpoint": {"virtualAddress": "192.0.2.5/24"}},
        assets={"keepalived": "2.3.4"},
        bootServer={
            "url": "https://192.0.2.2",
            "dhcp": {
                "subnet": "192.0.2.0/24",
                "range": {"start": "192.0.2.200", "end": "192.0.2.210"},
            },
        },
    )
    assert refusal(**keys) == (
        f'addons.metallb.pools[0].addresses[0]: "{text}" {said}; take addresses that nobody has'
    )


def test_ranges_of_pools_do_not_overlap():
    said = refusal(**metallb("198.51.100.0/28", "198.51.100.15-198.51.100.20"))
    assert "addresses[1]" in said
    assert "holds addresses of addons.metallb.pools[0].addresses[0]" in said


@pytest.mark.parametrize("text", ["198.51.100.20-198.51.100.10", "198.51.100.1-2001:db8::1"])
def test_a_range_begins_before_its_end(text):
    assert "write the lower address first" in refusal(**metallb(text))


def problems(**keys):
    cluster = addon_cluster(**keys)
    return [str(each) for each in unknown_versions(cluster, load_catalog().known_versions())]


def test_a_version_that_the_catalog_does_not_know_is_refused_unless_its_place_is_given():
    (said,) = problems(addons={"metallb": {"version": "0.15.1"}})
    assert said == (
        'addons.metallb.version: "0.15.1" is not in the catalog (did you mean 0.15.3?); choose a '
        "known one or give addons.metallb.url"
    )
    url = "https://files.example.com/metallb.yaml"
    assert not problems(addons={"metallb": {"version": "0.15.1", "url": url}})


@pytest.mark.parametrize("name", ["loki", "velero"])
def test_what_upstream_does_not_release_has_to_be_made_by_the_user(name):
    (said,) = problems(addons={name: {}})
    assert said.startswith(f"addons.{name}.url: is missing, and upstream releases no manifest")
    assert f"> {name}.yaml`" in said


def test_a_network_without_a_released_manifest_has_to_be_made_by_the_user():
    (said,) = problems(cni="cilium")
    assert "`helm template cilium cilium/cilium" in said


def about(word, **keys):
    return [each for each in warnings(addon_cluster(**keys)) if word in each]


def test_a_load_balancer_service_without_anybody_who_gives_addresses_is_warned_of():
    settings = {"ingressNginx": {"serviceType": "LoadBalancer"}}
    assert about("nobody gives a LoadBalancer its address", addons=settings)
    pools = {"pools": [{"addresses": ["198.51.100.0/28"]}]}
    assert not about("nobody gives", addons=settings | {"metallb": pools})


def test_metallb_without_pools_is_warned_of():
    assert about("addons.metallb.pools: there are none", addons={"metallb": {}})


def test_workers_that_do_not_start_iscsi_are_warned_of_with_longhorn():
    assert about("worker1.example.com do not start iSCSI", addons={"longhorn": {}})
    units = {"units": [{"name": "iscsid.service", "enabled": True}]}
    nodes = [machine("control-plane"), machine("worker", systemd=units)]
    assert not about("iSCSI", addons={"longhorn": {}}, nodes=nodes)
