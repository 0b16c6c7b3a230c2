"""The harness keeps its promises: what a machine is and does comes from its Ignition alone."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kindling.errors import CommandError
from tests.cluster.harness.commands import wait_until
from tests.cluster.harness.extensions import Extension
from tests.cluster.harness.groups import PARENT, hierarchies
from tests.cluster.harness.machine import Installation, Machine
from tests.cluster.harness.network import PREFIX
from tests.cluster.harness.site import Site
from tests.fakes.boot_segment import config, file
from tests.fakes.server import ROOT, running_server

# A first run builds Ignition and the machines' system.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

_COUNTER = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo boot >>/var/lib/boots'
[Install]
WantedBy=multi-user.target
"""


def ignition(machine: Machine, *files: dict[str, Any]) -> bytes:
    """A system with a network as Kindling writes it, and a unit that counts boots."""
    network = (
        f"[Match]\nPermanentMACAddress={machine.card.mac}\n"
        f"[Network]\nAddress={machine.card.address}/24\nGateway=192.0.2.1\n"
    )
    name = file("/etc/hostname", f"{machine.name}.example.net\n")
    placed = [name, file("/etc/systemd/network/10-boot.network", network), *files]
    unit = {"name": "boots.service", "enabled": True, "contents": _COUNTER}
    document = config(
        storage={"files": [{"overwrite": True, **each} for each in placed]},
        systemd={"units": [unit]},
        passwd={"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 AAAA operator"]}]},
    )
    return json.dumps(document).encode()


def started(
    site: Site, name: str, number: int, *files: dict[str, Any], extended: Sequence[Extension] = ()
) -> Machine:
    """A machine that was installed and has run its unit."""
    machine = site.machine(name, f"192.0.2.{number}", extended=extended)
    machine.install(Installation(ignition(machine, *files)))
    machine.start()
    machine.wait_for_unit("boots.service")
    return machine


def boots(machine: Machine) -> int:
    """How often the machine's unit ran since it was installed."""
    return len(machine.run("cat", "/var/lib/boots").splitlines())


def test_a_machine_is_what_its_ignition_says(site: Site) -> None:
    secret = {**file("/etc/member", "a member", 0o640), "user": {"name": "etcd"}}
    machine = started(site, "one", 11, secret)
    assert machine.run("stat", "-c", "%U %a", "/etc/member") == "etcd 640\n"
    assert machine.run("cat", "/etc/member") == "a member"
    assert machine.run("hostname") == "one.example.net\n"
    keys = machine.run("cat", "/home/core/.ssh/authorized_keys.d/ignition")
    assert "ssh-ed25519 AAAA operator" in keys
    assert machine.run("systemctl", "is-system-running", "--wait") == "running\n"
    assert machine.failed_units() == []
    assert "boots.service" in machine.journal("boots.service")


def test_nothing_runs_that_ignition_did_not_enable(site: Site) -> None:
    machine = started(site, "one", 11)
    links = machine.run("find", "/etc/systemd/system", "-name", "*.service", "-type", "l").split()
    assert links == ["/etc/systemd/system/multi-user.target.wants/boots.service"]


def test_machines_reach_each_other_and_the_bridge_and_nothing_else(site: Site) -> None:
    first, second = started(site, "one", 11), started(site, "two", 12)
    ping = ("ping", "-c1", "-W2")
    first.wait_for(*ping, second.card.address)
    second.wait_for(*ping, "192.0.2.1")
    with site.inside():
        with pytest.raises(ConnectionRefusedError):  # so somebody answers
            socket.create_connection((first.card.address, 9), timeout=10)
        links = json.loads(subprocess.check_output(["ip", "-json", "link"]))
    assert {each.get("link_type") for each in links} == {"loopback", "ether"}
    assert {each["ifname"].partition("-")[0] for each in links} == {"lo", "br0", "to"}


def test_a_power_cut_keeps_the_disk_and_a_new_disk_is_empty(site: Site) -> None:
    machine = started(site, "one", 11)
    identity = machine.run("cat", "/etc/machine-id")
    machine.kill()
    assert not machine.running
    machine.start()
    machine.wait_for_unit("boots.service")
    assert boots(machine) == 2
    assert machine.run("cat", "/etc/machine-id") == identity
    assert machine.stop()
    machine.install(Installation(ignition(machine)))
    machine.start()
    machine.wait_for_unit("boots.service")
    assert boots(machine) == 1
    assert machine.run("cat", "/etc/machine-id") != identity


def test_a_machine_that_restarts_itself_comes_back(site: Site) -> None:
    machine = started(site, "one", 11)
    seen: list[bool] = []
    machine.on_reboot = lambda each: seen.append(each.running)
    machine.run("systemctl", "reboot")
    wait_until("the second boot", lambda: machine.boots == 2, 60)
    machine.wait_for_unit("boots.service")
    assert boots(machine) == 2
    assert seen == [False]


def test_an_extension_is_there_as_if_it_were_merged(site: Site) -> None:
    unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/greet\n"
    units = "usr/lib/systemd/system"
    greeting = Extension(
        "greeting",
        files={
            "usr/bin/greet": "#!/bin/sh\necho hello from the extension\n",
            f"{units}/greeting.service": unit,
            f"{units}/multi-user.target.d/10-greeting.conf": "[Unit]\nUpholds=greeting.service\n",
        },
    )
    machine = started(site, "one", 11, extended=[greeting])
    machine.wait_for_unit("greeting.service")
    assert "hello from the extension" in machine.journal("greeting.service")


def test_ignition_fetches_from_the_boot_server_and_checks_digests(
    site: Site, tmp_path: Path
) -> None:
    body = b"a small placeholder of an extension"
    served = tmp_path / "served"
    (served / "assets" / "extensions").mkdir(parents=True)
    (served / "assets" / "extensions" / "example.raw").write_bytes(body)
    machine = site.machine("one", "192.0.2.11")
    with site.inside(), running_server(served, host="0.0.0.0") as server:
        url = f"http://{site.network.gateway}:{server.port}/assets/extensions/example.raw"

        def install(digest: str) -> None:
            contents = {"source": url, "verification": {"hash": f"sha256-{digest}"}}
            remote = {"path": "/opt/extensions/example.raw", "contents": contents}
            machine.install(Installation(ignition(machine, remote)))

        with pytest.raises(CommandError, match="hash verification failed"):
            install("0" * 64)
        install(hashlib.sha256(body).hexdigest())
    assert (machine.tree.root / "opt/extensions/example.raw").read_bytes() == body


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.cluster.harness.machine import Installation
from tests.cluster.harness.site import Site
with Site(Path(sys.argv[1])) as site:
    machine = site.machine("one", "192.0.2.11")
    machine.install(Installation(b'{"ignition": {"version": "3.4.0"}}'))
    machine.start()
    print(site.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_nothing_behind(prepared: None, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _KILLED, str(tmp_path / "logs")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = Path(done.stdout.strip())
    wait_until("the end of the guard", lambda: not folder.exists(), 60)
    assert not list(Path("/run/netns").glob(f"{PREFIX}*"))
    assert not [each for each in hierarchies() if (each / PARENT).exists()]
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    with Site(tmp_path / "logs"):
        pass
