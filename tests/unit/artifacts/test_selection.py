from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.selection import select_assets, space_needed, sysexts_of
from kindling.errors import CatalogError
from kindling.models.architecture import Architecture
from kindling.models.assets import Asset
from kindling.models.cluster import Cluster
from kindling.models.loading import load_cluster

ARM64, X86 = Architecture.ARM64, Architecture.X86_64
VERSIONS: dict[str, Any] = {
    "flatcar": {"version": "4230.2.3"},
    "kubernetes": "v1.33.6",
    "containerd": "2.2.5",
    "etcd": "3.6.7",
    "keepalived": "2.3.4",
    "haproxy": "3.2.22",
}
MIXED = [
    ("control-plane", "x86-64"),
    ("control-plane", "x86-64"),
    ("load-balancer", "x86-64"),
    ("control-plane", "arm64"),
    ("load-balancer", "arm64"),
    ("worker", "arm64"),
]


def cluster(*nodes: tuple[str, str], **assets: Any) -> Cluster:
    described = [
        {
            "hostname": f"node{number}.example.com",
            "macAddress": f"52:54:00:00:00:{number:02x}",
            "arch": arch,
            "role": role,
            "storage": {"installDisk": "/dev/sda"},
            "address": f"192.0.2.{10 + number}",
        }
        for number, (role, arch) in enumerate(nodes, 1)
    ]
    shared = {"virtualAddress": "192.0.2.5/24", "interface": "eth0"}
    balanced = any(role == "load-balancer" for role, _ in nodes)
    endpoint = shared if balanced else {"host": "api.example.com"}
    return load_cluster(
        {
            "name": "test",
            "bootServer": {"url": "http://192.0.2.1:8080"},
            "assets": VERSIONS | assets,
            "kubernetes": {"endpoint": endpoint},
            "nodes": described,
        }
    )


def select(*nodes: tuple[str, str], **assets: Any) -> tuple[Asset, ...]:
    return select_assets(cluster(*nodes, **assets), load_catalog())


def names(assets: tuple[Asset, ...], kind: str, arch: Architecture) -> list[str]:
    return [asset.name for asset in assets if (asset.kind, asset.arch) == (kind, arch)]


def test_three_and_three_nodes_need_six_flatcar_artifacts_and_eight_extensions() -> None:
    assets = select(*MIXED)
    kinds = Counter(asset.kind for asset in assets)
    assert kinds == {"flatcar": 6, "sysext": 8, "ipxe": 3, "manifest": 1, "image": 2}
    assert Counter((a.kind, a.arch) for a in assets if a.kind in {"flatcar", "sysext"}) == {
        ("flatcar", X86): 3,
        ("flatcar", ARM64): 3,
        ("sysext", X86): 4,
        ("sysext", ARM64): 4,
    }


def test_one_architecture_needs_nothing_of_the_other() -> None:
    assets = select(("control-plane", "arm64"))
    assert {asset.arch for asset in assets} == {ARM64, None}
    assert [asset.main.path for asset in assets if asset.kind == "ipxe"] == [
        "assets/ipxe/ipxe-arm64.efi"
    ]


@pytest.mark.parametrize(
    ("role", "needed"),
    [
        ("control-plane", ["containerd", "etcd", "kubernetes"]),
        ("worker", ["containerd", "kubernetes"]),
        ("load-balancer", ["containerd", "keepalived"]),
        ("etcd", ["etcd"]),
    ],
)
def test_a_role_gets_its_own_extensions(role: str, needed: list[str]) -> None:
    made = cluster(("control-plane", "x86-64"), (role, "arm64"))
    assert names(select_assets(made, load_catalog()), "sysext", ARM64) == needed
    assert [asset.name for asset in sysexts_of(made.nodes[1], made, load_catalog())] == needed


def test_a_version_that_is_not_given_is_not_installed() -> None:
    assets = select(("control-plane", "arm64"), kubernetes=None, etcd=None)
    assert names(assets, "sysext", ARM64) == ["containerd"]


def test_without_kubernetes_there_are_neither_manifests_nor_images() -> None:
    kinds = {asset.kind for asset in select(*MIXED, kubernetes=None)}
    assert kinds == {"flatcar", "sysext", "ipxe"}


def test_only_architectures_with_load_balancers_get_the_image_of_haproxy() -> None:
    assets = select(("control-plane", "x86-64"), ("load-balancer", "arm64"))
    (image,) = [asset for asset in assets if asset.kind == "image"]
    assert (image.arch, image.main.path) == (ARM64, "assets/images/haproxy-3.2.22-arm64.tar")
    assert image.main.url == "oci://docker.io/library/haproxy:3.2.22?platform=linux/arm64"


