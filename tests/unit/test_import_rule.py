"""Imports go one way (docs/architecture.md); this walks them all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOTTOM = {"errors", "process", "templating", "models"}
# Room of `kindling` -> the rooms that it may import; every room may import the bottom and itself.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "process": {"errors"},
    "templating": {"errors"},
    "models": {"errors"},
    "artifacts": BOTTOM,
    "rendering": BOTTOM,
    "stores": BOTTOM,
    "pki": BOTTOM,
    "simulator": {"errors"},  # it must not know the stack
    "sysext": BOTTOM | {"artifacts", "stores"},
    "bootserver": BOTTOM | {"artifacts", "stores"},
    "rolling": BOTTOM | {"artifacts", "stores", "bootserver"},
    "planning": BOTTOM | {"artifacts", "rendering"},
    "cli": BOTTOM
    | {"artifacts", "rendering", "stores", "bootserver", "simulator", "planning", "rolling", "pki"},
    "__main__": {"cli"},
    "__init__": set(),
}
PACKAGES = {  # package -> the packages of this project that it may import
    "kindling": {"kindling"},
    "providers": {"kindling", "providers"},
    "components": {"kindling", "providers", "components"},
}


def imports(file: Path) -> Iterator[str]:
    """Dotted names of every module that a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or ""


def files(package: str) -> list[Path]:
    """Every Python file of a package."""
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_downwards_only(package: str) -> None:
    """kindling <- providers <- components <- __main__; kindling never imports pulumi."""
    assert files(package)
    for file in files(package):
        for name in imports(file):
            top = name.split(".")[0]
            assert top not in set(PACKAGES) - PACKAGES[package], f"{file} imports {name}"
            assert package != "kindling" or not top.startswith("pulumi"), f"{file} imports {name}"


def test_rooms_of_the_library_do_not_import_their_neighbours() -> None:
    """Each room is usable and testable alone."""
    for file in files("kindling"):
        room = file.relative_to(ROOT / "kindling").parts[0].removesuffix(".py")
        allowed = ALLOWED[room] | {room}
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "kindling" and len(parts) > 1:
                assert parts[1] in allowed, f"{file} imports {name}"
