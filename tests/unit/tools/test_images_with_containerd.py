"""A real containerd imports the images, and a real runc runs them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools import images, system_files
from tools.catalog import TOOLS
from tools.docker_archive import Settings, write_archive
from tools.golang import build

# Building containerd takes two minutes.
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1200)]
Ctr = Callable[..., str]


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ctr]:
    """Run ctr against a containerd of this module; needs root, as containers do."""
    folder = tmp_path_factory.mktemp("containerd")
    socket = folder / "socket"
    (folder / "config.toml").write_text(
        f'version = 3\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{folder}/ttrpc"\n'
    )
    folders = [str(build(TOOLS[name])) for name in ("containerd", "runc")]
    environment = os.environ | {"PATH": os.pathsep.join([*folders, os.environ["PATH"]])}

    def run(*arguments: str) -> str:
        argv = ["ctr", "--address", str(socket), *arguments]
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"ctr {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    log = folder / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            ["containerd", "--config", str(folder / "config.toml")], env=environment, stderr=file
        )
    try:
        for _ in range(200):
            assert server.poll() is None, log.read_text()
            if socket.exists():
                break
            time.sleep(0.1)
        yield run
    finally:
        server.terminate()
        server.wait(30)


def test_busybox_runs_with_seccomp_at_work(ctr: Ctr) -> None:
    """Without it in runc no pod of kubeadm's would start."""
    ctr("images", "import", "--local", str(images.archive("busybox")))
    command = ["grep", "^Seccomp:", "/proc/self/status"]
    said = ctr("run", "--rm", "--seccomp", images.IMAGES["busybox"].reference, "shell", *command)
    assert said.split() == ["Seccomp:", "2"]


def test_haproxy_reads_its_configuration_as_upstreams_image_does(ctr: Ctr, tmp_path: Path) -> None:
    reference = "docker.io/library/haproxy:3.2.4"
    ctr("images", "import", "--local", str(images.archive("haproxy", reference)))
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(
        "defaults\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n"
        "listen one\n  mode tcp\n  bind :6443\n  server a 192.0.2.1:6443 check\n"
    )
    tmp_path.chmod(0o755)
    mount = f"type=bind,src={tmp_path},dst=/usr/local/etc/haproxy,options=rbind:ro"
    arguments = ["run", "--rm", "--mount", mount, reference]
    # A command of ctr's replaces the entrypoint, too.
    check = ["docker-entrypoint.sh", "-c", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
    assert "Configuration file is valid" in ctr(*arguments, "check", *check)
    status = ctr(
        *arguments, "who", "sh", "-c", "while read line; do echo $line; done </proc/1/status"
    )
    assert "Uid: 99 99 99 99" in status


def test_pause_holds_its_namespaces_until_it_is_told_to_end(ctr: Ctr) -> None:
    ctr("images", "import", "--local", str(images.archive("pause")))
    ctr("run", "--detach", images.IMAGES["pause"].reference, "pod")
    assert "RUNNING" in ctr("tasks", "list")
    ctr("tasks", "kill", "--signal", "SIGTERM", "pod")
    deadline = time.monotonic() + 20
    while "RUNNING" in ctr("tasks", "list") and time.monotonic() < deadline:
        time.sleep(0.1)
    ctr("tasks", "delete", "pod")  # ends as the process did


def test_packet_filters_run_in_kube_proxys_image(ctr: Ctr, tmp_path: Path) -> None:
    """The libraries are there, and the modules of xtables: one of these needs libm."""
    reference = "registry.example.com/filters:1"
    entries = [*system_files.packet_filter(), *system_files.busybox()]
    write_archive(tmp_path / "image.tar", reference, entries, Settings())
    ctr("images", "import", "--local", str(tmp_path / "image.tar"))
    rule = "-t nat -A OUTPUT -p tcp -m comment --comment kept -m statistic --mode random"
    script = "".join(
        f"{ip}tables {rule} --probability 0.5 -j ACCEPT && {ip}tables-save -t nat &&"
        for ip in ("ip", "ip6")
    )
    # In a network namespace of the container's own.
    said = ctr(
        "run", "--rm", "--privileged", reference, "f", "sh", "-c", f"{script} nft list ruleset"
    )
    assert said.count("--comment kept -m statistic --mode random --probability 0.5") == 2
    assert "table ip nat" in said
