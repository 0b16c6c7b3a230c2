"""System extensions as folders, the way they look when systemd-sysext has merged them.

systemd-sysext does not run in a container, so the programs that a stack's extensions bring are laid
over a machine's tree from outside. The units are those that the extensions ship (read in
flatcar/sysext-bakery and sighupio/installer-immutable-sysext, `<name>.sysext/files`), in words of
our own where words are free: what Kindling renders has to get along with them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.harness import base, workarounds
from tools.catalog import TOOLS
from tools.places import BIN

_UNITS = "usr/lib/systemd/system"


@dataclass(frozen=True)
class Extension:
    """Programs by the path that they get, as `.tools/bin` calls them; and texts by path."""

    name: str
    programs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def _upheld(name: str) -> dict[str, str]:
    """How an extension starts its service: with the target, and again whenever it has ended."""
    return {f"{_UNITS}/multi-user.target.d/10-{name}.conf": f"[Unit]\nUpholds={name}.service\n"}


_CNI = ("bridge", "host-local", "loopback", "portmap")
_KUBELET = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""
_KUBELET_KUBEADM = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
--kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/sysconfig/kubelet
ExecStart=
ExecStartPre=/usr/bin/mkdir -p /opt/cni/bin
ExecStartPre=/usr/bin/cp -r /usr/local/bin/cni/. /opt/cni/bin/
ExecStartPre=/usr/bin/cp /usr/local/share/kubernetes-version /etc/kubernetes-version
ExecStartPre=/usr/bin/mkdir -p /var/kubernetes/kubelet-plugins/volume/exec/
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS \
$KUBELET_EXTRA_ARGS
"""
_CONTAINERD = """\
[Unit]
Description=containerd container runtime
After=network.target

[Service]
Delegate=yes
Environment=CONTAINERD_CONFIG=/usr/share/containerd/config.toml
ExecStart=/usr/bin/containerd --config ${CONTAINERD_CONFIG}
KillMode=process
Restart=always
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""
_CONTAINERD_CONFIG = """\
version = 3
oom_score = -999
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = true
"""
_ETCD = """\
[Unit]
Description=etcd key-value store
After=network-online.target local-fs.target
Wants=network-online.target local-fs.target
Conflicts=etcd-member.service etcd2.service

[Service]
Type=notify
User=etcd
Group=etcd
EnvironmentFile=/etc/etcd/etcd.env
WorkingDirectory=/var/lib/etcd
ExecStart=/usr/bin/etcd
Restart=on-failure
RestartSec=5s
TimeoutStartSec=0
LimitNOFILE=65536
LimitMEMLOCK=infinity
Nice=-10
IOSchedulingClass=best-effort
IOSchedulingPriority=2

[Install]
WantedBy=multi-user.target
"""
_ETCD_FOLDERS = """\
d /var/lib/etcd 0700 etcd etcd -
d /etc/etcd 0755 root root -
d /etc/etcd/pki 0700 etcd etcd -
d /etc/etcd/pki/etcd 0700 etcd etcd -
"""
_KEEPALIVED = """\
[Unit]
Description=LVS and VRRP High Availability Monitor
After=network-online.target syslog.target
Wants=network-online.target

[Service]
Type=forking
PIDFile=/run/keepalived.pid
KillMode=process
EnvironmentFile=-/usr/etc/sysconfig/keepalived
EnvironmentFile=-/etc/sysconfig/keepalived
ExecStartPre=/bin/bash -c 'set -e; mkdir -p /etc/keepalived; \
[ -e /etc/keepalived/keepalived.conf ] || touch /etc/keepalived/keepalived.conf'
ExecStart=/usr/sbin/keepalived --use-file /etc/keepalived/keepalived.conf $KEEPALIVED_OPTIONS
ExecReload=/bin/kill -HUP $MAINPID

[Install]
WantedBy=multi-user.target
"""


def kubernetes() -> Extension:
    """kubelet, kubeadm, kubectl and the CNI plugins."""
    tools = {f"usr/bin/{name}": name for name in ("kubectl", "kubelet")}
    tools[workarounds.REAL_KUBEADM] = "kubeadm"
    plugins = {f"usr/local/bin/cni/{name}": f"cni/{name}" for name in _CNI}
    return Extension(
        "kubernetes",
        programs={**tools, **plugins},
        files={
            "usr/bin/kubeadm": workarounds.KUBEADM,
            f"{_UNITS}/kubelet.service": _KUBELET,
            f"{_UNITS}/kubelet.service.d/10-kubeadm.conf": _KUBELET_KUBEADM,
            "usr/local/share/kubernetes-version": f"v{TOOLS['kubelet'].version}\n",
            **_upheld("kubelet"),
        },
    )


def containerd() -> Extension:
    """containerd, its shim, ctr and runc."""
    names = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")
    return Extension(
        "containerd",
        programs={f"usr/bin/{name}": name for name in names},
        files={
            f"{_UNITS}/containerd.service": _CONTAINERD,
            "usr/share/containerd/config.toml": _CONTAINERD_CONFIG,
            **_upheld("containerd"),
        },
    )


def etcd() -> Extension:
    """etcd with its tools."""
    return Extension(
        "etcd",
        programs={f"usr/bin/{name}": name for name in ("etcd", "etcdctl", "etcdutl")},
        files={
            f"{_UNITS}/etcd.service": _ETCD,
            "usr/lib/tmpfiles.d/etcd.conf": _ETCD_FOLDERS,
            **_upheld("etcd"),
        },
    )


def keepalived() -> Extension:
    """keepalived, Debian's program."""
    return Extension(
        "keepalived",
        programs={"usr/sbin/keepalived": str(base.keepalived() / "usr/sbin/keepalived")},
        files={f"{_UNITS}/keepalived.service": _KEEPALIVED, **_upheld("keepalived")},
    )


def lay_out(extension: Extension, folder: Path) -> Path:
    """Make the folder of an extension in ``folder``; programs are hard links where that works."""
    made = folder / extension.name
    for path, name in extension.programs.items():
        _place((BIN / name).resolve(strict=True), made / path)
    for path, text in extension.files.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text(text)
        (made / path).chmod(0o755 if text.startswith("#!") else 0o644)
    return made


def _place(program: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(program, target)
    except OSError:  # another file system
        shutil.copy2(program, target)
