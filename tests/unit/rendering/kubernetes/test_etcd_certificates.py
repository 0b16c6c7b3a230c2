"""etcd's leaf certificates: as kubeadm's, renewed in time, and keys that nobody sees."""

import shutil
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.etcd_machines import Ground, provide, site, until
from tests.fakes.kubeadm import make_certificates, verify, write_authorities

LEAVES = ("etcd/server", "etcd/peer", "etcd/healthcheck-client", "apiserver-etcd-client")


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    provide("etcd", "kubeadm")
    return Ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def stand(tmp_path, ground):
    with site(tmp_path / "site", ground) as made:
        yield made


@pytest.fixture
def host(stand):
    """A machine whose certificates are made."""
    (made,) = stand.make(1)
    make(made)
    return made


def make(machine):
    done = machine.run("etcd", "certificates")
    assert done.returncode == 0, done.stdout
    return done.stdout


def forget(machine):
    """As before the first boot, whatever is kept for the other tests."""
    for name in LEAVES:
        (machine.pki / f"{name}.crt").unlink(missing_ok=True)
        (machine.pki / f"{name}.key").unlink(missing_ok=True)


def certificate(folder, name):
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def key(folder, name):
    text = (folder / f"{name}.key").read_bytes()
    return serialization.load_pem_private_key(text, password=None)


def names(found):
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    texts = extension.get_values_for_type(x509.DNSName)
    return {*texts, *map(str, extension.get_values_for_type(x509.IPAddress))}


def nature(found):
    """All of a certificate but names, keys and times."""

    def get(kind):
        return found.extensions.get_extension_for_class(kind)

    usage, constraints = get(x509.KeyUsage), get(x509.BasicConstraints)
    return (
        sorted(each.oid.dotted_string for each in found.subject),
        (usage.value, usage.critical),
        sorted(each.dotted_string for each in get(x509.ExtendedKeyUsage).value),
        (constraints.value, constraints.critical),
        get(x509.AuthorityKeyIdentifier).value.key_identifier,
        found.signature_hash_algorithm.name,
        found.version,
        (found.public_key().key_size, type(found.public_key()).__name__),
    )


def test_every_certificate_is_as_kubeadm_makes_it(host, ground, tmp_path):
    write_authorities(tmp_path / "kubeadm", ground.credentials.authorities)
    make_certificates(tmp_path / "kubeadm")
    theirs = tmp_path / "kubeadm/pki"
    for name in LEAVES:
        assert nature(certificate(host.pki, name)) == nature(certificate(theirs, name)), name
    for name in ("etcd/healthcheck-client", "apiserver-etcd-client"):
        assert certificate(host.pki, name).subject == certificate(theirs, name).subject
    for name in ("etcd/server", "etcd/peer"):
        node = certificate(theirs, name).subject.rfc4514_string().removeprefix("CN=")
        assert certificate(host.pki, name).subject.rfc4514_string() == f"CN={host.name}"
        local = names(certificate(theirs, name)) - {node, "192.0.2.11"}
        assert names(certificate(host.pki, name)) == local | {host.name, "cp1", host.address}


def test_openssl_takes_each_for_its_purpose(host):
    authority = host.pki / "etcd/ca.crt"
    for name in LEAVES:
        verify(authority, host.pki / f"{name}.crt", "sslclient")
    for name in ("etcd/server", "etcd/peer"):
        verify(authority, host.pki / f"{name}.crt", "sslserver")


def test_they_are_good_for_a_year_and_begin_with_their_authority(host):
    authority = certificate(host.pki, "etcd/ca")
    for name in LEAVES:
        found = certificate(host.pki, name)
        assert found.not_valid_before_utc == authority.not_valid_before_utc
        rest = found.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days=364) < rest <= timedelta(days=365)


def test_serial_numbers_differ(host):
    assert len({certificate(host.pki, name).serial_number for name in LEAVES}) == len(LEAVES)


def test_keys_are_readable_by_root_alone(host):
    for name in LEAVES:
        assert (host.pki / f"{name}.key").stat().st_mode & 0o777 == 0o600
        assert (host.pki / f"{name}.crt").stat().st_mode & 0o777 == 0o644


def test_what_is_good_stays(host):
    before = {name: (host.pki / f"{name}.crt").read_bytes() for name in LEAVES}
    assert "making" not in make(host)
    assert before == {name: (host.pki / f"{name}.crt").read_bytes() for name in LEAVES}


