"""HAProxy as a load balancer runs it: real containerd and runc, as root, with an image archive."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.api_server import api_server
from tests.fakes.balancer_machine import IMAGE, BalancerMachine
from tests.fakes.etcd_machines import until
from tests.fakes.programs import need
from tools import images
from tools.places import BIN

pytestmark = pytest.mark.cluster
_OFF = ("grpc.v1.cri", "cri.v1.runtime", "cri.v1.images")  # what only Kubernetes needs


@contextmanager
def containerd():
    """containerd of its own; gives its socket. Paths of sockets must be short."""
    need("containerd", "runc")
    folder = Path(tempfile.mkdtemp(prefix="kc"))
    address = folder / "sock"
    off = ", ".join(f'"io.containerd.{name}"' for name in _OFF)
    (folder / "config.toml").write_text(
        f'version = 3\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f'disabled_plugins = [{off}]\n[grpc]\naddress = "{address}"\n'
    )
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "containerd", "--config", folder / "config.toml"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        until(address.exists, "containerd's socket is there", 60)
        yield str(address)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


class Contained(BalancerMachine):
    """A load balancer with containerd, and the image's archive where Ignition puts it."""

    address = ""

    @property
    def environment(self):
        path = f"{BIN}:{super().environment['PATH']}"
        return {**super().environment, "PATH": path, "CONTAINERD_ADDRESS": self.address}

    def ctr(self, *arguments):
        done = self.run("ctr", "--namespace", "kindling", *arguments)
        return [line for line in done.stdout.splitlines() if "DEPRECATION" not in line]

    @contextmanager
    def served(self):
        """What kindling-haproxy.service does, from its start to its stop."""
        with self.running("balancer", "run") as process:
            try:
                yield process
            finally:
                self.run("balancer", "stop")
                self.run("balancer", "clear")

    def tasks(self):
        """What runs, with process ids."""
        return self.ctr("tasks", "list")[1:]

    def alive(self):
        url = f"http://127.0.0.1:{self.health}/alive"
        return self.run("curl", "--silent", "--fail", url).returncode == 0


@pytest.fixture(scope="module")
def address():
    with containerd() as made:
        yield made


@pytest.fixture
def balancer(tmp_path, address):
    made = Contained(tmp_path / "lb1")
    made.address = address
    made.archive.parent.mkdir(parents=True)
    made.archive.symlink_to(images.archive("haproxy", IMAGE.name))
    return made


def test_the_image_is_imported_and_haproxy_serves_until_it_is_stopped(balancer, tmp_path):
    with api_server(tmp_path, balancer.planes[0], 6443), balancer.served():
        until(balancer.alive, "HAProxy answers", 60)
        until(lambda: balancer.run("check-endpoint").returncode == 0, "the API answers", 30)
        assert balancer.ctr("images", "list", "--quiet") == [IMAGE.name]
    assert not balancer.alive()
    assert balancer.ctr("containers", "list", "--quiet") == []


def test_what_a_killed_one_left_does_not_stop_the_next(balancer):
    with balancer.running("balancer", "run") as process:
        until(balancer.alive, "HAProxy answers", 60)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    left = balancer.tasks()
    assert len(left) == 1
    with balancer.served():
        until(lambda: balancer.tasks() not in (left, []), "another one runs", 60)
        until(balancer.alive, "HAProxy answers again", 60)
    assert balancer.ctr("containers", "list", "--quiet") == []


def test_a_new_configuration_is_tested_by_haproxy_itself_also_while_one_runs(balancer, tmp_path):
    hook = "live.d/haproxy.cfg"
    good = balancer.configuration.read_text()
    new = tmp_path / "new"
    new.write_text(good)
    assert balancer.run(hook, "check", str(new)).returncode == 0  # before anything was imported
    with balancer.served():
        until(balancer.alive, "HAProxy answers", 60)
        assert balancer.run(hook, "check", str(new)).returncode == 0
        new.write_text(good.replace("balance leastconn", "balance sometimes"))
        refused = balancer.run(hook, "check", str(new))
        assert refused.returncode != 0
        assert "balance only supports" in refused.stdout.splitlines()[-1]
        assert balancer.alive()


def test_a_reload_takes_the_configuration_that_is_there_now(balancer):
    balancer.configure(planes=1)
    with balancer.served():
        until(balancer.alive, "HAProxy answers", 60)
        balancer.configure(planes=2)
        assert balancer.run("balancer", "reload").returncode == 0
        url = f"http://127.0.0.1:{balancer.health}/stats;csv"
        second = "control-planes,cp2.example.com"
        until(lambda: second in balancer.run("curl", "-s", url).stdout, "the second plane", 30)


def test_an_archive_with_another_image_is_named(balancer):
    other = balancer.folder / "etc/kindling/endpoint.env"
    other.write_text(other.read_text() + "KINDLING_HAPROXY_IMAGE=docker.io/library/haproxy:9.9\n")
    done = balancer.run("balancer", "run")
    assert done.returncode != 0
    assert f"holds no image docker.io/library/haproxy:9.9, but: {IMAGE.name}" in done.stdout
