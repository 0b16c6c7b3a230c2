"""Manifests as artifacts: where they are published, and how they are pinned."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.lock import LockFile, update_lock
from kindling.artifacts.manifests import manifest_assets
from kindling.artifacts.progress import Lines
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.transfer import Manner
from kindling.artifacts.web import Patience
from kindling.errors import LockError
from kindling.models.assets import Asset
from kindling.models.manifest_text import objects_of
from tests.fakes.addon_clusters import addon_cluster
from tests.fakes.artifacts import sha256
from tests.fakes.web import Web

TEXT = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.fixture
def manner(report: Lines, patience: Patience) -> Manner:
    return Manner(report, patience)


def assets(**keys: object) -> dict[str, Asset]:
    found = manifest_assets(addon_cluster(**keys), load_catalog())
    return {asset.name: asset for asset in found}


def users(url: str, name: str = "site", **fields: str) -> Asset:
    return assets(manifests=[{"name": name, "url": url, **fields}])[f"manifest-{name}"]


def test_an_addons_manifest_is_published_once_for_all_architectures() -> None:
    (flannel,) = assets(cni="flannel").values()
    assert flannel.arch is None
    assert flannel.main.path == "assets/manifests/flannel-0.27.4.yaml"
    assert flannel.main.url.endswith("/flannel/releases/download/v0.27.4/kube-flannel.yml")


def test_a_file_of_the_stacks_own_has_another_path_than_the_release() -> None:
    url = "https://files.example.com/metallb.yaml"
    given = assets(addons={"metallb": {"url": url, "version": "0.15.3"}})["metallb"]
    released = assets(addons={"metallb": {"version": "0.15.3"}})["metallb"]
    assert given.main.url == url
    assert given.main.path != released.main.path


def test_two_stacks_may_use_one_name_for_two_files() -> None:
    one, other = (users(f"https://files.example.com/{name}.yaml") for name in ("a", "b"))
    assert one.main.path != other.main.path


def test_what_is_inline_is_no_artifact() -> None:
    assert not assets(manifests=[{"name": "site", "inline": TEXT.decode()}])


def test_a_manifest_without_a_published_checksum_needs_trust_or_a_digest(
    web: Web, tmp_path: Path, manner: Manner
) -> None:
    web.files["/a.yaml"] = TEXT
    asset, lock = users(f"{web.url}/a.yaml"), tmp_path / "lock.yaml"
    with pytest.raises(LockError, match="no published checksum was found"):
        update_lock([asset], lock, manner=manner)
    told = users(f"{web.url}/a.yaml", sha256=sha256(TEXT))
    pins = update_lock([told], lock, manner=manner).artifacts
    assert pins[told.main.path].sha256 == sha256(TEXT)
    trusting = update_lock([asset], tmp_path / "other.yaml", trust_download=True, manner=manner)
    assert trusting.artifacts == pins


def test_the_users_own_file_needs_no_trust_and_is_read_again_each_time(
    tmp_path: Path, manner: Manner
) -> None:
    file, lock = tmp_path / "site.yaml", tmp_path / "lock.yaml"
    asset = users(str(file))
    for text in (TEXT, TEXT + b"data: {b: c}\n"):
        file.write_bytes(text)
        pins = update_lock([asset], lock, manner=manner).artifacts
        assert pins[asset.main.path].sha256 == sha256(text)
    assert LockFile.load(lock).resolve([asset]).missing == ()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, manner: Manner) -> None:
    with pytest.raises(LockError, match=r"absent\.yaml: No such file"):
        update_lock([users(str(tmp_path / "absent.yaml"))], tmp_path / "lock", manner=manner)


def test_a_sample_of_a_manifest_is_one_that_a_cluster_can_take(
    tmp_path: Path, manner: Manner
) -> None:
    chosen = list(assets(cni="flannel", addons={"metallb": {}}).values())
    for path in write_sample_mirror(tmp_path, chosen):
        (sample,) = objects_of(path.read_text())
        assert sample["metadata"]["name"].startswith("kindling-sample-")
    lock = update_lock(chosen, tmp_path / "lock", mirrors=(str(tmp_path),), manner=manner)
    assert lock.resolve(chosen).missing == ()


def test_a_type_of_yaml_that_nobody_else_knows_is_text() -> None:
    """As in prometheus-operator's kinds: an operator `=` among others."""
    text = TEXT.decode() + "data: {operators: '[]', equal: =}\n"
    assert objects_of(text)[0]["data"]["equal"] == "="
    assert yaml.safe_load(TEXT.decode())["kind"] == "ConfigMap"
