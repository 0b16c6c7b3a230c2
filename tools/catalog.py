"""The tools by name: versions, Go packages, and what an installed one must offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "tools" / "modules"


@dataclass(frozen=True)
class UsesC:
    """What a build needs that compiles C as well."""

    libraries: Mapping[str, str]
    """Libraries by pkg-config's name: the Debian package with what a build needs of each."""
    tags: tuple[str, ...] = ()
    static: bool = False
    """Whether the libraries become part of the program."""


@dataclass(frozen=True)
class Tool:
    """One tool, built from the Go module in `tools/modules/<module>`."""

    name: str
    version: str
    packages: Mapping[str, str]
    """The programs and the Go package of each."""
    takes: str
    """How long a first build takes, for the user's patience."""
    module: str = ""
    """The folder of the module, if it is not called as the tool is."""
    uses_c: UsesC | None = None
    under: str = ""
    """A folder inside `.tools/bin` for programs whose names hide the system's own on PATH."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Values that the linker sets."""
    version_command: tuple[str, ...] = ()
    """Arguments that print the version of one that is installed already."""
    least: tuple[int, int] | None = None
    """The oldest installed version that will do; None: only our own will."""
    companions: tuple[str, ...] = ()
    """Programs that an installed one must come with."""
    beside: tuple[Tool, ...] = ()
    """Parts from other modules that must lie in the same folder."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """Scripts to copy beside it: name -> path inside the module of `scripts_module`."""
    scripts_module: str = ""

    @property
    def folder(self) -> Path:
        """Where go.mod and go.sum lie."""
        return MODULES / (self.module or self.name)

    @property
    def programs(self) -> tuple[str, ...]:
        """Everything that a build of the tool leaves."""
        beside = (program for part in self.beside for program in part.programs)
        return (*self.packages, *self.scripts, *beside)


_PULUMI = "github.com/pulumi/pulumi"
_IGNITION = "github.com/coreos/ignition/v2"
# 3.79.0 is the last sdk module that contains the language host's sources; it needs older modules
# than pulumi itself, and so a module of its own.
_LANGUAGE_HOST = Tool(
    name="pulumi-language-python",
    version="3.79.0",
    packages={
        "pulumi-language-python": f"{_PULUMI}/sdk/v3/python/cmd/pulumi-language-python",
    },
    takes="half a minute",
    variables={f"{_PULUMI}/sdk/v3/go/common/version.Version": "v3.79.0"},
)

_FOR_USERS = (
    Tool(
        name="pulumi",
        version="3.259.0",
        packages={"pulumi": f"{_PULUMI}/pkg/v3/cmd/pulumi"},
        takes="3 to 5 minutes",
        variables={f"{_PULUMI}/sdk/v3/go/common/version.Version": "v3.259.0"},
        version_command=("version",),
        least=(3, 200),
        companions=("pulumi-language-python",),
        beside=(_LANGUAGE_HOST,),
        # The language host's own; it looks for them in the folder that it lies in.
        scripts={
            "pulumi-language-python-exec": "python/cmd/pulumi-language-python-exec",
            "pulumi-resource-pulumi-python": "python/dist/pulumi-resource-pulumi-python",
        },
        scripts_module=f"{_PULUMI}/sdk/v3",
    ),
    Tool(
        name="butane",
        version="0.27.0",
        packages={"butane": "github.com/coreos/butane/internal"},
        takes="a quarter of a minute",
        variables={"github.com/coreos/butane/internal/version.Raw": "v0.27.0"},
        version_command=("--version",),
        least=(0, 20),
    ),
    Tool(
        name="ignition-validate",
        version="2.24.0",
        packages={"ignition-validate": f"{_IGNITION}/validate"},
        takes="a few seconds",
        variables={f"{_IGNITION}/internal/version.Raw": "v2.24.0"},
        version_command=("-version",),
        least=(2, 24),
    ),
)


def _kubernetes(name: str, takes: str) -> Tool:
    """Return one of Kubernetes' programs; each is a tool, because few are needed together."""
    version = "k8s.io/component-base/version"
    return Tool(
        name=name,
        version="1.33.4",
        packages={name: f"k8s.io/kubernetes/cmd/{name}"},
        takes=takes,
        module="kubernetes",
        variables={
            f"{version}.gitVersion": "v1.33.4",
            f"{version}.gitMajor": "1",
            f"{version}.gitMinor": "33",
            f"{version}.gitTreeState": "clean",
        },
    )


