"""The system that every machine starts from: Debian, made to behave as Flatcar does.

Flatcar itself cannot be started in a container. What a unit of ours may rely on is brought in line:

- nothing is enabled but what the system itself needs: the preset is `disable *`, and the links are
  in /usr (flatcar/scripts, sys-apps/systemd: "Use an empty preset file"), so what runs is what
  Ignition enabled;
- networkd manages no foreign routes and rules, and the network is online when any card is
  (the patches 0001-networkd-disable-managing-of-foreign-routes and 0001-wait-online-set-any there);
- the users etcd and core, and the journal on disk (flatcar/baselayout, passwd and tmpfiles.d).
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from pathlib import Path

from tests.cluster.harness.commands import call
from tools.places import kept

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates,conntrack,curl,dbus,e2fsprogs,ethtool,iproute2,iptables,iputils-ping,jq,"
    "keepalived,kmod,nftables,openssl,procps,socat,systemd,systemd-resolved,systemd-sysv,util-linux"
)
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_BUILD_TIMEOUT = 1800.0

# Runs inside the new system. /extensions gets what is no part of Flatcar itself.
_SCRIPT = r"""
set -eu
rm -f /etc/machine-id /var/lib/dbus/machine-id /etc/hostname /etc/motd
find /etc/systemd/system -mindepth 1 -delete
rm -f /usr/lib/systemd/system-preset/90-systemd.preset
echo 'disable *' >/usr/lib/systemd/system-preset/99-default.preset

cd /usr/lib/systemd/system
enable() { mkdir -p "$1.wants" && ln -s "../$2" "$1.wants/$2"; }
enable multi-user.target systemd-networkd.service
enable network-online.target systemd-networkd-wait-online.service
enable sysinit.target systemd-resolved.service
ln -s systemd-resolved.service dbus-org.freedesktop.resolve1.service
mkdir -p systemd-networkd-wait-online.service.d /usr/lib/systemd/networkd.conf.d
cat >systemd-networkd-wait-online.service.d/any.conf <<END
[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any
END
cat >/usr/lib/systemd/networkd.conf.d/flatcar.conf <<END
[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
END

groupadd --gid 232 etcd
useradd --uid 232 --gid 232 --no-create-home --home-dir /dev/null --shell /usr/sbin/nologin etcd
groupadd --gid 500 core
useradd --uid 500 --gid 500 --create-home --shell /bin/bash core
mkdir -p /oem /opt/bin /var/log/journal

mkdir -p /extensions/keepalived/usr/sbin
mv /usr/sbin/keepalived /extensions/keepalived/usr/sbin
rm -rf keepalived.service /etc/keepalived /etc/init.d /etc/rc?.d
rm -rf /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info
rm -rf /var/cache/apt/archives /var/lib/apt/lists /var/log/apt /var/log/*.log /tmp/*
"""


def base_system() -> Path:
    """The system's tree, built where it is missing: a minute or two, once."""
    return _built() / "root"


def keepalived() -> Path:
    """A folder with Debian's keepalived, as the extension of that name has it."""
    return _built() / "keepalived"


def _built() -> Path:
    recipe = repr((SUITE, PACKAGES, _SCRIPT, platform.machine()))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return kept(f"cluster-base-{key}", _build)


def _build(folder: Path) -> None:
    print(f"building the machines' system: Debian {SUITE}, about a minute", flush=True)
    root = folder / "root"
    # In mounts of its own: an interrupted run leaves none behind.
    alone = ["unshare", "--mount", "--propagation", "private", "--"]
    options = ["--variant=minbase", "--force-check-gpg", f"--keyring={_KEYRING}"]
    wanted = f"--include={PACKAGES}"
    call(
        [*alone, "debootstrap", *options, wanted, SUITE, str(root), *_mirror()],
        timeout=_BUILD_TIMEOUT,
    )
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    call(["chroot", str(root), "sh", "-c", _SCRIPT], timeout=300, environment=environment)
    shutil.move(root / "extensions" / "keepalived", folder / "keepalived")
    (root / "extensions").rmdir()


def _mirror() -> list[str]:
    """The mirror that apt uses here for the same suite; else debootstrap's own choice."""
    if not shutil.which("apt-get"):
        return []
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {SUITE}"]
    return sorted(set(call([*query, "Created-By: Packages"]).split()))[:1]
