"""Ignition is carried out strictly: what a real machine would choke on is refused by name."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from kindling.errors import SimulationError
from kindling.simulator.console import Console
from kindling.simulator.ignition import Executor
from kindling.simulator.patience import Patience
from kindling.simulator.system import System
from kindling.simulator.transport import Network, TransferFailed
from tests.fakes.boot_segment import BootSegment, config, data_url, file, unit

BODY = b"extension" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
SHA512 = hashlib.sha512(BODY).hexdigest()


@pytest.fixture
def segment() -> Iterator[BootSegment]:
    with BootSegment() as played:
        played.files["body"] = BODY
        played.files["body.gz"] = gzip.compress(BODY)
        yield played


def apply(document: dict[str, Any], lines: list[str] | None = None) -> System:
    with Network() as network:
        console = Console("test", lines.append if lines is not None else lambda _line: None)
        executor = Executor(network, console, Patience(attempts=2, wait=0))
        return executor.apply(json.dumps(document).encode(), "test.ign")


def one_file(**contents: Any) -> dict[str, Any]:
    return config(storage={"files": [{"path": "/a", "contents": contents}]})


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("data:,hello%20world%0A", b"hello world\n"),
        ("data:text/plain;charset=utf-8,x", b"x"),
        (f"data:;base64,{base64.b64encode(BODY).decode()}", BODY),
        ("data:text/plain;base64,eA%3D%3D", b"x"),
        ("data:,", b""),
    ],
)
def test_data_urls_are_decoded(source: str, body: bytes) -> None:
    assert apply(one_file(source=source)).bytes_of("/a") == body


def test_the_hash_is_over_the_decompressed_content() -> None:
    packed = data_url(gzip.compress(BODY))
    verification = {"hash": f"sha256-{SHA256}"}
    system = apply(one_file(source=packed, compression="gzip", verification=verification))
    assert system.bytes_of("/a") == BODY


@pytest.mark.parametrize(("name", "compression"), [("body", ""), ("body.gz", "gzip")])
@pytest.mark.parametrize("digest", [f"sha256-{SHA256}", f"sha512-{SHA512}"])
def test_remote_files_are_fetched_and_verified(
    segment: BootSegment, name: str, compression: str, digest: str
) -> None:
    lines: list[str] = []
    source = f"{segment.url}/{name}"
    document = one_file(source=source, compression=compression, verification={"hash": digest})
    assert apply(document, lines).bytes_of("/a") == BODY
    assert lines == [f"[simulated] test ignition: /a: {len(BODY)} bytes, verified"]


def test_of_a_long_remote_file_only_the_digest_is_kept(segment: BootSegment) -> None:
    long = b"x" * 3_000_000
    segment.files["long"] = long
    system = apply(one_file(source=f"{segment.url}/long"))
    assert system.files["/a"].content.sha256 == hashlib.sha256(long).hexdigest()
    assert system.files["/a"].content.size == len(long)
    with pytest.raises(SimulationError, match="/a: too long"):
        system.bytes_of("/a")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"source": "data:,x", "verification": {"hash": f"sha256-{SHA256}"}}, "/a: sha256 is"),
        ({"source": "data:nocomma"}, "/a: data: URL without a comma"),
        ({"source": "data:;base64,%%%"}, "/a: data: URL with broken base64"),
        ({"source": "data:,plain", "compression": "gzip"}, "/a: not gzip"),
        (
            {"source": data_url(gzip.compress(BODY)[:-9]), "compression": "gzip"},
            "/a: the gzip content ends too early",
        ),
        ({"source": "s3://bucket/x"}, "data:, http and https only"),
        ({"source": "data:,x", "compression": "xz"}, "contents.compression"),
        ({"source": "data:,x", "verification": {"hash": "md5-1"}}, "verification.hash"),
        ({"source": "data:,x", "verification": {"hash": "sha256-ABC"}}, "verification.hash"),
        ({"source": "data:,x", "shape": "round"}, "contents.shape"),
    ],
)
def test_unusable_contents_are_refused_by_name(contents: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError) as raised:
        apply(one_file(**contents))
    assert message in str(raised.value)


def test_a_failed_transfer_names_the_file_and_the_answer(segment: BootSegment) -> None:
    with pytest.raises(TransferFailed, match=r"/a: .*/gone: HTTP 404"):
        apply(one_file(source=f"{segment.url}/gone"))


def test_local_files_are_there_although_a_remote_one_fails(segment: BootSegment) -> None:
    remote = {"path": "/a", "contents": {"source": f"{segment.url}/gone"}}
    document = config(storage={"files": [remote, file("/b", "local")]})
    with Network() as network:
        executor = Executor(network, Console("test"), Patience(attempts=1))
        with pytest.raises(TransferFailed):
            executor.apply(json.dumps(document).encode(), "test.ign")
    assert executor.system.bytes_of("/b") == b"local"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"ignition": {"version": "2.3.0"}}, "ignition.version"),
        ({"ignition": {"version": "3.9.0"}}, "ignition.version"),
        ({"storage": {}}, "ignition: Field required"),
        (config(containers={}), "containers: Extra inputs"),
        (config(storage={"volumes": []}), "storage.volumes"),
        (config(storage={"files": [{"path": "relative"}]}), "storage.files.0.path"),
        (config(storage={"files": [{"path": "/a/../b"}]}), "storage.files.0.path"),
        (config(storage={"files": [{"path": "/a", "mode": "0644"}]}), "storage.files.0.mode"),
        (config(storage={"links": [{"path": "/a"}]}), "storage.links.0.target"),
        (config(systemd={"units": [{"name": "no-suffix"}]}), "systemd.units.0.name"),
        (config(systemd={"units": [{"name": "a.service", "enable": True}]}), "units.0.enable"),
        (config(passwd={"users": [{"uid": 1}]}), "passwd.users.0.name"),
        (config(storage={"files": [file("/a", ""), file("/a", "")]}), "/a is there twice"),
        (
            config(
                storage={"files": [file("/l/x", "")], "links": [{"path": "/l", "target": "/t"}]}
            ),
            "/l/x lies below the link /l",
        ),
    ],
)
def test_what_the_specification_does_not_know_is_refused(
    document: dict[str, Any], message: str
) -> None:
    with pytest.raises(SimulationError) as raised:
        apply(document)
    assert message in str(raised.value)
    assert str(raised.value).startswith("test.ign: ")


def test_what_is_no_json_is_refused() -> None:
    with Network() as network, pytest.raises(SimulationError, match="not an Ignition config"):
        Executor(network, Console("test"), Patience()).apply(b"{", "test.ign")


def test_every_section_of_the_specification_is_taken() -> None:
    document = config(
        kernelArguments={"shouldExist": ["a=b"], "shouldNotExist": ["quiet"]},
        passwd={
            "users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 A"], "uid": 500}],
            "groups": [{"name": "ops", "gid": 900}],
        },
        storage={
            "disks": [{"device": "/dev/sda", "partitions": [{"number": 9, "sizeMiB": 0}]}],
            "raid": [{"name": "md", "level": "raid1", "devices": ["/dev/sdb", "/dev/sdc"]}],
            "luks": [{"name": "data", "device": "/dev/sdd", "clevis": {"tpm2": True}}],
            "filesystems": [{"device": "/dev/md/md", "format": "xfs", "path": "/data"}],
            "directories": [{"path": "/data", "mode": 448, "user": {"id": 500}}],
            "links": [{"path": "/etc/localtime", "target": "/usr/share/zoneinfo/UTC"}],
            "files": [{**file("/a", "one "), "append": [{"source": "data:,two"}]}],
        },
        systemd={"units": [{"name": "a.service", "dropins": [{"name": "b.conf"}], "mask": True}]},
    )
    system = apply(document)
    assert system.bytes_of("/a") == b"one two"
    assert system.directories == {"/data": 0o700}
    assert system.links == {"/etc/localtime": "/usr/share/zoneinfo/UTC"}
    assert system.users == ("core",)
    assert system.groups == ("ops",)
    assert system.disks == ("/dev/sda",)
    assert system.kernel_arguments == ("a=b",)


def test_merged_configs_win_and_lists_grow(segment: BootSegment) -> None:
    child = config(storage={"files": [file("/a", "child"), file("/c", "child")]})
    segment.files["child.ign"] = json.dumps(child).encode()
    document = config(storage={"files": [file("/a", "parent"), file("/b", "parent")]})
    document["ignition"]["config"] = {"merge": [{"source": f"{segment.url}/child.ign"}]}
    system = apply(document)
    assert {path: system.bytes_of(path) for path in system.files} == {
        "/a": b"child",
        "/b": b"parent",
        "/c": b"child",
    }


def test_a_replacing_config_is_all_that_counts() -> None:
    other = json.dumps(config(storage={"files": [file("/b", "other")]})).encode()
    document = config(storage={"files": [file("/a", "first")]})
    document["ignition"]["config"] = {"replace": {"source": data_url(other)}}
    assert list(apply(document).files) == ["/b"]


def test_configs_inside_each_other_end_somewhere(segment: BootSegment) -> None:
    document = config()
    document["ignition"]["config"] = {"merge": [{"source": f"{segment.url}/round.ign"}]}
    segment.files["round.ign"] = json.dumps(document).encode()
    with pytest.raises(SimulationError, match="more than 8 configs inside each other"):
        apply(document)


def test_a_config_that_does_not_match_its_hash_is_refused() -> None:
    document = config()
    inner = {"source": data_url(b"{}"), "verification": {"hash": f"sha256-{SHA256}"}}
    document["ignition"]["config"] = {"merge": [inner]}
    with pytest.raises(SimulationError, match="sha256 is"):
        apply(document)


def test_a_unit_starts_when_it_is_enabled_installed_and_not_masked() -> None:
    program = file("/opt/kindling/run", "", 0o755)
    good = unit("a.service", "/opt/kindling/run")
    units = [good, {**good, "name": "b.service", "mask": True},
             {**good, "name": "c.service", "enabled": False}]  # fmt: skip
    system = apply(config(storage={"files": [program]}, systemd={"units": units}))
    started = [name for name in ("a.service", "b.service", "c.service") if system.starts(name)]
    assert started == ["a.service"]
    assert not system.starts("unknown.service")


@pytest.mark.parametrize(
    ("mode", "contents", "message"),
    [
        (0o644, None, "a.service: /opt/kindling/run is not executable"),
        (0o755, "[Service]\nExecStart=/opt/kindling/gone\n[Install]\nWantedBy=x\n", "is missing"),
        (0o755, "[Service]\nExecStart=/opt/kindling/run\n", "without [Install]"),
        (0o755, "ExecStart=/opt/kindling/run\n", "not a systemd unit"),
    ],
)
def test_an_enabled_unit_that_could_not_start_is_refused(
    mode: int, contents: str | None, message: str
) -> None:
    made = unit("a.service", "/opt/kindling/run")
    made["contents"] = contents or made["contents"]
    program = file("/opt/kindling/run", "", mode)
    system = apply(config(storage={"files": [program]}, systemd={"units": [made]}))
    with pytest.raises(SimulationError) as raised:
        system.starts("a.service")
    assert message in str(raised.value)


def test_settings_are_read_as_a_shell_reads_them() -> None:
    text = "# comment\nA='one two'\nB=three\nC='it'\"'\"'s'\n\nD=''\n"
    system = apply(config(storage={"files": [file("/env", text), file("/bad", "A=1 B=2\n")]}))
    assert system.environment("/env") == {"A": "one two", "B": "three", "C": "it's", "D": ""}
    with pytest.raises(SimulationError, match="/bad: `A` line"):
        system.environment("/bad")


def test_a_secret_that_others_could_read_is_refused() -> None:
    files = [file("/good", "token\n", 0o600), file("/open", "token", 0o644)]
    system = apply(config(storage={"files": files}))
    assert system.secret("/good") == "token"
    with pytest.raises(SimulationError, match="/open: holds a secret"):
        system.secret("/open")
    with pytest.raises(SimulationError, match="/gone: missing"):
        system.secret("/gone")
