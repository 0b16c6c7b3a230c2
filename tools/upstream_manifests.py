"""Upstream's own manifests of add-ons, from pinned Go modules: for tests where releases are far.

A Go module holds its repository's files, so the manifest of a release can be had from any module
proxy. What is downloaded must have the hash that stands here (as in go.sum).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# As a script, Python searches only the script's own folder.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kindling.process import run
from tools.golang import find_go
from tools.places import BIN, kept
from tools.problems import ToolError

_TIMEOUT = 600.0
_GO = (1, 21)


@dataclass(frozen=True)
class Upstream:
    """One release: its module, the module's hash, and where in it the manifest lies.

    ``kustomized``: the place is a folder of which kustomize makes the manifest, as upstream's own
    Makefile does for a release.
    """

    name: str  # the add-on's
    version: str
    module: str
    hash: str
    place: str
    kustomized: bool = False


UPSTREAMS = (
    Upstream(
        name="flannel",
        version="0.27.4",
        module="github.com/flannel-io/flannel",
        hash="h1:/i1Bj6/wtBoHSJApQYhve7zK4kycDdFa8yyFDZnUiNE=",
        place="Documentation/kube-flannel.yml",
    ),
    Upstream(
        name="kube-network-policies",
        version="0.8.0",
        module="sigs.k8s.io/kube-network-policies",
        hash="h1:dzecRNzdmg+VmHEQWTIjxnCgf412J+8CKHqbKgCiWkk=",
        place="install.yaml",
    ),
    Upstream(
        name="metallb",
        version="0.15.3",
        module="go.universe.tf/metallb",
        hash="h1:jmTFharsaP9yBW0p/giOahfuVNTBIvwQqxx2eYxM6fc=",
        place="config/manifests/metallb-native.yaml",
    ),
    Upstream(
        name="metrics-server",
        version="0.8.0",
        module="sigs.k8s.io/metrics-server",
        hash="h1:Zlsi3sBWEtFKCD3+xSysThvXyLQ363rUAlqpnsY5JwI=",
        place="manifests/overlays/release",
        kustomized=True,
    ),
    Upstream(
        name="prometheus-operator",
        version="0.89.0",
        module="github.com/prometheus-operator/prometheus-operator",
        hash="h1:2HA351OwWBa10H6TDhjeSdHOA7wiY71sEivg+z2cykk=",
        place="bundle.yaml",
    ),
)


def upstream_manifest(name: str) -> Path:
    """The manifest of an add-on, kept in the cache of the tools."""
    upstream = next(each for each in UPSTREAMS if each.name == name)
    entry = f"manifest-{name}-{upstream.version}"
    return kept(entry, lambda folder: _fill(folder, upstream)) / f"{name}.yaml"


def _fill(folder: Path, upstream: Upstream) -> None:
    place = _module(folder, upstream) / upstream.place
    made = folder / f"{upstream.name}.yaml"
    if not upstream.kustomized:
        shutil.copyfile(place, made)
        return
    done = run([str(BIN / "kubectl"), "kustomize", str(place)], timeout=60)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace")
        raise ToolError(f"kustomize refused {upstream.name}'s own files: {said}")
    made.write_bytes(done.stdout)


def _module(folder: Path, upstream: Upstream) -> Path:
    wanted = f"{upstream.module}@v{upstream.version}"
    proxied = {key: text for key, text in os.environ.items() if _concerns_go(key)}
    # The hash is compared below, with the pinned one; no database of hashes need be reachable.
    environment = proxied | {"GOTOOLCHAIN": "local", "GOWORK": "off", "GONOSUMDB": "*"}
    argv = [find_go(_GO), "mod", "download", "-json", wanted]
    done = run(argv, timeout=_TIMEOUT, environment=environment, directory=folder)
    told = json.loads(done.stdout or b"{}")
    if done.returncode != 0 or "Dir" not in told:
        reason = told.get("Error") or done.stderr.decode(errors="replace").strip()
        raise ToolError(f"{wanted} cannot be had from the Go module proxy: {reason}")
    if told["Sum"] != upstream.hash:
        raise ToolError(f"{wanted} has the hash {told['Sum']}, expected {upstream.hash}")
    return Path(told["Dir"])


def _concerns_go(name: str) -> bool:
    return name.upper() in {"GOPROXY", "GOMODCACHE", "GOPATH", "HTTP_PROXY", "HTTPS_PROXY"}


if __name__ == "__main__":
    for each in UPSTREAMS:
        print(upstream_manifest(each.name))
