"""A machine that becomes a member of a cluster: the rendered programs in a folder of their own.

Real bash, curl, jq, openssl; kubeadm, kubectl, systemctl and the rest are small programs on PATH
that write down how they were called. kubeadm does what the real one does to files: it refuses what
an earlier run left, makes kubeconfigs and manifests, and removes them at a reset.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kindling.models.credentials import Credentials
from kindling.models.plan import NodePlan
from kindling.models.role import Role
from kindling.rendering.kubernetes.kubeadm import kubeadm_files
from kindling.rendering.kubernetes.scripts import common_part, control_plane_part, worker_part
from kindling.rendering.parts import SystemPart
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text
from tests.fakes.api_server import ApiServer
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.cluster_server import TOKEN, ClusterServer

BOOT_ID = "11111111-2222-3333-4444-555555555555"
ADVICE = "To see the stack trace of this error execute with --v=5 or higher"
STILL_READY = (
    'error execution phase kubelet-start: a Node with name "x" and status "Ready" already exists '
    "in the cluster. You must delete the existing Node or change the name of this new joining Node"
)

# $STATE/kubeadm has one word for each run of init and join: well, power-cut, or what it fails with.
_KUBEADM = r"""
e=$ROOT/etc/kubernetes k=$ROOT/var/lib/kubelet
refuse() {
    for file; do
        [ ! -e "$file" ] || { echo "error execution phase preflight: $file exists" >&2; exit 1; }
    done
}
fill() { mkdir -p "$(dirname "$1")"; echo "of kubeadm" >"$1"; }
case "$1 ${2-}" in
"reset phase")
    case "$*" in *"--cert-dir "*) ;; *) echo "the authorities are lost" >&2; exit 1 ;; esac
    rm -rf "$e"/manifests/* "$k" "$e"/*.conf
    ;;
"init phase")
    case "$*" in *"kubeconfig admin"*) [ -s "$e/admin.conf" ] || fill "$e/admin.conf" ;; esac
    ;;
init*|join*)
    refuse "$e/kubelet.conf" "$e/bootstrap-kubelet.conf" "$e/manifests/kube-apiserver.yaml"
    [ "$ROLE" = control-plane ] || refuse "$e/pki/ca.crt"
    [ ! -e "$e/scheduler.conf" ] || [ -s "$e/scheduler.conf" ] ||
        { echo "error execution phase kubeconfig: scheduler.conf is damaged" >&2; exit 1; }
    fill "$k/config.yaml"
    fill "$e/bootstrap-kubelet.conf"
    [ -s "$e/pki/ca.crt" ] || fill "$e/pki/ca.crt"
    [ "$ROLE" != control-plane ] || : >"$e/scheduler.conf"
    how=$(head -n 1 "$STATE/kubeadm"); sed -i 1d "$STATE/kubeadm"
    case $how in
    well) ;;
    power-cut) kill -9 0 ;;
    *) echo "$how" >&2; echo "ADVICE" >&2; exit 1 ;;
    esac
    rm "$e/bootstrap-kubelet.conf"
    fill "$k/kubeadm-flags.env"
    fill "$e/kubelet.conf"
    if [ "$ROLE" = control-plane ]; then
        for name in admin controller-manager scheduler; do fill "$e/$name.conf"; done
        for name in apiserver controller-manager scheduler; do
            fill "$e/manifests/kube-$name.yaml"
        done
        for name in apiserver front-proxy-client; do fill "$e/pki/$name.crt"; done
    fi
    ;;
*) exit 2 ;;
esac
"""

# $STATE/nodes has one JSON text for each reading of the node, the last one again and again.
_KUBECTL = r"""
[ -s "$STATE/nodes" ] || { echo "The connection to the server was refused" >&2; exit 1; }
line=$(head -n 1 "$STATE/nodes")
[ "$(wc -l <"$STATE/nodes")" = 1 ] || sed -i 1d "$STATE/nodes"
case $line in "{"*) printf '%s\n' "$line" ;; *) echo "$line" >&2; exit 1 ;; esac
"""

_PROGRAMS = {
    "kubeadm": _KUBEADM.replace("ADVICE", ADVICE),
    "kubectl": _KUBECTL,
    "kubelet": 'echo "Kubernetes v1.33.6"\n',
    "systemctl": '[ ! -e "$STATE/no-$1" ] || { rm "$STATE/no-$1"; exit 5; }\n',
    "ctr": '[ ! -e "$STATE/no-containerd" ] || { rm "$STATE/no-containerd"; exit 1; }\n',
    "etcdctl": '[ ! -e "$STATE/no-etcd" ] || exit 1\ncase $* in\n'
    "*kindling/incarnation*) echo 1 ;;\n"
    '*--keys-only*) cat "$STATE/etcd-keys" 2>/dev/null ;;\nesac\n',
    "uname": 'cat "$STATE/machine"\n',
    "sync": "",
    # Time passes where nobody has to wait for it; a test's hook can change the world meanwhile.
    "sleep": 'n=$(cat "$STATE/slept" 2>/dev/null); echo $((n + 1)) >"$STATE/slept"\n'
    "[ $((n + 1)) -lt 15 ] || kill -9 0\n"
    '[ ! -x "$STATE/while-asleep" ] || "$STATE/while-asleep" "$((n + 1))"\n'
    "exec /bin/sleep 0.01\n",
}


class JoiningMachine:
    """One machine. ``plan`` is rendered into ``root``; its API endpoint is ``api``."""

    def __init__(
        self,
        folder: Path,
        server: ClusterServer,
        api: ApiServer,
        *,
        role: Role = Role.CONTROL_PLANE,
        etcd: str = "systemd",
        dedicated: bool = False,
    ) -> None:
        self.server, self.api = server, api
        self.root, self.state, self.bin = folder / "root", folder / "state", folder / "bin"
        self.plan = _plan(server.url, role, etcd, dedicated=dedicated)
        self.host = self.plan.node.hostname
        for made in (self.root, self.state, self.bin):
            made.mkdir()
        self._render()
        self._programs()
        self.write("/proc/sys/kernel/random/boot_id", f"{BOOT_ID}\n")
        self.set("machine", "x86_64\n")
        self.set("kubeadm", "well\n")
        self.set("etcd-keys", "/registry/namespaces/kube-system\n")
        self.node(ready=True)

    @property
    def is_control_plane(self) -> bool:
        """Whether it has authorities and static pods."""
        return self.plan.node.role is Role.CONTROL_PLANE

    def _render(self) -> None:
        secrets = NodeSecrets.derive(Credentials.placeholder(), self.host, 1)
        part = common_part(self.plan)
        part += control_plane_part(self.plan) if self.is_control_plane else worker_part(self.plan)
        part += SystemPart(files=kubeadm_files(self.plan, secrets))
        for file in part.files:
            self.write(file.path, file.content, file.mode)
        self.append("/etc/kindling/cluster.env", f"KINDLING_ENDPOINT={self.api.endpoint}\n")
        mac = self.plan.node.primary_mac.replace(":", "-")
        node = {
            "KINDLING_HOST": self.host,
            "KINDLING_STACK": "test",
            "KINDLING_GENERATION": "1",
            "KINDLING_STATUS_URL": f"{self.server.url}/status/{mac}",
        }
        self.write("/etc/kindling/node.env", render_text("flatcar/install.env", "t", settings=node))
        self.write("/etc/kindling/status.token", TOKEN, 0o600)
        if self.is_control_plane:
            shutil.copy(self.api.certificate, self.path("/etc/kubernetes/pki/ca.crt"))
            self.write("/etc/kubernetes/pki/ca.key", "the authority's key\n")
            etcd = 'echo "etcd $*" >>"$STATE/calls"\n[ ! -e "$STATE/no-etcd" ] || exit 1\n'
            self.write("/opt/kindling/etcd", f"#!/bin/bash\n{etcd}", 0o755)

    def _programs(self) -> None:
        for name, body in _PROGRAMS.items():
            note = "" if name in {"sleep", "sync"} else f'echo "{name} $*" >>"$STATE/calls"\n'
            self.program(name, note + body)

    def program(self, name: str, body: str) -> None:
        """A program on PATH."""
        file = self.bin / name
        file.write_text(f"#!/bin/bash\n{body}")
        file.chmod(0o755)

    def path(self, path: str) -> Path:
        """A path of the machine, on this one; its folder is made."""
        found = self.root / path.lstrip("/")
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of the machine's."""
        self.path(path).write_text(text)
        self.path(path).chmod(mode)

    def append(self, path: str, text: str) -> None:
        """More of a file."""
        self.write(path, self.path(path).read_text() + text)

    def set(self, name: str, text: str) -> None:
        """A file for the small programs."""
        (self.state / name).write_text(text)

    def while_asleep(self, body: str) -> None:
        """What happens at every sleep; $1 is which one it is."""
        self.program("../state/while-asleep", body)

    def node(self, *, ready: bool, **changes: Any) -> None:
        """What the API says of this machine's node, from now on."""
        self.set("nodes", json.dumps(node(ready=ready, **changes)) + "\n")

    def run(self, program: str = "cluster", *arguments: str, **more: str) -> Run:
        """Run one of its programs to its end."""
        (self.state / "calls").unlink(missing_ok=True)
        (self.state / "slept").unlink(missing_ok=True)
        return Run(
            subprocess.run(
                [str(self.path(f"/opt/kindling/{program}")), *arguments],
                env=self.environment | more,
                capture_output=True,
                text=True,
                timeout=180,
                check=False,
                start_new_session=True,
            )
        )

    @property
    def environment(self) -> dict[str, str]:
        """What its programs find in their environment."""
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "KINDLING_ROOT": str(self.root),
            "KINDLING_LOCAL_API": self.api.url,
            "ROOT": str(self.root),
            "ROLE": str(self.plan.node.role),
            "STATE": str(self.state),
        }

    def restart(self) -> None:
        """What a restart does to files: /run is empty."""
        shutil.rmtree(self.root / "run", ignore_errors=True)

    @property
    def calls(self) -> list[str]:
        """How the small programs were called by the last run."""
        file = self.state / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def called(self, start: str) -> list[str]:
        """Calls that begin so."""
        return [call for call in self.calls if call.startswith(start)]

    def has(self, path: str) -> bool:
        """Whether a file is there."""
        return (self.root / path.lstrip("/")).exists()


class Run:
    """What came of a program."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.output = done.stdout + done.stderr


def node(*, ready: bool, boot_id: str = BOOT_ID, arch: str = "amd64") -> dict[str, Any]:
    """A Node as the API gives it."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    condition |= {"reason": "KubeletNotReady", "message": "cni plugin not initialized"}
    return {
        "metadata": {"labels": {"kubernetes.io/arch": arch}},
        "status": {"conditions": [condition], "nodeInfo": {"bootID": boot_id}},
    }


def _plan(url: str, role: Role, etcd: str, *, dedicated: bool) -> NodePlan:
    machines = [machine("control-plane"), machine("worker")]
    if dedicated:
        machines.append(machine("etcd"))
    plans = cluster_plans(*machines, bootServer={"url": url}, etcd={"mode": etcd})
    return plans["worker1" if role is Role.WORKER else "cp1"]
