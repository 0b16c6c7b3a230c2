"""containerd as Kubernetes wants it."""

from __future__ import annotations

from collections.abc import Iterable

from kindling.models.plan import SysextReference

# The pause image of each Kubernetes release, as kubeadm has it (PauseVersion in its constants);
# another image than the kubelet's would be collected as garbage. Oldest first.
_PAUSE = (((1, 0), "3.8"), ((1, 26), "3.9"), ((1, 31), "3.10"), ((1, 34), "3.10.1"))
_IMAGE = "registry.k8s.io/pause"


def pause_image(kubernetes: str | None) -> str:
    """The pause image for a Kubernetes version; the newest when there is no Kubernetes."""
    if kubernetes is None:
        return f"{_IMAGE}:{_PAUSE[-1][1]}"
    major, minor = (int(part) for part in kubernetes.split(".")[:2])
    fitting = [pause for since, pause in _PAUSE if (major, minor) >= since]
    return f"{_IMAGE}:{fitting[-1] if fitting else _PAUSE[0][1]}"


def configuration_template(containerd: str) -> str:
    """The template for a containerd version: configuration version 2 for 1.x, 3 from 2.0 on."""
    return f"flatcar/containerd-{2 if containerd.startswith('1.') else 3}.toml"


def version_of(name: str, sysexts: Iterable[SysextReference]) -> str | None:
    """The version of an extension among a node's."""
    return next((each.version for each in sysexts if each.name == name), None)