def ends_in(machine, ground, name, days):
    """Exchange a certificate for one of the same key that ends so many days from now."""
    old, pair = certificate(machine.pki, name), ground.credentials.authorities.etcd
    authority = x509.load_pem_x509_certificate(pair.certificate.encode())
    signer = serialization.load_pem_private_key(pair.key.encode(), password=None)
    assert isinstance(signer, rsa.RSAPrivateKey)
    builder = x509.CertificateBuilder(
        authority.subject,
        old.subject,
        old.public_key(),
        x509.random_serial_number(),
        authority.not_valid_before_utc,
        datetime.now(UTC) + timedelta(days=days),
        list(old.extensions),
    )
    made = builder.sign(signer, hashes.SHA256())
    text = made.public_bytes(serialization.Encoding.PEM)
    (machine.pki / f"{name}.crt").write_bytes(text)


@pytest.mark.parametrize(("days", "renewed"), [(61, False), (59, True)])
@pytest.mark.parametrize("name", ["etcd/server", "apiserver-etcd-client"])
def test_one_is_renewed_in_its_last_sixty_days(host, ground, name, days, renewed):
    ends_in(host, ground, name, days)
    said = make(host)
    rest = certificate(host.pki, name).not_valid_after_utc - datetime.now(UTC)
    assert (rest > timedelta(days=300)) == renewed
    assert (f"making the certificate {name} " in said) == renewed
    assert said.count("making") == renewed


def test_those_with_names_are_made_anew_when_the_machines_address_changes(host):
    path = host.folder / "etc/kindling/cluster.env"
    path.write_text(path.read_text() + "KINDLING_ADDRESS=192.0.2.77\n")
    said = make(host)
    assert said.count("making") == 2
    for name in ("etcd/server", "etcd/peer"):
        assert "192.0.2.77" in names(certificate(host.pki, name))
        assert host.address not in names(certificate(host.pki, name))


def test_all_are_made_anew_when_the_authority_changes(host, tmp_path):
    authorities = Ground(tmp_path).credentials.authorities
    assert authorities
    other = authorities.etcd
    (host.pki / "etcd/ca.crt").write_text(other.certificate)
    (host.pki / "etcd/ca.key").write_text(other.key)
    assert make(host).count("making") == len(LEAVES)
    verify(host.pki / "etcd/ca.crt", host.pki / "etcd/server.crt", "sslserver")


@pytest.mark.parametrize("loss", ["key", "certificate", "half"])
def test_what_a_power_cut_left_is_made_anew(host, loss):
    server = host.pki / "etcd/server"
    if loss == "half":  # between the two renames
        shutil.copy(host.pki / "etcd/peer.key", f"{server}.key")
    else:
        server.with_suffix(".crt" if loss == "certificate" else ".key").unlink()
    assert make(host).count("making") == 1
    public = certificate(host.pki, "etcd/server").public_key()
    assert key(host.pki, "etcd/server").public_key() == public


def test_no_key_is_an_argument_of_a_program(stand):
    (host,) = stand.make(1)
    forget(host)
    real, calls = shutil.which("openssl"), host.folder / "calls"
    log = f'#!/bin/bash\nprintf "%s\\n" "$*" >>{calls}\nexec {real} "$@"\n'
    host.write("/bin/openssl", log, 0o755)
    make(host)
    text = calls.read_text()
    assert "genpkey" in text
    for name in (*LEAVES, "etcd/ca"):
        for line in (host.pki / f"{name}.key").read_text().splitlines()[1:-1]:
            assert line not in text


def test_without_the_authority_it_says_what_is_missing(stand):
    (host,) = stand.make(1)
    (host.pki / "etcd/ca.key").unlink()
    done = host.run("etcd", "certificates")
    assert done.returncode != 0
    assert "etcd's authority is not in" in done.stdout


def test_a_control_plane_of_external_etcd_makes_those_of_a_client_alone(tmp_path, ground):
    with site(tmp_path, ground) as stand:
        (host,) = stand.make(1)
        forget(host)
        path = host.folder / "etc/kindling/cluster.env"
        path.write_text(path.read_text() + "KINDLING_ETCD=external\n")
        make(host)
        made = {str(each.relative_to(host.pki)) for each in host.pki.rglob("*.crt")}
        clients = {"etcd/healthcheck-client.crt", "apiserver-etcd-client.crt"}
        assert made == {"ca.crt", "front-proxy-ca.crt", "etcd/ca.crt"} | clients


def test_etcd_serves_a_renewed_certificate_without_a_restart(host, ground):
    host.boot()
    until(lambda: host.settled, "it votes")

    def served():
        text = ssl.get_server_certificate((host.address, 2379))
        return x509.load_pem_x509_certificate(text.encode()).serial_number

    before = served()
    assert before == certificate(host.pki, "etcd/server").serial_number
    ends_in(host, ground, "etcd/server", 10)
    make(host)
    assert served() == certificate(host.pki, "etcd/server").serial_number != before
    assert host.tries("endpoint", "health")
