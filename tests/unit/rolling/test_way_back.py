"""The last good state and the patch that leads back to it, with real files and the real git."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindling.artifacts.catalog import load_catalog
from kindling.artifacts.lock import LockFile
from kindling.artifacts.pinning import Pin
from kindling.artifacts.selection import select_assets
from kindling.errors import RollError
from kindling.rolling.record import GoodState, committed, path_of, present, record, recorded
from kindling.rolling.rollback import way_back
from kindling.rolling.stackfile import StackFile
from kindling.stores.directory import DirectoryStore
from tests.fakes.clusters import cluster, node

HEAD = "# Our stack.\nconfig:\n  kindling:cluster:\n"


class Place:
    """A project's folder with a stack file and a lock file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = folder / "Pulumi.test.yaml"
        self.store = DirectoryStore(folder.parent / "store")
        keys = {"address": "192.0.2.1"}
        self.data = cluster(
            node(1, **keys), node(2, role="worker", pool="edge"), node(3, role="worker")
        )
        self.data["kubernetes"] = {"endpoint": {"host": "api.example.com"}}
        self.write()

    def write(self, **assets: Any) -> None:
        """Write the stack file, and pin what it needs."""
        self.data["assets"] = self.data["assets"] | assets
        text = yaml.safe_dump(self.data, sort_keys=False)
        indented = "".join(f"    {line}\n" for line in text.splitlines())
        self.stack.write_text(HEAD + indented)
        assets_needed = select_assets(self.file.cluster(), load_catalog())
        pins = {
            file.path: Pin(url=file.url, size=len(file.path), sha256="ab" * 32)
            for asset in assets_needed
            for file in asset.files
        }
        known = dict(LockFile.load(self.file.lock).artifacts)
        LockFile(artifacts={**known, **pins}).save(self.file.lock)

    @property
    def file(self) -> StackFile:
        return StackFile.of(self.folder, "test")

    def generations(self) -> dict[str, int]:
        return {each.hostname: each.generation for each in self.file.cluster().nodes}

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "--quiet", "--message", "a change")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """In a repository, with its first commit."""
    (tmp_path / "project").mkdir()
    made = Place(tmp_path / "project")
    made.git("init", "--quiet")
    made.commit()
    return made


def keep(place: Place) -> None:
    """Record the present state as good."""
    record(place.store, present(place.file, "test", "good on Monday"))


def known(place: Place) -> GoodState:
    """What is recorded."""
    found = recorded(place.store, "test", place.generations())
    assert found is not None
    return found


def test_the_record_says_versions_generations_and_pins_and_nothing_of_other_stacks(
    place: Place,
) -> None:
    """Pins of artifacts that this stack does not need are another stack's business."""
    lock = LockFile.load(place.file.lock)
    other = Pin(url="https://example.com/x", size=1, sha256="cd" * 32)
    LockFile(artifacts={**lock.artifacts, "assets/other": other}).save(place.file.lock)
    keep(place)
    found = known(place)
    assert found.generations == {"n1.example.com": 1, "n2.example.com": 1, "n3.example.com": 1}
    assert dict(found.pins) == dict(lock.artifacts)
    assert "1.33.6" in found.assets
    assert place.store.read(path_of("test")) == found.to_json()


def test_a_patch_restores_versions_and_pins_and_raises_who_was_rolled(place: Place) -> None:
    """`git apply` takes it; a generation never goes down, and who was not rolled keeps his."""
    keep(place)
    lock_before = place.file.lock.read_text()
    before = place.stack.read_text()
    place.write(kubernetes="1.34.4", containerd="2.2.5")
    pruned = LockFile.load(place.file.lock)
    only_new = {k: v for k, v in pruned.artifacts.items() if "1.33.6" not in k}
    LockFile(artifacts=only_new).save(place.file.lock)
    place.file.raise_generations({"n1.example.com": 2, "n2.example.com": 2})
    found = way_back(place.file, known(place))
    assert found is not None
    assert found.raised == {"n1.example.com": 3, "n2.example.com": 3}
    patch = place.folder / "rollback-test.patch"
    patch.write_text(found.patch)
    assert "good on Monday" in found.patch
    place.git("apply", "--check", str(patch))
    place.git("apply", str(patch))
    assert place.generations() == {"n1.example.com": 3, "n2.example.com": 3, "n3.example.com": 1}
    assert place.file.cluster().assets.kubernetes == "1.33.6"
    assert [line for line in place.stack.read_text().splitlines() if "generation" not in line] == (
        before.splitlines()
    )
    now, then = LockFile.load(place.file.lock), yaml.safe_load(lock_before)["artifacts"]
    assert then.keys() <= now.artifacts.keys()
    assert "assets/extensions/kubernetes-1.34.4-x86-64.raw" in now.artifacts