def test_an_unknown_haproxy_needs_the_place_of_its_archive() -> None:
    nodes = (("control-plane", "arm64"), ("load-balancer", "arm64"))
    with pytest.raises(CatalogError, match=r"assets\.haproxy: .9\.9\.9. is not known .nearest"):
        select(*nodes, haproxy="9.9.9")
    url = "https://files.example.com/haproxy.tar"
    assets = select(*nodes, haproxy="9.9.9", urls={"haproxy": {"arm64": url}})
    (image,) = [asset for asset in assets if asset.kind == "image"]
    assert (image.main.url, image.main.checksums) == (url, "sha256sums")


def test_files_have_the_paths_that_the_boot_server_serves() -> None:
    paths = [file.path for asset in select(("worker", "arm64"), ("control-plane", "x86-64"))
             for file in asset.files]  # fmt: skip
    assert paths == [
        "assets/flatcar/x86-64/4230.2.3/flatcar_production_image.bin.bz2",
        "assets/flatcar/x86-64/4230.2.3/flatcar_production_image.bin.bz2.sig",
        "assets/flatcar/x86-64/4230.2.3/flatcar_production_pxe_image.cpio.gz",
        "assets/flatcar/x86-64/4230.2.3/flatcar_production_pxe.vmlinuz",
        "assets/ipxe/undionly.kpxe",
        "assets/ipxe/ipxe-x86-64.efi",
        "assets/extensions/containerd-2.2.5-x86-64.raw",
        "assets/extensions/etcd-3.6.7-x86-64.raw",
        "assets/extensions/kubernetes-1.33.6-x86-64.raw",
        "assets/flatcar/arm64/4230.2.3/flatcar_production_image.bin.bz2",
        "assets/flatcar/arm64/4230.2.3/flatcar_production_image.bin.bz2.sig",
        "assets/flatcar/arm64/4230.2.3/flatcar_production_pxe_image.cpio.gz",
        "assets/flatcar/arm64/4230.2.3/flatcar_production_pxe.vmlinuz",
        "assets/ipxe/ipxe-arm64.efi",
        "assets/extensions/containerd-2.2.5-arm64.raw",
        "assets/extensions/kubernetes-1.33.6-arm64.raw",
        "assets/manifests/flannel-0.27.4.yaml",
    ]


def test_names_are_unique_per_architecture() -> None:
    chosen = [(asset.arch, asset.name) for asset in select(*MIXED)]
    assert len(set(chosen)) == len(chosen)


def test_nothing_is_locked_before_the_lock_file_is_asked() -> None:
    assert not any(asset.locked for asset in select(*MIXED))


def test_a_given_url_is_used_for_a_version_nobody_knows() -> None:
    url = "https://files.example.com/kubernetes.raw"
    assets = select(
        ("control-plane", "arm64"),
        kubernetes="1.99.1",
        urls={"kubernetes": {"arm64": url}},
    )
    found = next(asset for asset in assets if asset.name == "kubernetes")
    assert (found.main.url, found.main.path) == (
        url,
        "assets/extensions/kubernetes-1.99.1-arm64.raw",
    )


def test_a_given_directory_holds_all_files_of_an_unknown_flatcar_release() -> None:
    assets = select(
        ("control-plane", "arm64"),
        flatcar={"version": "9999.2.0"},
        urls={"flatcar": {"arm64": "https://files.example.com/flatcar/"}},
    )
    kernel = next(asset for asset in assets if asset.name == "flatcar-kernel")
    assert kernel.main.url == "https://files.example.com/flatcar/flatcar_production_pxe.vmlinuz"


def test_an_unknown_version_without_a_url_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"assets\.kubernetes: .1\.99\.1. is not known"):
        select(("control-plane", "arm64"), kubernetes="1.99.1")


def test_a_further_extension_reaches_its_roles_with_its_own_digest() -> None:
    extra = {
        "name": "monitor",
        "version": "1.2.3",
        "roles": ["worker"],
        "url": {arch: f"https://files.example.com/monitor-{arch}.raw" for arch in Architecture},
        "sha256": {"arm64": "ab" * 32},
    }
    made = cluster(("control-plane", "x86-64"), ("worker", "arm64"), sysexts=[extra])
    assets = select_assets(made, load_catalog())
    assert "monitor" not in names(assets, "sysext", X86)
    found = next(asset for asset in assets if asset.name == "monitor")
    assert found.main.sha256 == "ab" * 32
    assert not found.locked


def test_space_is_estimated_until_the_sizes_are_locked() -> None:
    assets = select(*MIXED)
    image, manifest = 45_000_000, 10_000
    assert space_needed(assets, ARM64) == 5_150_000_000 + 1_200_000 + image
    assert space_needed(assets) == 2 * (5_150_000_000 + image) + 2_500_000 + manifest
    locked = [
        asset.model_copy(
            update={
                "files": tuple(
                    file.model_copy(update={"size": 10, "sha256": "00" * 32})
                    for file in asset.files
                )
            }
        )
        for asset in assets
    ]
    assert space_needed(locked) == 10 * sum(len(asset.files) for asset in assets)
