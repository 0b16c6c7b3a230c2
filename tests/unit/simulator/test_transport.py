"""Machines speak HTTP from their own address, verify https, and never show a ticket."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kindling.errors import SimulationError
from kindling.simulator.console import Console
from kindling.simulator.fleet import segment_of, simulate
from kindling.simulator.ignition import Executor
from kindling.simulator.inventory import MachineSpec
from kindling.simulator.outcome import State
from kindling.simulator.patience import Patience
from kindling.simulator.transport import Network, TransferFailed, Trust
from tests.fakes.boot_segment import BootSegment, PlayedNode, config, data_url

MAC = "52:54:00:ab:cd:01"


@dataclass(frozen=True)
class Authority:
    """A self-signed certificate for 127.0.0.1 that is its own authority."""

    path: Path
    context: ssl.SSLContext


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "played boot server")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "ca.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return Authority(certificate, context)


def test_https_needs_a_trusted_authority(authority: Authority) -> None:
    with BootSegment(tls=authority.context) as segment:
        url = f"{segment.url}/boot.ipxe"
        with Network() as network, pytest.raises(TransferFailed, match="SSLError"):
            network.document(url)
        with Network(trust=Trust(authority.path)) as network:
            assert network.document(url).startswith(b"#!ipxe")


def test_a_whole_installation_runs_over_https(authority: Authority, tmp_path: Path) -> None:
    with BootSegment(PlayedNode(MAC), tls=authority.context) as segment:
        outcomes = simulate(
            segment.url,
            [MachineSpec(mac=(MAC,))],
            disks_dir=tmp_path / "disks",
            segment=segment_of(authority.path, Patience(attempts=2, wait=0)),
        )
    assert [outcome.state for outcome in outcomes] == [State.BOOTED]


def test_authorities_inside_ignition_are_used_for_its_requests(authority: Authority) -> None:
    with BootSegment(tls=authority.context) as segment, Network() as network:
        source = {"source": f"{segment.url}/boot.ipxe"}
        document = config(storage={"files": [{"path": "/a", "contents": source}]})
        executor = Executor(network, Console("test"), Patience(attempts=1))
        with pytest.raises(TransferFailed, match="SSLError"):
            executor.apply(json.dumps(document).encode(), "test.ign")
        own = {"source": data_url(authority.path.read_bytes())}
        document["ignition"]["security"] = {"tls": {"certificateAuthorities": [own]}}
        executor = Executor(network, Console("test"), Patience(attempts=1))
        assert executor.apply(json.dumps(document).encode(), "test.ign").bytes_of("/a")


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(SimulationError, match="certificate authority is unusable"):
        Network(trust=Trust(authorities=("no certificate",)))


def test_errors_leave_out_the_ticket() -> None:
    with Network() as network, pytest.raises(TransferFailed) as raised:
        network.document("http://127.0.0.1:1/ignition/x?token=secretticket")
    assert "secretticket" not in str(raised.value)
    assert raised.value.status is None


def test_only_http_is_spoken() -> None:
    with Network() as network, pytest.raises(SimulationError, match="http and https only"):
        network.document("tftp://127.0.0.1/boot.ipxe")


def test_proxies_of_the_host_are_not_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with BootSegment() as segment, Network() as network:
        assert network.document(f"{segment.url}/boot.ipxe").startswith(b"#!ipxe")


def test_an_interrupted_transfer_leaves_a_usable_network() -> None:
    with BootSegment() as segment, Network() as network:
        url = f"{segment.url}/boot.ipxe"
        whole = len(segment.files["boot.ipxe"])
        assert 0 < network.interrupt(url) <= whole // 2
        assert len(network.document(url)) == whole


def test_a_body_that_ends_too_early_is_a_failed_transfer() -> None:
    with BootSegment() as segment, Network() as network:
        segment.truncated.add("boot.ipxe")
        with pytest.raises(TransferFailed, match="no complete answer"):
            network.digest(f"{segment.url}/boot.ipxe")
