"""`kindling lock` as a whole: manifests are read and their images looked for in a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.sample import write_sample_mirror
from kindling.artifacts.selection import select_assets
from kindling.artifacts.web import Patience
from kindling.cli import main
from kindling.errors import LockError
from kindling.models.cluster import Cluster
from kindling.planning.locking import Locked, Wishes, lock_stacks
from tests.fakes.addon_clusters import addon_cluster
from tests.fakes.cluster_plans import machine
from tests.fakes.registry import RunningRegistry, registry

CATALOG = load_catalog()
QUICK = Patience(attempts=1, sleep=lambda _: None)
BOTH = [machine("control-plane"), machine("worker", arch="arm64")]


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with registry(tmp_path_factory.mktemp("registry")) as running:
        running.push("team/both", "1.0", "amd64", "arm64")
        running.push("team/other", "1.0", "amd64", "arm64")
        running.push("team/old", "1.0", "amd64")
        yield running


def pod(*images: str, **container: Any) -> str:
    containers = [{"name": f"c{n}", "image": each, **container} for n, each in enumerate(images)]
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "front", "namespace": "default"},
            "spec": {"template": {"spec": {"containers": containers}}},
        }
    )


def lock(tmp_path: Path, *clusters: Cluster, **wishes: bool) -> Locked:
    """Lock against a mirror that has everything but the user's own files."""
    mirror = tmp_path / "mirror"
    for cluster in clusters:
        write_sample_mirror(mirror, select_assets(cluster, CATALOG), image_bytes=1000)
    return lock_stacks(clusters, tmp_path / "lock.yaml", CATALOG, Wishes(**wishes), QUICK)


def cluster(tmp_path: Path, text: str = "", **keys: Any) -> Cluster:
    """Two architectures; ``text`` is a manifest of the user's own, in a file."""
    if text:
        (tmp_path / "site.yaml").write_text(text)
        keys["manifests"] = [{"name": "site", "url": str(tmp_path / "site.yaml")}]
    assets = {"mirrors": [str(tmp_path / "mirror")]}
    return addon_cluster(**{"nodes": BOTH, "assets": assets} | keys)


