"""What goes together with which Kubernetes: one table, and what upstream refuses.

Sources of the table:
- containerd: containerd's RELEASES.md, "Kubernetes Support": the least release of each line that
  was tested with that Kubernetes, from 2.0 on where there is one for Kubernetes 1.32 and later,
  which this project recommends. It has no row for 1.37 yet.
- the others: k8s.io/kubernetes, cmd/kubeadm/app/constants/constants.go of 1.29.0 to 1.37.0:
  PauseVersion, DefaultEtcdVersion, MinExternalEtcdVersion, CoreDNSVersion. etcd 3.6 beside 1.33:
  sighupio/installer-on-premises v1.35.5 releases 1.33.12 with etcd 3.6.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

OLDEST = (1, 29)
_PAUSE_IMAGE = "registry.k8s.io/pause"
_RECOMMENDED_CONTAINERD = "2.0.0"


class Companions(NamedTuple):
    """What goes with one minor release; versions are the least of each line, oldest line first."""

    containerd: tuple[str, ...]
    etcd: tuple[str, ...]
    least_etcd: str  # older ones are refused by kubeadm's preflight checks
    coredns: str
    pause: str


COMPANIONS: dict[tuple[int, int], Companions] = {
    (1, 29): Companions(("1.7.11",), ("3.5.10",), "3.4.13", "1.11.1", "3.9"),
    (1, 30): Companions(("1.7.13", "2.0.0"), ("3.5.12",), "3.4.13", "1.11.1", "3.9"),
    (1, 31): Companions(("1.7.20", "2.0.0"), ("3.5.15",), "3.5.11", "1.11.1", "3.10"),
    (1, 32): Companions(("2.0.1", "2.1.0"), ("3.5.16",), "3.5.11", "1.11.3", "3.10"),
    (1, 33): Companions(("2.0.4", "2.1.0"), ("3.5.21", "3.6.6"), "3.5.11", "1.12.0", "3.10"),
    (1, 34): Companions(("2.0.6", "2.1.3"), ("3.6.4",), "3.5.21", "1.12.1", "3.10.1"),
    (1, 35): Companions(("2.1.5", "2.2.0"), ("3.6.6",), "3.5.24", "1.13.1", "3.10.1"),
    (1, 36): Companions(("2.2.0", "2.3.0"), ("3.6.8",), "3.5.24", "1.14.2", "3.10.2"),
    (1, 37): Companions((_RECOMMENDED_CONTAINERD,), ("3.7.0",), "3.5.24", "1.14.6", "3.10.2"),
}
NEWEST = max(COMPANIONS)


def minor_of(version: str) -> tuple[int, int]:
    """Major and minor number of a version; 1.0 of one that has only a major number."""
    numbers = (*numbers_of(version), 0, 0)
    return numbers[0], numbers[1]


def numbers_of(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparison; without what follows a hyphen or plus."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[-+]", version)[0]))


def companions_of(kubernetes: str) -> Companions:
    """The row of a Kubernetes version; of the nearest one that is known."""
    return COMPANIONS[min(max(minor_of(kubernetes), OLDEST), NEWEST)]


def kubeadm_api(version: str) -> str:
    """The API version of kubeadm's documents: v1beta4 came with 1.31.

    Source: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
    """
    return f"kubeadm.k8s.io/v1beta{4 if minor_of(version) >= (1, 31) else 3}"


def pause_image(kubernetes: str | None) -> str:
    """The pause image for a Kubernetes version; the newest when there is no Kubernetes.

    Another image than the one that the kubelet knows would be collected as garbage.
    """
    row = COMPANIONS[NEWEST] if kubernetes is None else companions_of(kubernetes)
    return f"{_PAUSE_IMAGE}:{row.pause}"


def refused_containerd(kubernetes: str, containerd: str) -> str | None:
    """Why upstream says that this containerd does not work, as the rest of a sentence."""
    wanted = f"give {_or_later(companions_of(kubernetes).containerd)}"
    if numbers_of(containerd) < (1, 6):
        # containerd/containerd#7863; kubernetes/kubernetes#110618
        return f"has no CRI v1, without which no kubelet from 1.26 on starts; {wanted}"
    if numbers_of(containerd) < (2,) and minor_of(kubernetes) >= (1, 38):
        # The kubelet of 1.37 counts it in kubelet_cri_losing_support{version="1.38.0"}:
        # k8s.io/kubernetes v1.37.0, cmd/kubelet/app/server.go, getCgroupDriverFromCRI.
        return f"is of the line that kubelets support no longer from 1.38 on; {wanted}"
    return None


def refused_etcd(kubernetes: str, etcd: str) -> str | None:
    """Why kubeadm refuses this etcd (ExternalEtcdVersionCheck), as the rest of a sentence."""
    row = companions_of(kubernetes)
    if numbers_of(etcd) >= numbers_of(row.least_etcd):
        return None
    return (
        f"is refused by kubeadm {_minor(kubernetes)}, which needs {row.least_etcd} or later; "
        f"give {_or_later(row.etcd)}"
    )


def unusual_pairs(kubernetes: str, containerd: str | None, etcd: str | None) -> Iterator[str]:
    """Sentences about what was not tested together, each with what is recommended."""
    if minor_of(kubernetes) > NEWEST:
        yield (
            f"assets.kubernetes: {kubernetes} is newer than what is known here "
            f"({'.'.join(map(str, NEWEST))}); read its release notes first"
        )
        return
    row = companions_of(kubernetes)
    if containerd and not _fits(containerd, row.containerd, newer=True):
        yield _unusual("containerd", containerd, kubernetes, row.containerd)
    if etcd and not _fits(etcd, row.etcd, newer=False):
        yield _unusual("etcd", etcd, kubernetes, row.etcd)


def _fits(version: str, least: tuple[str, ...], *, newer: bool) -> bool:
    """Whether it is of a listed line and not older; or of a newer line, where that is fine."""
    for each in least:
        if minor_of(each) == minor_of(version):
            return numbers_of(version) >= numbers_of(each)
    return newer and minor_of(version) > minor_of(least[-1])


def _unusual(name: str, version: str, kubernetes: str, least: tuple[str, ...]) -> str:
    return (
        f"assets.{name}: {version} is not what was tested with Kubernetes {_minor(kubernetes)}; "
        f"recommended is {_or_later(least)}"
    )


def _or_later(least: tuple[str, ...]) -> str:
    return f"{' or '.join(least)}, or later"


def _minor(version: str) -> str:
    return ".".join(map(str, minor_of(version)))
