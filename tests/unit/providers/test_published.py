"""Dynamic resources against a store in memory: what is published, found, mended and given up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kindling.errors import StoreUnreachable
from kindling.models.credentials import Credentials
from kindling.models.plan import NodePlan
from kindling.rendering.boot_files import BootFilesPlan
from providers import base, node_configuration
from providers.artifact import ArtifactProvider
from providers.base import UNKNOWN, PublishedProvider, has_unknowns
from providers.boot_file import BootFileProvider
from providers.node_configuration import NodeConfigurationProvider
from tests.fakes.plans import MAC, make_plan
from tests.fakes.stores import FailingStore, MemoryStore

STORE = {"http": "http://127.0.0.1:9"}
DOCUMENT, IGNITION = "nodes/52-54-00-00-00-01.json", "nodes/52-54-00-00-00-01.ign"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The store that every provider of the test opens."""
    made = MemoryStore()
    monkeypatch.setattr(base, "open_store", lambda location, token: made)
    return made


def node_inputs(plan: NodePlan | None = None, secret: str = "s" * 43) -> dict[str, Any]:
    """What the program gives for one node."""
    given = plan or make_plan()
    return {
        "store": STORE,
        "owner": "test/node-1",
        "mac": MAC,
        "plan": given.to_json(),
        "secret": secret if secret == UNKNOWN else Credentials(stack=secret).to_json(),
    }


def checked(provider: PublishedProvider, news: Any, olds: Any = None) -> dict[str, Any]:
    """The inputs after `check`, which must not find anything wrong."""
    result = provider.check(olds or {}, {**news, "__provider": "x"})
    assert result.failures == []
    return result.inputs


def test_a_node_is_published_as_ignition_and_document(store: MemoryStore) -> None:
    """The document comes last: it must never name an Ignition that is not there."""
    provider = NodeConfigurationProvider()
    made = provider.create(checked(provider, node_inputs()))
    assert store.writes == [IGNITION, DOCUMENT]
    assert made.outs is not None
    assert "secret" not in made.outs
    assert made.outs["published"] == {
        path: hashlib.sha256(store.files[path].body).hexdigest() for path in (DOCUMENT, IGNITION)
    }


def test_creating_twice_is_creating_once(store: MemoryStore) -> None:
    """A run that was killed after it published is continued by the next."""
    provider = NodeConfigurationProvider()
    inputs = checked(provider, node_inputs())
    provider.create(inputs)
    provider.create(inputs)
    assert store.writes == [IGNITION, DOCUMENT]


def test_a_changed_address_names_its_file_and_nothing_else(store: MemoryStore) -> None:
    """The digests of the other files stay; the whole's digest and its documents change."""
    provider = NodeConfigurationProvider()
    plans = [
        make_plan(network={"ethernets": {"eth0": {"addresses": [address]}}})
        for address in ("192.0.2.5/24", "192.0.2.6/24")
    ]
    old = checked(provider, node_inputs(plans[0]))
    new = checked(provider, node_inputs(plans[1]), old)
    before, after = json.loads(old["files"]), json.loads(new["files"])
    changed = {path for path in after if after[path] != before.get(path)}
    assert "/etc/systemd/network/" in " ".join(changed)
    assert not [path for path in changed if "containerd" in path or "status.token" in path]
    assert provider.diff("id", provider.outputs(old), new).changes is True
    assert len(json.loads(new["history"])) == 2


