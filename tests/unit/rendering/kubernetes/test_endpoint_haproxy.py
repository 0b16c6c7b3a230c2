"""The endpoint on a load balancer: real HAProxy in front of API servers that come and go."""

import os
import signal
import socket
import ssl
import subprocess
from contextlib import ExitStack

import pytest

from tests.fakes.api_server import api_server
from tests.fakes.balancer_machine import BalancerMachine
from tests.fakes.cluster_server import cluster_server
from tests.fakes.etcd_machines import until


@pytest.fixture
def balancer(tmp_path):
    return BalancerMachine(tmp_path / "lb1")


@pytest.fixture
def planes(balancer, tmp_path):
    with ExitStack() as stack:
        made = []
        for address in balancer.planes:
            (tmp_path / address).mkdir()
            made.append(stack.enter_context(api_server(tmp_path / address, address, 6443)))
        yield made


@pytest.fixture
def serving(balancer, planes):
    with balancer.haproxy():
        until(lambda: ready(balancer) == len(planes), "every control plane is ready", 30)
        yield balancer


def statuses(balancer):
    text = balancer.run("curl", "--silent", f"http://127.0.0.1:{balancer.health}/stats;csv").stdout
    rows = [line.split(",") for line in text.splitlines()]
    return {row[1]: row[17] for row in rows if row[0] == "control-planes"}


def ready(balancer):
    found = statuses(balancer)
    return sum(status == "UP" for name, status in found.items() if name != "BACKEND")


def out(balancer):
    """How many get no connections; before that HAProxy counts failures, as in `UP 1/2`."""
    found = statuses(balancer)
    return sum(status == "DOWN" for name, status in found.items() if name != "BACKEND")


def connect(balancer):
    """A TLS session through the endpoint, and the certificate at its other end."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", balancer.port), 10)
    return context.wrap_socket(raw)


def reached(balancer):
    with connect(balancer) as session:
        return session.getpeercert(binary_form=True)


def certificate(plane):
    return ssl.PEM_cert_to_DER_cert(plane.certificate.read_text())


def check(balancer):
    """What keepalived asks."""
    return balancer.run("check-endpoint").returncode == 0


def test_clients_see_the_certificates_of_every_control_plane(serving, planes):
    seen = {reached(serving) for _ in range(6)}
    assert seen == {certificate(plane) for plane in planes}


@pytest.mark.parametrize("status", [500, 403, 0])
def test_a_control_plane_that_is_not_ready_gets_no_connection(serving, planes, status):
    planes[0].status = status
    until(lambda: out(serving) == 1, "one is out", 30)
    assert {reached(serving) for _ in range(4)} == {certificate(planes[1])}
    planes[0].status = 200
    until(lambda: ready(serving) == 2, "both are back", 30)


def test_sessions_end_when_their_control_plane_fails(serving, planes):
    with connect(serving) as session:
        owner = next(p for p in planes if certificate(p) == session.getpeercert(binary_form=True))
        owner.status = 503
        session.settimeout(30)
        assert session.recv(1) == b""


def test_the_check_fails_on_an_http_error_and_where_nobody_is_ready(serving, planes):
    assert check(serving)
    planes[0].status = 500
    until(lambda: out(serving) == 1, "one is out", 30)
    assert check(serving)
    planes[1].statuses = [500] * 50
    until(lambda: not check(serving), "the check fails", 30)


def test_a_reload_takes_new_control_planes_and_leaves_sessions_alone(balancer, planes):
    balancer.configure(planes=1)
    with balancer.haproxy() as process:
        until(lambda: ready(balancer) == 1, "the one control plane is ready", 30)
        with connect(balancer) as session:
            balancer.configure()
            os.kill(process.pid, signal.SIGUSR2)
            until(lambda: len(statuses(balancer)) == 3 and ready(balancer) == 2, "two", 30)
            session.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            assert session.recv(12).startswith(b"HTTP/1.0 200")


def test_the_health_of_haproxy_is_for_the_machine_itself_alone(serving):
    listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True).stdout
    places = {line.split()[3] for line in listening.splitlines()}
    assert f"127.0.0.1:{serving.health}" in places
    assert f"0.0.0.0:{serving.port}" in places


def test_the_boot_server_learns_that_it_serves_and_what_is_behind_it(tmp_path):
    with cluster_server() as server:
        balancer = BalancerMachine(tmp_path / "lb1", 1, server.url)
        (tmp_path / "api").mkdir()
        with balancer.running("balancer", "watch"), ExitStack() as stack:
            stack.enter_context(api_server(tmp_path / "api", balancer.planes[0], 6443))
            with balancer.haproxy():
                until(lambda: "HAProxy: 1 of 1 control planes are ready" in server.messages, "up")
            until(lambda: server.stages[-1] == "failed", "HAProxy's end is noticed")
        assert server.stages == ["ready", "failed"]
        assert "HAProxy does not answer" in server.messages[-1]


def test_an_endpoint_without_control_planes_is_ready_all_the_same(tmp_path):
    """It is not this machine's fault, and control planes need it to begin."""
    with cluster_server() as server:
        balancer = BalancerMachine(tmp_path / "lb1", 2, server.url)
        with balancer.running("balancer", "watch"), balancer.haproxy():
            until(lambda: "HAProxy: 0 of 2 control planes are ready" in server.messages, "ready")
        assert "failed" not in server.stages[:1]


def test_a_virtual_address_that_nobody_carries_is_a_failure_once_the_api_answers(tmp_path):
    with cluster_server() as server:
        balancer = BalancerMachine(tmp_path / "lb1", 1, server.url)
        balancer.share("192.0.2.222")
        (tmp_path / "api").mkdir()
        with balancer.running("balancer", "watch"), balancer.haproxy():
            until(lambda: server.stages == ["ready"], "no API yet, so nothing is missing")
            with api_server(tmp_path / "api", balancer.planes[0], 6443):
                until(lambda: server.stages[-1] == "failed", "it is missed")
                assert "nobody carries the virtual address 192.0.2.222" in server.messages[-1]
                balancer.share("127.0.0.1")  # as if it were carried here
        api = api_server(tmp_path / "api", balancer.planes[0], 6443)
        with balancer.running("balancer", "watch"), balancer.haproxy(), api:
            until(lambda: server.stages[-1] == "ready", "it is carried")
