"""Programs of this machine's Debian, with everything they need, for images that need them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from kindling.process import run
from tools.debian import ensure_programs, find
from tools.docker_archive import Entry
from tools.problems import ToolError

# kube-proxy calls these; the nft variant of Debian's iptables package is all of them in one.
_IPTABLES = [f"{ip}tables{what}" for ip in ("ip", "ip6") for what in ("", "-save", "-restore")]
_LIBRARY = re.compile(r"(/\S+) \(0x[0-9a-f]+\)")
_ENTRYPOINT = b"""#!/bin/sh
# Options alone are haproxy's; haproxy runs as master with workers, and in the foreground.
case "$1" in -*) set -- haproxy "$@" ;; esac
if [ "$1" = haproxy ]; then
    shift
    set -- haproxy -W -db "$@"
fi
exec "$@"
"""


def busybox() -> list[Entry]:
    """Return busybox, which needs no library, under the names of all its programs."""
    program = _program("busybox", "busybox-static")
    names = run([str(program), "--list"]).stdout.decode().split()
    links = [Entry(f"/bin/{name}", target="busybox") for name in names if name != "busybox"]
    return [Entry("/bin/busybox", program), *links]


def packet_filter() -> list[Entry]:
    """Return nft and iptables, as kube-proxy needs them in either of its modes."""
    nft = _program("nft", "nftables")
    xtables = _program("xtables-nft-multi", "iptables")
    modules = sorted(Path("/usr/lib").glob("*/xtables/*.so"))
    links = [Entry(f"/usr/sbin/{name}", target=xtables.name) for name in _IPTABLES]
    programs = [Entry(f"/usr/sbin/{path.name}", path) for path in (nft, xtables)]
    files = [Entry(str(path), path, mode=0o644) for path in modules]
    return [*programs, *links, *files, *_libraries([nft, xtables, *modules])]


def haproxy() -> list[Entry]:
    """Return HAProxy where upstream's image has it, with that image's user and start script.

    Source: github.com/docker-library/haproxy, 3.2/Dockerfile.
    """
    program = _program("haproxy", "haproxy")
    # The start script needs a shell; this one needs no library.
    shell = _program("busybox", "busybox-static")
    return [
        Entry("/bin/sh", shell),
        Entry("/usr/local/sbin/haproxy", program),
        Entry("/usr/local/bin/docker-entrypoint.sh", _ENTRYPOINT),
        Entry("/usr/local/etc/haproxy"),
        Entry("/var/lib/haproxy", owner=99),
        *_libraries([program]),
    ]


def _program(name: str, package: str) -> Path:
    ensure_programs({name: package}, "making images")
    found = find(name)
    assert found, f"{package} brought no {name}"
    return Path(found).resolve()


def _libraries(files: Sequence[Path]) -> Iterable[Entry]:
    """Return the shared libraries of programs and modules, and the loader, under their paths."""
    done = run(["ldd", *map(str, files)])
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise ToolError(f"ldd does not read {files[0]}: {said[-500:]}")
    paths = sorted(set(_LIBRARY.findall(done.stdout.decode())))
    return [Entry(path, Path(path)) for path in paths]