_ETCD = "go.etcd.io/etcd"
_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins"

# What a cluster is made of. Only our own builds will do: a test must not pass with one version here
# and fail with another there.
_FOR_TESTS = (
    _kubernetes("kubeadm", "2 to 4 minutes"),
    _kubernetes("kubectl", "half a minute after kubeadm, else 2 minutes"),
    _kubernetes("kubelet", "2 minutes after kubeadm, else 4 to 7"),
    _kubernetes("kube-apiserver", "a minute after kubelet, else 3 to 5"),
    _kubernetes("kube-controller-manager", "half a minute after kube-apiserver, else 3 to 5"),
    _kubernetes("kube-scheduler", "seconds after kube-apiserver, else 2 to 4 minutes"),
    _kubernetes("kube-proxy", "seconds after kube-apiserver, else 2 to 3 minutes"),
    Tool(
        name="etcd",
        version="3.6.8",
        packages={
            "etcd": f"{_ETCD}/server/v3",
            "etcdctl": f"{_ETCD}/etcdctl/v3",
            "etcdutl": f"{_ETCD}/etcdutl/v3",
        },
        takes="half a minute",
    ),
    Tool(
        name="containerd",
        version="2.2.3",
        packages={
            name: f"{_CONTAINERD}/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        takes="1 to 2 minutes",
        variables={f"{_CONTAINERD}/version.Version": "v2.2.3"},
    ),
    Tool(
        name="runc",
        version="1.3.6",
        packages={"runc": "github.com/opencontainers/runc"},
        takes="a quarter of a minute",
        # Without seccomp every pod of kubeadm's fails: they ask for the profile RuntimeDefault.
        uses_c=UsesC(
            libraries={"libseccomp": "libseccomp-dev"},
            tags=("seccomp", "netgo", "osusergo"),
            static=True,
        ),
    ),
    Tool(
        name="cni-plugins",
        version="1.9.1",
        packages={
            "bridge": f"{_CNI}/plugins/main/bridge",
            "host-local": f"{_CNI}/plugins/ipam/host-local",
            "loopback": f"{_CNI}/plugins/main/loopback",
            "portmap": f"{_CNI}/plugins/meta/portmap",
        },
        takes="a quarter of a minute",
        variables={f"{_CNI}/pkg/utils/buildversion.BuildVersion": "v1.9.1"},
        under="cni",  # `bridge` is a program of iproute2 as well
    ),
    Tool(
        name="coredns",
        version="1.12.0",
        packages={"coredns": "github.com/coredns/coredns"},
        takes="2 to 4 minutes",
    ),
    Tool(
        name="ignition",
        version="2.24.0",
        packages={"ignition": f"{_IGNITION}/internal"},
        takes="2 to 4 minutes",
        variables={
            f"{_IGNITION}/internal/version.Raw": "v2.24.0",
            # Else its files stage fails on a system without SELinux.
            f"{_IGNITION}/internal/distro.selinuxRelabel": "false",
        },
        uses_c=UsesC(libraries={"blkid": "libblkid-dev"}),
    ),
    Tool(
        name="versitygw",
        version="1.8.0",
        packages={"versitygw": "github.com/versity/versitygw/cmd/versitygw"},
        takes="2 minutes",
    ),
    Tool(
        name="registry",
        version="3.0.0",
        packages={"registry": "github.com/distribution/distribution/v3/cmd/registry"},
        takes="2 to 3 minutes",
        variables={"github.com/distribution/distribution/v3/version.version": "v3.0.0"},
    ),
    Tool(name="pause", version="of this checkout", packages={"pause": "."}, takes="a second"),
)

TOOLS = {tool.name: tool for tool in (*_FOR_USERS, *_FOR_TESTS)}
