"""What goes together with which Kubernetes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kindling.models.compatibility import COMPANIONS, kubeadm_api, pause_image
from kindling.models.loading import load_cluster, warnings
from tests.fakes.clusters import cluster
from tests.unit.models.test_kubernetes import problems_of, versions


def warned(**changes: str | None) -> list[str]:
    found: Any = warnings(load_cluster(cluster(assets=versions(**changes))))
    return list(found)


@pytest.mark.parametrize(
    ("kubernetes", "containerd", "etcd"),
    [
        ("1.29.15", "1.7.28", "3.5.26"),
        ("1.29.15", "2.1.4", "3.5.26"),
        ("1.31.0", "2.0.0", "3.5.15"),
        ("1.33.6", "2.1.4", "3.6.6"),
        ("1.33.6", "2.0.4", "3.5.26"),
        ("1.34.4", "2.1.9", "3.6.7"),
        ("1.36.4", "2.3.5", "3.6.14"),
    ],
)
def test_pairs_that_upstream_tested_are_fine(kubernetes: str, containerd: str, etcd: str) -> None:
    assert warned(kubernetes=kubernetes, containerd=containerd, etcd=etcd) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"containerd": "1.7.28"},
            (
                "assets.containerd: 1.7.28 is not what was tested with Kubernetes 1.33; "
                "recommended is 2.0.4 or 2.1.0, or later"
            ),
        ),
        (
            {"kubernetes": "1.29.3", "containerd": "1.6.36", "etcd": "3.5.10"},
            (
                "assets.containerd: 1.6.36 is not what was tested with Kubernetes 1.29; "
                "recommended is 1.7.11, or later"
            ),
        ),
        (
            {"kubernetes": "1.34.4", "etcd": "3.5.26"},
            (
                "assets.etcd: 3.5.26 is not what was tested with Kubernetes 1.34; "
                "recommended is 3.6.4, or later"
            ),
        ),
        (
            {"kubernetes": "1.32.2", "etcd": "3.6.6"},
            (
                "assets.etcd: 3.6.6 is not what was tested with Kubernetes 1.32; "
                "recommended is 3.5.16, or later"
            ),
        ),
        (
            {"kubernetes": "1.99.0"},
            (
                "assets.kubernetes: 1.99.0 is newer than what is known here (1.37); "
                "read its release notes first"
            ),
        ),
    ],
)
def test_other_pairs_are_warned_about_with_what_is_recommended(
    changes: dict[str, str | None], sentence: str
) -> None:
    assert warned(**changes) == [sentence]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"containerd": "1.5.18"},
            (
                'assets.containerd: "1.5.18" has no CRI v1, without which no kubelet from 1.26 on '
                "starts; give 2.0.4 or 2.1.0, or later"
            ),
        ),
        (
            {"kubernetes": "1.38.0", "containerd": "1.7.29"},
            (
                'assets.containerd: "1.7.29" is of the line that kubelets support no longer from '
                "1.38 on; give 2.0.0, or later"
            ),
        ),
        (
            {"kubernetes": "1.34.4", "etcd": "3.5.20"},
            (
                'assets.etcd: "3.5.20" is refused by kubeadm 1.34, which needs 3.5.21 or later; '
                "give 3.6.4, or later"
            ),
        ),
    ],
)
def test_pairs_that_upstream_refuses_are_refused(
    changes: dict[str, str | None], sentence: str
) -> None:
    assert problems_of(cluster(assets=versions(**changes))) == [sentence]


@pytest.mark.parametrize(
    ("kubernetes", "api"),
    [("1.29.0", "v1beta3"), ("v1.30.14", "v1beta3"), ("1.31.0", "v1beta4"), ("1.40.1", "v1beta4")],
)
def test_kubeadms_documents_have_the_api_version_of_the_release(kubernetes: str, api: str) -> None:
    assert kubeadm_api(kubernetes) == f"kubeadm.k8s.io/{api}"


@pytest.mark.parametrize(
    ("kubernetes", "tag"),
    [
        *[("1.29.0", "3.9"), ("1.33.6", "3.10"), ("1.34.1", "3.10.1"), ("1.36.4", "3.10.2")],
        *[("1.99.0", "3.10.2"), (None, "3.10.2")],
    ],
)
def test_the_pause_image_is_the_kubelets(kubernetes: str | None, tag: str) -> None:
    assert pause_image(kubernetes) == f"registry.k8s.io/pause:{tag}"


def test_the_table_has_no_gap_and_never_goes_back() -> None:
    minors = list(COMPANIONS)
    assert minors == [(1, number) for number in range(29, 29 + len(minors))]
    for column in ("least_etcd", "coredns", "pause"):
        found = [
            tuple(int(part) for part in getattr(row, column).split("."))
            for row in COMPANIONS.values()
        ]
        assert found == sorted(found), column


def test_the_table_in_the_documentation_is_this_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
    shown = [line.strip("| ").split(" | ") for line in page.splitlines() if line[:4] == "| 1."]
    assert shown == [
        [
            f"{major}.{minor}",
            ", ".join(row.containerd),
            ", ".join(row.etcd),
            row.least_etcd,
            row.coredns,
            row.pause,
            kubeadm_api(f"{major}.{minor}.0").rpartition("/")[2],
        ]
        for (major, minor), row in COMPANIONS.items()
    ]
