"""Which labels a kubelet may set on its own node.

Source: k8s.io/kubelet, pkg/apis/well_known_labels.go. The kubelet does not start with others below
kubernetes.io and k8s.io, and the NodeRestriction admission plug-in refuses them, too (k8s.io/
kubernetes, plugin/pkg/admission/noderestriction: getForbiddenLabels). Control planes apply those.
"""

from __future__ import annotations

ARCH = "kubernetes.io/arch"
OS = "kubernetes.io/os"
HOSTNAME = "kubernetes.io/hostname"
POOL = "node.kubernetes.io/pool"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
BETA_ARCH, BETA_OS = "beta.kubernetes.io/arch", "beta.kubernetes.io/os"
_NAMES = frozenset(
    (
        HOSTNAME,
        OS,
        ARCH,
        BETA_OS,
        BETA_ARCH,
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
    )
)
_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESERVED = ("kubernetes.io", "k8s.io")


def self_settable(label: str) -> bool:
    """Whether a kubelet may give its own node this label."""
    prefix, slash, _ = label.rpartition("/")
    if not slash or not _below(prefix, _RESERVED):
        return True
    return label in _NAMES or _below(prefix, _PREFIXES)


def _below(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)