def written(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((tmp_path / "lock.yaml").read_text())
    return found


def test_images_are_written_down_with_digest_and_architectures(
    images: RunningRegistry, tmp_path: Path
) -> None:
    name = f"{images.host}/team/both:1.0"
    done = lock(tmp_path, cluster(tmp_path, pod(name)))
    assert (done.images, done.warnings) == (1, ())
    (pin,) = written(tmp_path)["images"].values()
    assert pin["architectures"] == ["x86-64", "arm64"]
    assert pin["digest"].startswith("sha256:")


def test_a_missing_architecture_names_the_addon_the_image_and_the_architecture(
    images: RunningRegistry, tmp_path: Path
) -> None:
    good, old = (f"{images.host}/team/{name}:1.0" for name in ("both", "old"))
    with pytest.raises(LockError) as raised:
        lock(tmp_path, cluster(tmp_path, pod(good, old)))
    assert str(raised.value) == (
        f"1 image will not do:\nmanifest site: image {old}: has no manifest for arm64, which "
        "nodes of the stack have (it has: x86-64); take another version, or patch the image"
    )
    assert good in written(tmp_path)["images"]


def test_only_architectures_that_run_pods_count(images: RunningRegistry, tmp_path: Path) -> None:
    text = pod(f"{images.host}/team/old:1.0")
    nodes = [machine("control-plane"), machine("worker")]
    assert lock(tmp_path, cluster(tmp_path, text, nodes=nodes)).images == 1


def test_images_of_arguments_variables_and_inline_manifests_count(
    images: RunningRegistry, tmp_path: Path
) -> None:
    both, other = (f"{images.host}/team/{name}:1.0" for name in ("both", "other"))
    text = pod(
        f"{images.host}/team/old:1.0",
        args=[f"--reloader={both}", "--listen=0.0.0.0:8080"],
        env=[{"name": "HELPER_IMAGE", "value": other}, {"name": "PEER", "value": "host/a:8080"}],
    )
    nodes = [machine("control-plane"), machine("worker")]
    keys: dict[str, Any] = {"manifests": [{"name": "own", "inline": text}], "nodes": nodes}
    lock(tmp_path, cluster(tmp_path, **keys))
    assert written(tmp_path)["images"].keys() == {both, other, f"{images.host}/team/old:1.0"}


def test_an_image_that_a_patch_replaces_does_not_count(
    images: RunningRegistry, tmp_path: Path
) -> None:
    (tmp_path / "loki.yaml").write_text(pod(f"{images.host}/team/old:1.0"))
    patch = yaml.safe_load(pod(f"{images.host}/team/both:1.0"))
    settings = {"url": str(tmp_path / "loki.yaml"), "patches": [patch]}
    lock(tmp_path, cluster(tmp_path, addons={"loki": settings}))
    assert written(tmp_path)["images"].keys() == {f"{images.host}/team/both:1.0"}


def test_a_registry_that_does_not_answer_is_a_warning_unless_images_are_required(
    tmp_path: Path,
) -> None:
    stack = cluster(tmp_path, pod("127.0.0.1:1/team/far:1.0"))
    done = lock(tmp_path, stack)
    (warning,) = done.warnings
    assert warning.startswith("manifest site: image 127.0.0.1:1/team/far:1.0: ")
    assert "images" not in written(tmp_path)
    with pytest.raises(LockError, match="team/far"):
        lock(tmp_path, stack, require_images=True)


def test_an_image_that_does_not_exist_is_an_error(images: RunningRegistry, tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"manifest site: image .*absent:1.*its registry has no"):
        lock(tmp_path, cluster(tmp_path, pod(f"{images.host}/team/absent:1")))


def test_what_is_locked_is_not_asked_for_again_unless_refreshed(tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as running:
        running.push("team/both", "1.0", "amd64", "arm64")
        stack = cluster(tmp_path, pod(f"{running.host}/team/both:1.0"))
        lock(tmp_path, stack)
    assert lock(tmp_path, stack).warnings == ()
    assert len(lock(tmp_path, stack, refresh=True).warnings) == 1


def test_images_of_other_stacks_stay_unless_pruned(images: RunningRegistry, tmp_path: Path) -> None:
    both, other = (f"{images.host}/team/{name}:1.0" for name in ("both", "other"))
    lock(tmp_path, cluster(tmp_path, pod(both)))
    stack = cluster(tmp_path, pod(other))
    lock(tmp_path, stack)
    assert written(tmp_path)["images"].keys() == {both, other}
    lock(tmp_path, stack, prune=True)
    assert written(tmp_path)["images"].keys() == {other}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {b: Yw==}\n", "has Secret a"),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n",
            "has NetworkPolicy a, and Flannel enforces none",
        ),
    ],
)
def test_the_users_files_are_read_as_critically_as_what_is_inline(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(LockError, match=rf"manifests\[0\]\.url: .*site\.yaml {said}"):
        lock(tmp_path, cluster(tmp_path, text, cni="flannel"))


def test_a_rendered_chart_with_keys_in_it_is_refused(tmp_path: Path) -> None:
    """Such as the authority that Cilium's chart makes for Hubble."""
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: cilium-ca}\ndata: {ca.key: Yw==}\n"
    (tmp_path / "cilium.yaml").write_text(text)
    keys: dict[str, Any] = {
        "cni": "cilium",
        "addons": {"cilium": {"url": str(tmp_path / "cilium.yaml")}},
    }
    with pytest.raises(LockError, match=r"addons\.cilium\.url: .* has Secret cilium-ca"):
        lock(tmp_path, cluster(tmp_path, **keys))


def test_the_command_says_how_many_images_it_checked_and_what_it_could_not(
    images: RunningRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = f"{images.host}/team/both:1.0", "127.0.0.1:1/team/far:1.0"
    (tmp_path / "site.yaml").write_text(pod(*names))
    stack = tmp_path / "cluster.yaml"
    raw = {
        "name": "test",
        "bootServer": {"url": "https://boot.example.com"},
        "assets": {
            "flatcar": {"version": "4230.2.3"},
            "kubernetes": "1.33.6",
            "containerd": "2.1.4",
            "etcd": "3.6.7",
            "mirrors": [str(tmp_path / "mirror")],
        },
        "cni": "none",
        "manifests": [{"name": "site", "url": str(tmp_path / "site.yaml")}],
        "nodes": BOTH,
    }
    stack.write_text(yaml.safe_dump(raw))
    write_sample_mirror(tmp_path / "mirror", select_assets(cluster(tmp_path), CATALOG))
    assert main(["lock", str(stack), "--lock-file", str(tmp_path / "lock.yaml")]) == 0
    out = capsys.readouterr().out
    assert "warning: manifest site: image 127.0.0.1:1/team/far:1.0: " in out
    assert "artifacts pinned, 1 images checked" in out
