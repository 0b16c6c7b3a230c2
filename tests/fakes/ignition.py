"""Reading Ignition documents back, as Ignition would, and asking the real validator."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

_LOCAL = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "ignition-validate"


def content(contents: dict[str, Any]) -> bytes:
    """The bytes of a data URL, decompressed."""
    head, _, data = contents["source"].partition(",")
    assert head.startswith("data:"), head
    body = base64.b64decode(data) if ";base64" in head else urllib.parse.unquote_to_bytes(data)
    return gzip.decompress(body) if contents.get("compression") == "gzip" else body


def file_text(ignition: bytes, path: str) -> str:
    """Text of a file that the document makes."""
    files = json.loads(ignition)["storage"]["files"]
    return content(next(each for each in files if each["path"] == path)["contents"]).decode()


def validate(ignition: bytes) -> str:
    """What the real ignition-validate says; empty when it finds nothing."""
    program = shutil.which("ignition-validate") or str(_LOCAL)
    done = subprocess.run([program, "-"], input=ignition, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode().strip() if done.returncode else ""


def everything(document: dict[str, Any]) -> str:
    """All text of an Ignition document: itself, and every file in it, unpacked."""
    files = document.get("storage", {}).get("files", ())
    inside = [
        content(file["contents"]).decode(errors="replace")
        for file in files
        if file.get("contents", {}).get("source", "").startswith("data:")
    ]
    return "\n".join([json.dumps(document), *inside])
