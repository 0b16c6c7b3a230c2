"""What machines that are containers force on a test, each with its reason, and nothing else.

None of it is in what Kindling renders. Files are a layer over the system and its extensions, below
what Ignition writes. Without any one of them no cluster comes up, except for the 10 s, which only
save time. `table` is for the docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_UNITS = "etc/systemd/system"
_HOME = "usr/share/kindling-test"


@dataclass(frozen=True)
class Workaround:
    """One thing that only the test machine needs; ``files`` by path."""

    what: str
    reason: str
    arguments: tuple[str, ...] = ()  # of systemd-nspawn
    environment: Mapping[str, str] = field(default_factory=dict)  # of systemd-nspawn
    files: Mapping[str, str] = field(default_factory=dict)


_PREPARE = f"""\
[Unit]
Description=Make this container look like a machine (test harness)
DefaultDependencies=no
After=systemd-tmpfiles-setup-dev.service local-fs.target
Before=sysinit.target containerd.service kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -eu /{_HOME}/prepare
"""
_PREPARE_SCRIPT = """\
[ -e /dev/kmsg ] || mknod -m 600 /dev/kmsg c 1 11
for group in /sys/fs/cgroup /sys/fs/cgroup/*; do
    ! mountpoint -q "$group" || mount -o remount,rw,bind "$group"
done
mkdir -p /run/kindling-test
fake() {
    printf '%s\\n' "$2" >"/run/kindling-test/${1##*/}"
    mount --bind "/run/kindling-test/${1##*/}" "/proc/sys/$1"
}
fake vm/overcommit_memory 1
fake kernel/panic 10
fake kernel/panic_on_oops 1
"""
# The rendered file is read as it is; what follows is merged over it.
_CONTAINERD = f"""\
version = 3
imports = ["/etc/containerd/config.toml"]

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
  conf_template = "/{_HOME}/pods.conflist"
"""
_CONTAINERD_UNIT = f"""\
[Service]
Environment=CONTAINERD_CONFIG=/{_HOME}/containerd.toml
"""
_PODS = """\
{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "{{.PodCIDR}}"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""

REAL_KUBEADM = "usr/libexec/kindling-test/kubeadm"
KUBEADM = f"""\
#!/bin/sh
# Only whole runs of init and join, and their phase preflight, know the option.
set -eu
umask 077
kubeadm=/{REAL_KUBEADM}
previous=
changed() {{
    awk -v kind="kind: KubeProxyConfiguration" -v change="conntrack: {{maxPerCore: 0}}" \\
        -v api="kubeproxy.config.k8s.io/v1alpha1" '
        {{ print }}
        $0 == kind {{ print change; found = 1 }}
        END {{
            if (!found) print "---\\napiVersion: " api "\\n" kind "\\n" change
        }}' "$1" >/run/kindling-test/kubeadm.yaml
    echo /run/kindling-test/kubeadm.yaml
}}
case " $* " in
*" phase preflight "*) ;;
*" phase "*) exec "$kubeadm" "$@" ;;
esac
case "${{1-}}" in
init)
    shift
    for argument; do
        shift
        case "$previous $argument" in
        "--config "*) argument=$(changed "$argument") ;;
        *" --config="*) argument=--config=$(changed "${{argument#--config=}}") ;;
        esac
        previous=$argument
        set -- "$@" "$argument"
    done
    exec "$kubeadm" init "$@" --ignore-preflight-errors=HTTPProxyCIDR
    ;;
join) exec "$kubeadm" "$@" --ignore-preflight-errors=HTTPProxyCIDR ;;
*) exec "$kubeadm" "$@" ;;
esac
"""

WORKAROUNDS = (
    Workaround(
        "all capabilities",
        "kubelet and containers do as root what a container normally may not",
        arguments=("--capability=all",),
    ),
    Workaround(
        "further system calls",
        "runc makes session keyrings and loads programs that guard devices",
        arguments=("--system-call-filter=add_key keyctl request_key bpf perf_event_open",),
    ),
    Workaround(
        "writable network settings",
        "Kindling's own sysctl file, kube-proxy and the network plugins write to /proc/sys/net",
        environment={"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
    ),
    Workaround(
        "a unit that prepares the machine",
        "containers have no /dev/kmsg and read-only control groups; kubelet wants three kernel "
        "settings that only the host could change, so it finds files with the values instead",
        files={
            f"{_UNITS}/kindling-test.service": _PREPARE,
            f"{_UNITS}/sysinit.target.d/90-kindling-test.conf": (
                "[Unit]\nWants=kindling-test.service\n"
            ),
            f"{_HOME}/prepare": _PREPARE_SCRIPT,
        },
    ),
    Workaround(
        "containerd reads a file of the test, which imports the rendered one",
        "restrict_oom_score_adj: a container on a test machine may lack CAP_SYS_RESOURCE; "
        "a template for pod networks: no add-on's image is needed for a node to be Ready",
        files={
            f"{_UNITS}/containerd.service.d/90-kindling-test.conf": _CONTAINERD_UNIT,
            f"{_HOME}/containerd.toml": _CONTAINERD,
            f"{_HOME}/pods.conflist": _PODS,
        },
    ),
    Workaround(
        "networkd finds the card by its current address",
        "a virtual cable has no permanent address; nor does it wait for IPv6 routers",
    ),
    Workaround(
        "services get 10 s to end",
        "a container that ignores SIGTERM would keep every restart waiting for 90 s",
        files={
            "etc/systemd/system.conf.d/90-kindling-test.conf": (
                "[Manager]\nDefaultTimeoutStopSec=10s\n"
            )
        },
    ),
    Workaround(
        "kubeadm is a script that adds --ignore-preflight-errors=HTTPProxyCIDR",
        "built with a Go newer than the release was, it rejects a URL of its own making",
    ),
    Workaround(
        "that script sets conntrack.maxPerCore to 0 in kubeadm's KubeProxyConfiguration",
        "kube-proxy would write net.netfilter.nf_conntrack_max, which is the host's alone",
    ),
    Workaround(
        "extensions are laid over the system from outside",
        "systemd-sysext does not run in a container; the fetched images are small placeholders",
    ),
    Workaround(
        "/var/lib/containerd is a folder of the host",
        "its snapshots are overlays, which cannot lie on the overlay that the machine's root is",
    ),
)


def arguments() -> list[str]:
    """What the workarounds add to systemd-nspawn's command."""
    return [argument for each in WORKAROUNDS for argument in each.arguments]


def environment() -> dict[str, str]:
    """What the workarounds add to systemd-nspawn's environment."""
    return {name: value for each in WORKAROUNDS for name, value in each.environment.items()}


def lay_out(folder: Path) -> Path:
    """Make the layer with the files of all workarounds."""
    for each in WORKAROUNDS:
        for path, text in each.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    return folder


def rewrite_networks(tree: Path, mac: str) -> None:
    """Let networkd find the card; see the workaround about its address."""
    for file in sorted((tree / "etc/systemd/network").glob("*.network")):
        if f"PermanentMACAddress={mac}" in file.read_text():
            changes = file.with_name(f"{file.name}.d") / "90-kindling-test.conf"
            changes.parent.mkdir(exist_ok=True)
            match = f"[Match]\nPermanentMACAddress=\nMACAddress={mac}\n"
            changes.write_text(f"{match}[Network]\nIPv6AcceptRA=no\n")


def table() -> str:
    """The workarounds as a table for the docs, in Markdown."""
    rows = [f"| {each.what} | {each.reason} |" for each in WORKAROUNDS]
    return "\n".join(["| in the test only | because |", "| --- | --- |", *rows, ""])
