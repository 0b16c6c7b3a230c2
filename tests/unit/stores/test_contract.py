"""What every store promises, held against each of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from kindling.errors import DigestMismatch, StoreRefused
from kindling.stores.base import Stat

PATH = "assets/extensions/etcd-3.5.0-x86-64.raw"
BODY = b"the bytes of an extension"


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def put(place, path=PATH, body=BODY, owner="prod"):
    return place.store.put(path, body, sha256=digest(body), owner=owner)


def test_what_was_put_is_there_with_size_digest_and_owner(place):
    assert put(place) == Stat(PATH, len(BODY), digest(BODY), ("prod",))
    assert place.store.stat(PATH) == Stat(PATH, len(BODY), digest(BODY), ("prod",))
    assert place.store.read(PATH) == BODY
    assert (place.root / PATH).read_bytes() == BODY


def test_a_file_is_put_from_its_path_as_from_its_bytes(place, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(BODY * 100_000)
    wanted = digest(BODY * 100_000)
    assert place.store.put(PATH, source, sha256=wanted, owner="prod").sha256 == wanted
    assert (place.root / PATH).read_bytes() == source.read_bytes()


def test_an_empty_file_can_be_put(place):
    assert put(place, body=b"").size == 0
    assert place.store.read(PATH) == b""


def test_what_is_not_there_is_none_and_no_error(place):
    assert place.store.stat("assets/nothing") is None
    assert place.store.read("assets/nothing") is None
    assert place.store.stat("assets/extensions/nothing/below") is None


def test_a_folder_is_not_a_file(place):
    put(place)
    assert place.store.stat("assets/extensions") is None
    assert place.store.read("assets/extensions") is None


def test_the_same_put_twice_writes_the_file_once(place):
    put(place)
    before = (place.root / PATH).stat()
    assert put(place) == Stat(PATH, len(BODY), digest(BODY), ("prod",))
    after = (place.root / PATH).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_same_bytes_of_a_second_owner_only_add_the_owner(place):
    put(place)
    before = (place.root / PATH).stat()
    assert put(place, owner="staging").owners == ("prod", "staging")
    after = (place.root / PATH).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert place.store.stat(PATH).owners == ("prod", "staging")


def test_bytes_of_another_digest_are_refused_and_nothing_is_left(place):
    with pytest.raises(DigestMismatch, match=PATH):
        place.store.put(PATH, BODY, sha256=digest(b"other"), owner="prod")
    assert place.published() == []
    assert place.incoming() == []


def test_a_refused_replacement_leaves_the_published_bytes(place):
    put(place)
    with pytest.raises(DigestMismatch):
        place.store.put(PATH, b"torn", sha256=digest(b"whole"), owner="prod")
    assert place.store.read(PATH) == BODY
    assert place.store.stat(PATH).owners == ("prod",)


def test_the_only_owner_may_replace_an_artifact(place):
    put(place)
    assert put(place, body=b"new").sha256 == digest(b"new")
    assert place.store.read(PATH) == b"new"


def test_an_artifact_that_another_owner_publishes_is_not_replaced(place):
    put(place)
    with pytest.raises(StoreRefused, match="also published by prod"):
        put(place, body=b"other bytes", owner="staging")
    assert place.store.read(PATH) == BODY
    assert place.store.stat(PATH).owners == ("prod",)


@pytest.mark.parametrize("path", ["boot.ipxe", "dnsmasq/dhcp.conf", "cloud-init/x"])
def test_a_document_that_another_stack_published_is_not_replaced_but_may_be_shared(place, path):
    put(place, path=path, body=b"one", owner="prod/boot@1")
    with pytest.raises(StoreRefused, match="also published by prod/boot@1"):
        put(place, path=path, body=b"two", owner="staging/boot@1")
    assert put(place, path=path, body=b"one", owner="staging/boot@1").owners == (
        "prod/boot@1",
        "staging/boot@1",
    )
    assert place.store.read(path) == b"one"


def test_a_document_is_replaced_by_another_resource_or_place_of_its_stack(place):
    put(place, path="boot.ipxe", body=b"one", owner="prod/boot@1")
    owners = put(place, path="boot.ipxe", body=b"two", owner="prod/site@2").owners
    assert owners == ("prod/boot@1", "prod/site@2")
    assert place.store.read("boot.ipxe") == b"two"


def test_a_machine_of_another_stack_is_not_taken_over_even_with_the_same_bytes(place):
    """HTTP sends documents to be checked: these are good ones."""
    path, body = "nodes/52-54-00-00-00-01.ign", b'{"ignition": {"version": "3.4.0"}}'
    put(place, path=path, body=body, owner="prod/n1@1")
    for theirs in (body, body + b" "):
        with pytest.raises(StoreRefused, match="also published by prod/n1@1"):
            put(place, path=path, body=theirs, owner="staging/n1@1")
    assert put(place, path=path, body=body + b" ", owner="prod/n1@2").owners == (
        "prod/n1@1",
        "prod/n1@2",
    )
    for owner in ("prod/n1@1", "prod/n1@2"):
        place.store.delete(path, owner=owner)
    assert put(place, path=path, body=body, owner="staging/n1@1").owners == ("staging/n1@1",)


def test_a_file_altered_behind_the_back_shows_its_real_digest(place):
    put(place)
    (place.root / PATH).write_bytes(b"x" * len(BODY))
    assert place.store.stat(PATH) == Stat(PATH, len(BODY), digest(b"x" * len(BODY)), ("prod",))


def test_any_owner_may_restore_a_shared_artifact_that_was_altered(place):
    put(place)
    put(place, owner="staging")
    (place.root / PATH).write_bytes(b"altered")
    put(place, owner="staging")
    assert place.store.read(PATH) == BODY
    assert place.store.stat(PATH).owners == ("prod", "staging")


def test_a_file_removed_behind_the_back_is_gone_and_can_be_put_again(place):
    put(place)
    (place.root / PATH).unlink()
    assert place.store.stat(PATH) is None
    assert place.store.read(PATH) is None
    assert place.store.list() == []
    put(place)
    assert place.store.read(PATH) == BODY


def test_a_file_put_there_by_hand_is_seen_without_owner_and_not_deleted(place):
    (place.root / "dnsmasq").mkdir()
    (place.root / "dnsmasq" / "dhcp.conf").write_bytes(b"by hand")
    found = Stat("dnsmasq/dhcp.conf", 7, digest(b"by hand"), ())
    assert place.store.stat("dnsmasq/dhcp.conf") == found
    assert place.store.delete("dnsmasq/dhcp.conf", owner="prod") is False
    assert place.published() == ["dnsmasq/dhcp.conf"]


def test_the_last_owner_takes_the_file_with_it(place):
    put(place)
    put(place, owner="staging")
    assert place.store.delete(PATH, owner="prod") is False
    assert place.store.stat(PATH).owners == ("staging",)
    assert place.store.delete(PATH, owner="staging") is True
    assert place.store.stat(PATH) is None
    assert place.published() == []


def test_deleting_leaves_no_empty_folders_and_no_memory(place):
    put(place)
    place.store.delete(PATH, owner="prod")
    assert [f.name for f in place.root.iterdir() if f.name != ".kindling"] == []
    assert put(place, body=b"new", owner="staging").owners == ("staging",)


def test_an_owner_that_does_not_own_removes_nothing(place):
    put(place)
    assert place.store.delete(PATH, owner="staging") is False
    assert place.store.read(PATH) == BODY


def test_deleting_what_is_not_there_is_success(place):
    assert place.store.delete(PATH, owner="prod") is False


def test_the_list_has_all_files_below_a_prefix_sorted_and_no_private_ones(place):
    for path in ("boot.ipxe", "assets/b", "assets/a/c", "dnsmasq/dhcp.conf"):
        put(place, path=path, body=path.encode())
    assert [s.path for s in place.store.list()] == [
        "assets/a/c",
        "assets/b",
        "boot.ipxe",
        "dnsmasq/dhcp.conf",
    ]
    assert place.store.list("assets/") == [
        Stat("assets/a/c", 10, digest(b"assets/a/c"), ("prod",)),
        Stat("assets/b", 8, digest(b"assets/b"), ("prod",)),
    ]
    assert place.store.list("nothing/") == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../outside",
        "assets/../../outside",
        "assets//a",
        "assets/",
        "assets/./a",
        "assets/.hidden",
        ".kindling/records.sqlite",
        "assets/a\\b",
        "assets/a\0b",
        "assets/a b",
        "assets/%2e%2e/a",
        "assets/ä",
        "assets/" + "a" * 200,
        "assets/a\n",
    ],
)
def test_unsafe_paths_are_refused_for_every_method(place, path):
    for ask in (
        lambda: put(place, path=path),
        lambda: place.store.stat(path),
        lambda: place.store.read(path),
        lambda: place.store.delete(path, owner="prod"),
    ):
        with pytest.raises(StoreRefused, match="not allowed"):
            ask()
    assert place.published() == []


@pytest.mark.parametrize("path", ["other/file", "index.html", "boot.ipxe/x", "node/a", "assets"])
def test_paths_outside_the_published_tree_are_refused_and_the_tree_is_named(place, path):
    with pytest.raises(StoreRefused, match=r"boot\.ipxe, sites/, nodes/, assets/"):
        put(place, path=path)
    assert place.published() == []


@pytest.mark.parametrize("owner", ["", "a b", "a,b", "a\nb", "x" * 300])
def test_owners_that_could_not_be_told_apart_are_refused(place, owner):
    with pytest.raises(StoreRefused, match="owner"):
        put(place, owner=owner)


def test_a_digest_that_is_none_is_refused(place):
    with pytest.raises(StoreRefused, match="SHA-256"):
        place.store.put(PATH, BODY, sha256="ABC", owner="prod")


def test_a_path_through_a_file_is_refused(place):
    put(place, path="assets/a")
    with pytest.raises(StoreRefused):
        put(place, path="assets/a/b")
    assert place.published() == ["assets/a"]
    assert place.incoming() == []


def test_a_folder_is_not_replaced_by_a_file(place):
    put(place, path="assets/a/b")
    with pytest.raises(StoreRefused, match="folder"):
        put(place, path="assets/a")
    assert place.published() == ["assets/a/b"]


def test_concurrent_puts_of_one_path_publish_one_of_them_whole(place):
    bodies = [bytes([n]) * 300_000 for n in range(8)]
    together(lambda n: put(place, path="boot.ipxe", body=bodies[n]), 8)
    assert place.store.read("boot.ipxe") in bodies
    assert place.store.stat("boot.ipxe").sha256 == digest(place.store.read("boot.ipxe"))
    assert place.incoming() == []


def test_concurrent_owners_of_one_artifact_are_all_recorded(place):
    together(lambda n: put(place, owner=f"stack{n}"), 8)
    assert place.store.stat(PATH).owners == tuple(f"stack{n}" for n in range(8))


def test_concurrent_puts_and_deletes_in_one_folder_do_not_lose_a_file(place):
    def work(n):
        for turn in range(5):
            put(place, path=f"assets/folder/{n}", body=bytes([turn]), owner="prod")
            if turn < 4:
                place.store.delete(f"assets/folder/{n}", owner="prod")

    together(work, 6)
    assert place.published() == [f"assets/folder/{n}" for n in range(6)]


def together(work, number: int) -> None:
    """Run ``work(0)`` to ``work(number - 1)`` at once; raises what any of them raised."""
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(work, range(number)))


def test_source_files_are_only_read(place, tmp_path: Path):
    source = tmp_path / "cached"
    source.write_bytes(BODY)
    source.chmod(0o400)
    place.store.put(PATH, source, sha256=digest(BODY), owner="prod")
    assert source.read_bytes() == BODY
