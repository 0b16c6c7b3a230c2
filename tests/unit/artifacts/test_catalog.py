from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from kindling.artifacts.catalog import CATALOG, load_catalog
from kindling.errors import CatalogError
from kindling.models.architecture import Architecture


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CATALOG, tmp_path / "catalog"))


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_flatcar_comes_from_the_channel_and_board_of_the_architecture() -> None:
    catalog = load_catalog()
    got = [catalog.flatcar_directory("stable", "4230.2.3", arch) for arch in Architecture]
    assert got == [
        "https://stable.release.flatcar-linux.net/amd64-usr/4230.2.3",
        "https://stable.release.flatcar-linux.net/arm64-usr/4230.2.3",
    ]


@pytest.mark.parametrize(
    ("name", "version", "publisher", "release"),
    [
        ("containerd", "2.2.5", "flatcar/sysext-bakery", "containerd-2.2.5"),
        ("kubernetes", "1.33.2", "flatcar/sysext-bakery", "kubernetes-v1.33.2"),
        ("kubernetes", "1.33.6", "sighupio/installer-immutable-sysext", "kubernetes-v1.33.6"),
        ("etcd", "3.6.7", "sighupio/installer-immutable-sysext", "etcd-v3.6.7"),
    ],
)
def test_an_extension_comes_from_the_publisher_that_has_the_version(
    name: str, version: str, publisher: str, release: str
) -> None:
    url, _ = load_catalog().sysext_url(name, version, Architecture.ARM64)
    assert url == (
        f"https://github.com/{publisher}/releases/download/{release}/{release}-arm64.raw"
    )


def test_versions_are_known_by_component() -> None:
    known = load_catalog().known_versions()
    programs = {"flatcar", "containerd", "kubernetes", "etcd", "keepalived", "haproxy"}
    assert programs | {"flannel", "metallb", "kube-network-policies"} <= known.keys()
    assert known["cilium"] == frozenset()  # upstream releases no manifest
    assert "1.33.6" in known["kubernetes"]
    assert {"4230.2.3", "4081.3.7"} <= known["flatcar"]


def test_versions_stay_text_in_the_catalog() -> None:
    for versions in load_catalog().known_versions().values():
        assert all(version.count(".") == 2 for version in versions)


def test_an_unknown_version_names_the_nearest_and_the_remedy() -> None:
    with pytest.raises(CatalogError) as raised:
        load_catalog().sysext_url("kubernetes", "1.33.5", Architecture.ARM64)
    assert str(raised.value) == (
        'assets.kubernetes: "1.33.5" is not known (nearest known: 1.33.2, 1.33.4, 1.33.6); use a '
        "known one, or give its location in assets.urls.kubernetes, per architecture"
    )


def test_an_unknown_extension_names_the_known_ones() -> None:
    with pytest.raises(CatalogError, match="it has: containerd, etcd, keepalived, kubernetes"):
        load_catalog().sysext_url("tailscale", "1.98.3", Architecture.ARM64)


def test_an_addons_manifest_is_the_released_one_of_its_version() -> None:
    url, entry = load_catalog().addon_url("metallb", "0.15.3", "metallb")
    assert url.endswith("/metallb/metallb/v0.15.3/config/manifests/metallb-native.yaml")
    assert entry.newest == "0.15.3"


def test_every_released_manifest_has_a_version_to_take() -> None:
    entries = load_catalog().addons.values()
    assert all((entry.url is None) == (entry.newest is None) for entry in entries)


def test_an_unknown_version_of_an_addon_names_the_nearest_and_the_remedy() -> None:
    with pytest.raises(CatalogError) as raised:
        load_catalog().addon_url("kube-network-policies", "0.9.0", "networkPolicies")
    assert str(raised.value) == (
        'addons.networkPolicies.version: "0.9.0" is not known (nearest known: 0.7.0, 0.8.0); use '
        "a known one, or give the manifest's location in addons.networkPolicies.url"
    )


def test_an_unknown_release_names_the_nearest_of_its_channel() -> None:
    with pytest.raises(CatalogError, match=r"assets\.flatcar\.version: .4230\.2\.9.*4230\.2\.4"):
        load_catalog().flatcar_directory("stable", "4230.2.9", Architecture.ARM64)


def test_a_release_of_another_channel_says_so() -> None:
    with pytest.raises(CatalogError, match="that is a release of lts: change channel or version"):
        load_catalog().flatcar_directory("stable", "4081.3.7", Architecture.ARM64)


def test_a_channel_without_any_known_release_says_so() -> None:
    with pytest.raises(CatalogError, match=r"in channel alpha .none is known."):
        load_catalog().flatcar_directory("alpha", "4800.0.0", Architecture.ARM64)


def test_a_mistake_in_the_catalog_names_file_and_field(copied: Path) -> None:
    change(copied / "sysexts.yaml", "roles: [load-balancer]", "roles: [loadbalancer]")
    with pytest.raises(CatalogError, match=r"sysexts\.keepalived\.roles.*mend the catalog"):
        load_catalog(copied)


def test_versions_of_a_publisher_that_is_not_listed_are_refused(copied: Path) -> None:
    change(copied / "sysexts.yaml", "flatcar-bakery: [2.3.1]", "bakery: [2.3.1]")
    with pytest.raises(CatalogError, match="keepalived: publisher bakery is not under publishers"):
        load_catalog(copied)


@pytest.mark.parametrize("content", ["- a list", "a: [", None])
def test_a_file_that_is_no_catalog_is_named(copied: Path, content: str | None) -> None:
    file = copied / "ipxe.yaml"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(CatalogError, match=r"ipxe\.yaml"):
        load_catalog(copied)


def test_the_estimate_is_about_five_gigabytes_and_150_megabytes_per_architecture() -> None:
    flatcar = yaml.safe_load((CATALOG / "flatcar.yaml").read_text())["flatcar"]["files"]
    sysexts = yaml.safe_load((CATALOG / "sysexts.yaml").read_text())["sysexts"].values()
    assert sum(file["estimatedSize"] for file in flatcar) == 5_000_000_000
    assert sum(entry["estimatedSize"] for entry in sysexts) == 150_000_000
