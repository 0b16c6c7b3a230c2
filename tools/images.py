"""Make images of a cluster's programs: `python -m tools.images --out FOLDER kube-proxy busybox`.

Registries are not reachable everywhere, and tests need no more than what is built here: programs of
`tools/catalog.py`, and a few of Debian's. `NAME=REFERENCE` gives an image another name.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kindling.errors import KindlingError
from tools import docker_archive, system_files
from tools.catalog import TOOLS
from tools.docker_archive import Entry, Settings, write_archive
from tools.golang import build
from tools.places import kept

# What programs expect of any system.
_BASE = [
    Entry("/tmp", mode=0o1777),
    Entry(
        "/etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\nhaproxy:x:99:99::/var/lib/haproxy:/bin/false\n"
        b"nobody:x:65534:65534:nobody:/:/bin/false\n",
        mode=0o644,
    ),
    Entry("/etc/group", b"root:x:0:\nhaproxy:x:99:\nnogroup:x:65534:\n", mode=0o644),
]


@dataclass(frozen=True)
class Image:
    """What an image is called and made of."""

    reference: str
    settings: Settings = Settings()  # noqa: RUF009 - frozen
    tool: str = ""
    """The tool whose programs it holds, all of them, in `folder`."""
    folder: str = "/usr/local/bin"
    system: Callable[[], list[Entry]] | None = None
    """What it holds of this machine's Debian."""

    def entries(self) -> list[Entry]:
        """Return its content; builds and installs what is missing."""
        entries = [*_BASE, *(self.system() if self.system else [])]
        if self.tool:
            programs = TOOLS[self.tool].programs
            built = build(TOOLS[self.tool])
            entries += [Entry(str(Path(self.folder, name)), built / name) for name in programs]
        return entries


def _of_kubernetes(name: str, system: Callable[[], list[Entry]] | None = None) -> Image:
    reference = f"registry.k8s.io/{name}:v{TOOLS[name].version}"
    return Image(reference, Settings(entrypoint=(name,)), tool=name, system=system)


# The references of the cluster's are those of `kubeadm config images list`; for etcd's, kubeadm's
# configuration must say `etcd.local.imageTag: 3.6.8-0`. busybox and haproxy are Debian's, whatever
# the version in their names, which are those that manifests ask for.
IMAGES = {
    "kube-apiserver": _of_kubernetes("kube-apiserver"),
    "kube-controller-manager": _of_kubernetes("kube-controller-manager"),
    "kube-scheduler": _of_kubernetes("kube-scheduler"),
    "kube-proxy": _of_kubernetes("kube-proxy", system_files.packet_filter),
    "pause": Image(
        "registry.k8s.io/pause:3.10",
        Settings(entrypoint=("/pause",), user="65535:65535"),
        tool="pause",
        folder="/",
    ),
    "coredns": Image(
        f"registry.k8s.io/coredns/coredns:v{TOOLS['coredns'].version}",
        Settings(entrypoint=("/coredns",)),
        tool="coredns",
        folder="/",
    ),
    "etcd": Image(f"registry.k8s.io/etcd:{TOOLS['etcd'].version}-0", tool="etcd"),
    "busybox": Image(
        "docker.io/library/busybox:1.36", Settings(command=("sh",)), system=system_files.busybox
    ),
    "haproxy": Image(
        "docker.io/library/haproxy:3.2",
        Settings(
            entrypoint=("docker-entrypoint.sh",),
            command=("haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"),
            user="haproxy",
            directory="/var/lib/haproxy",
        ),
        system=system_files.haproxy,
    ),
}


def archive(name: str, reference: str = "") -> Path:
    """Return the archive of an image in the cache, made first where it is missing.

    It is called image.tar and must not be changed. ``reference`` replaces the image's own.
    """
    image = IMAGES[name]
    reference = reference or image.reference
    entries = image.entries()
    digest = hashlib.sha256(Path(docker_archive.__file__).read_bytes())
    digest.update(repr((reference, image.settings, [entry.digest() for entry in entries])).encode())

    def make(folder: Path) -> None:
        print(f"making the image {reference}", flush=True)
        write_archive(folder / "image.tar", reference, entries, image.settings)

    return kept(f"image-{name}-{digest.hexdigest()[:16]}", make) / "image.tar"


def provide(names: Sequence[str], out: Path) -> list[Path]:
    """Put archives into a folder as `<name>.tar`; each name may be `NAME=REFERENCE`."""
    out.mkdir(parents=True, exist_ok=True)
    return [_put(*_split(name), out) for name in names]


def _put(name: str, reference: str, out: Path) -> Path:
    made, target = archive(name, reference), out / f"{name}.tar"
    target.unlink(missing_ok=True)
    # A second name costs nothing; on another file system it takes a copy.
    with contextlib.suppress(OSError):
        os.link(made, target)
        return target
    shutil.copyfile(made, target)
    return target


def _split(text: str) -> tuple[str, str]:
    name, _, reference = text.partition("=")
    return name, reference


def main(arguments: list[str] | None = None) -> int:
    """Make the named images, all of them if none is named; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME[=REFERENCE]", help=", ".join(IMAGES))
    parser.add_argument("--out", type=Path, required=True, help="folder for <name>.tar")
    chosen = parser.parse_args(arguments)
    names = chosen.names or list(IMAGES)
    if unknown := [name for name in names if _split(name)[0] not in IMAGES]:
        parser.error(f"{unknown[0]} is not one of: {', '.join(IMAGES)}")
    try:
        for path in provide(names, chosen.out):
            print(path)
    except (KindlingError, OSError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