def test_a_stack_below_the_top_of_its_repository_is_patched_from_the_top(tmp_path: Path) -> None:
    """The names in the patch are the repository's."""
    (tmp_path / "top" / "below").mkdir(parents=True)
    place = Place(tmp_path / "top" / "below")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path / "top", check=True)
    place.commit()
    keep(place)
    place.write(kubernetes="1.34.4")
    found = way_back(place.file, known(place))
    assert found is not None
    assert found.folder == (tmp_path / "top").resolve()
    subprocess.run(["git", "apply", "-"], input=found.patch.encode(), cwd=found.folder, check=True)
    assert place.file.cluster().assets.kubernetes == "1.33.6"


def test_a_lock_file_elsewhere_is_named_and_not_patched(place: Place, tmp_path: Path) -> None:
    """`git apply` would refuse it."""
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(place.file.lock.read_text())
    text = place.stack.read_text() + f"  kindling:lockFile: {elsewhere}\n"
    place.stack.write_text(text)
    keep(place)
    place.stack.write_text(text.replace("1.33.6", "1.34.4"))
    LockFile().save(elsewhere)
    found = way_back(place.file, known(place))
    assert found is not None
    assert f"{elsewhere} is not in this repository" in found.patch
    assert found.patch.count("\n+++ ") == 1


def test_without_other_versions_there_is_no_way_back_to_write(place: Place) -> None:
    """What changed then is elsewhere, and only its author knows what it was before."""
    keep(place)
    place.file.raise_generations({"n1.example.com": 2})
    assert way_back(place.file, known(place)) is None


def test_without_a_record_the_newest_commit_with_other_versions_is_taken(place: Place) -> None:
    """Later commits that changed something else do not count."""
    place.write(kubernetes="1.34.4")
    place.commit()
    place.stack.write_text(place.stack.read_text() + "# a remark\n")
    place.commit()
    found = committed(place.file, "test")
    assert found is not None
    assert found.origin.startswith("commit ")
    assert "1.33.6" in found.assets
    assert any("1.33.6" in path for path in found.pins)


def test_without_a_repository_there_is_no_earlier_state(tmp_path: Path) -> None:
    """And no error."""
    (tmp_path / "project").mkdir()
    assert committed(Place(tmp_path / "project").file, "test") is None


def test_a_record_of_an_earlier_life_of_the_stack_is_not_taken(place: Place) -> None:
    """A stack that was destroyed and made again begins with lower generations."""
    place.file.raise_generations({"n1.example.com": 7})
    keep(place)
    assert recorded(place.store, "test", {"n1.example.com": 1}) is None


def test_a_broken_record_is_an_error_that_names_it(place: Place) -> None:
    """Not a traceback."""
    body = b"{}"
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    place.store.put(path_of("test"), body, sha256=digest, owner="test/roll")
    with pytest.raises(RollError, match=r"rolls/test\.json"):
        recorded(place.store, "test", {})


def test_a_cluster_in_a_file_of_its_own_is_raised_and_patched_there(place: Place) -> None:
    """`kindling:clusterFile`."""
    (place.folder / "cluster.yaml").write_text(yaml.safe_dump(place.data, sort_keys=False))
    place.stack.write_text("config:\n  kindling:clusterFile: cluster.yaml\n")
    place.commit()
    keep(place)
    place.file.raise_generations({"n3.example.com": 2})
    assert place.generations()["n3.example.com"] == 2
    text = (place.folder / "cluster.yaml").read_text()
    (place.folder / "cluster.yaml").write_text(text.replace("1.33.6", "1.34.4"))
    found = way_back(place.file, known(place))
    assert found is not None
    assert "+++ b/cluster.yaml" in found.patch


def test_a_missing_stack_file_is_named_with_those_that_are_there(place: Place) -> None:
    """As somebody mistypes it."""
    with pytest.raises(RollError, match=r"no Pulumi\.tset\.yaml.*Pulumi\.test\.yaml"):
        StackFile.of(place.folder, "tset")