def test_nothing_is_rendered_again_while_nothing_changed(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plan, secret and renderer are the same: so is everything that follows from them."""
    provider = NodeConfigurationProvider()
    old = checked(provider, node_inputs())
    monkeypatch.setattr(node_configuration, "_render", _must_not_render)
    new = checked(provider, node_inputs(), old)
    assert new == old
    assert provider.diff("id", provider.outputs(old), new).changes is False


def _must_not_render(*_arguments: object) -> Any:
    raise AssertionError("rendered without a need")


def test_a_new_renderer_renders_again(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed template must reach every node's digests."""
    provider = NodeConfigurationProvider()
    old = checked(provider, node_inputs())
    monkeypatch.setattr(node_configuration, "renderer_digest", lambda: "another")
    monkeypatch.setattr(node_configuration, "_render", _must_not_render)
    with pytest.raises(AssertionError, match="rendered without a need"):
        provider.check(old, node_inputs())


def test_digests_that_depend_on_an_unknown_secret_are_unknown() -> None:
    """And only those: the first preview still names every other file's digest."""
    inputs = checked(NodeConfigurationProvider(), node_inputs(secret=UNKNOWN))
    files = json.loads(inputs["files"])
    unknown = {path for path, digest in files.items() if digest == "known after the first up"}
    assert unknown == {"/etc/kindling/status.token", "install/status.token"}
    assert inputs["digest"] == UNKNOWN
    assert has_unknowns(inputs["published"])


def test_what_cannot_be_rendered_is_a_failure_of_the_preview() -> None:
    """On the right resource, with a sentence, and without the plan in front of it."""
    unit = {"name": "broken.service", "contents": "[Service\nno section"}
    plan = make_plan(systemd={"units": [unit]})
    result = NodeConfigurationProvider().check({}, node_inputs(plan))
    assert [failure.property for failure in result.failures] == [""]
    assert "node-1.example.com" in result.failures[0].reason
    assert "systemd.units" in result.failures[0].reason


def test_a_lower_generation_is_refused() -> None:
    """The machine would take it for one that it has, and a preview would promise what never is."""
    olds = checked(NodeConfigurationProvider(), node_inputs(make_plan(generation=3)))
    result = NodeConfigurationProvider().check(olds, node_inputs(make_plan(generation=2)))
    assert [failure.reason for failure in result.failures] == [
        (
            "node-1.example.com: generation: 2 is lower than 3, which is published already; "
            "give 3, or 4 to install the machine again"
        )
    ]


def test_a_vanished_configuration_reads_as_gone(store: MemoryStore) -> None:
    """Refresh shows it as deleted; the next up creates it."""
    provider = NodeConfigurationProvider()
    made = provider.create(checked(provider, node_inputs()))
    assert made.outs is not None
    store.lose(DOCUMENT)
    store.lose(IGNITION)
    assert provider.read(made.id, made.outs).id is None


def test_an_altered_configuration_is_mended(store: MemoryStore) -> None:
    """Read tells what is there; check plans what should be; update puts it back."""
    provider = NodeConfigurationProvider()
    inputs = checked(provider, node_inputs())
    made = provider.create(inputs)
    assert made.outs is not None
    kept = store.files[IGNITION].body
    store.alter(IGNITION, b"something else")
    store.lose(DOCUMENT)
    found = provider.read(made.id, made.outs)
    assert found.outs is not None
    assert found.inputs is not None
    assert found.outs["published"][DOCUMENT] == "missing"
    mended = checked(provider, node_inputs(), found.inputs)
    assert provider.diff(made.id, found.outs, mended).changes is True
    provider.update(made.id, found.outs, mended)
    assert store.files[IGNITION].body == kept
    assert DOCUMENT in store.files


def test_another_store_or_mac_is_another_resource() -> None:
    """The old files must go from where they are."""
    provider = NodeConfigurationProvider()
    old = checked(provider, node_inputs())
    moved = checked(provider, node_inputs() | {"store": {"directory": "/srv"}}, old)
    assert provider.diff("id", provider.outputs(old), moved).replaces == ["store"]
    swapped = checked(
        provider,
        node_inputs(make_plan(macAddress="52:54:00:00:00:02")) | {"mac": "52:54:00:00:00:02"},
        old,
    )
    assert provider.diff("id", provider.outputs(old), swapped).replaces == ["published"]


def test_an_unknown_secret_never_replaces_a_node() -> None:
    """Unknown means "changes", never "replace"."""
    provider = NodeConfigurationProvider()
    old = checked(provider, node_inputs())
    new = checked(provider, node_inputs(secret=UNKNOWN), old)
    result = provider.diff("id", provider.outputs(old), new)
    assert (result.changes, result.replaces) == (True, None)


def test_delete_accepts_what_is_gone_and_states_without_keys(store: MemoryStore) -> None:
    """Today's code meets yesterday's state."""
    provider = NodeConfigurationProvider()
    made = provider.create(checked(provider, node_inputs()))
    assert made.outs is not None
    store.lose(DOCUMENT)
    provider.delete(made.id, made.outs)
    provider.delete(made.id, made.outs)
    assert store.files == {}
    provider.delete("old", {"store": STORE})


def test_delete_leaves_what_another_stack_publishes(store: MemoryStore) -> None:
    """An artifact that two stacks share goes with the last of them."""
    body = b"extension"
    digest = hashlib.sha256(body).hexdigest()
    path = "assets/extensions/etcd-3.6.7-arm64.raw"
    for owner in ("staging/etcd", "prod/etcd"):
        store.put(path, body, sha256=digest, owner=owner)
    props = {"store": STORE, "owner": "staging/etcd", "published": {path: digest}}
    ArtifactProvider().delete("staging/etcd", props)
    assert store.files[path].owners == {"prod/etcd"}


def artifact_inputs(body: bytes, source: str) -> dict[str, Any]:
    """One pinned artifact."""
    path = "assets/extensions/etcd-3.6.7-arm64.raw"
    digest = hashlib.sha256(body).hexdigest()
    file = {"path": path, "url": source, "sha256": digest, "size": float(len(body))}
    return {"store": STORE, "owner": "test/etcd", "files": [file], "mirrors": []}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own."""
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    return iter([tmp_path / "cache"])


def test_an_artifact_that_the_store_has_is_not_fetched(store: MemoryStore, cache: Path) -> None:
    """A run that was killed after the upload does not download again."""
    inputs = artifact_inputs(b"extension", "file:///nowhere")
    (file,) = inputs["files"]
    store.put(file["path"], b"extension", sha256=file["sha256"], owner="killed/run")
    provider = ArtifactProvider()
    provider.create(checked(provider, inputs))
    assert store.files[file["path"]].owners == {"killed/run", "test/etcd"}


def test_an_artifact_is_fetched_verified_and_published(
    store: MemoryStore, cache: Path, tmp_path: Path
) -> None:
    """Sizes arrive as floats from the engine."""
    (tmp_path / "etcd.raw").write_bytes(b"extension")
    inputs = artifact_inputs(b"extension", f"file://{tmp_path}/etcd.raw")
    provider = ArtifactProvider()
    provider.create(checked(provider, inputs))
    assert [file.body for file in store.files.values()] == [b"extension"]


def test_another_source_of_the_same_bytes_changes_nothing(tmp_path: Path) -> None:
    """A mirror that moved is no reason to upload 5 GB again."""
    provider = ArtifactProvider()
    old = checked(provider, artifact_inputs(b"extension", "https://a.example/etcd.raw"))
    new = artifact_inputs(b"extension", "https://b.example/etcd.raw") | {"mirrors": ["/mnt"]}
    assert provider.diff("id", old, checked(provider, new)).changes is False


def test_a_boot_file_is_rendered_in_the_preview_and_published(store: MemoryStore) -> None:
    """Its digest is known before anything is touched."""
    plan = BootFilesPlan(stack="test", cluster="example", base_url="http://192.0.2.2:8080")
    inputs = {"store": STORE, "owner": "test/boot.ipxe", "path": "boot.ipxe"}
    provider = BootFileProvider()
    news = checked(provider, inputs | {"plan": plan.to_json()})
    provider.create(news)
    body = store.files["boot.ipxe"].body
    assert body.startswith(b"#!ipxe")
    assert news["published"] == {"boot.ipxe": hashlib.sha256(body).hexdigest()}


def test_an_unreachable_store_is_an_error_and_never_an_absence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refresh during an outage must not forget what is published."""
    monkeypatch.setattr(base, "open_store", lambda location, token: FailingStore())
    with pytest.raises(StoreUnreachable):
        ArtifactProvider().read("id", {"store": STORE, "published": {"boot.ipxe": "0" * 64}})
