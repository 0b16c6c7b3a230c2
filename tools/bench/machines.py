"""Two machines on a boot server: one that has its system, and one that is being installed."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

import requests

from kindling.models.architecture import Architecture
from kindling.models.documents import (
    BootValues,
    NodeDocument,
    Publication,
    path_of_ignition,
    path_of_node,
)
from kindling.stores.opening import open_store
from tools.bench.problems import NotMeasured
from tools.bench.servers import Server

_INSTALLED, _INSTALLING = "52:54:00:61:00:01", "52:54:00:61:00:02"
_ASKED = "arch=x86_64&platform=efi&manufacturer=Bench&product=Machine&serial=1"
_IGNITION_BYTES = 30_000
_TIMEOUT = 60.0  # seconds for one answer
_IGNITION_URL = re.compile(r"ignition\.config\.url=(\S+)")


@dataclass(frozen=True)
class Machines:
    """What the two ask for, as paths of the server, and what they get."""

    script_path: str
    script: bytes
    ignition_path: str
    ignition: bytes


def publish_machines(server: Server) -> Machines:
    """Publish both, and bring the first one to `booted` by the reports that a machine sends."""
    ignition = _ignition()
    token = secrets.token_urlsafe(32)
    for mac in (_INSTALLED, _INSTALLING):
        _publish(server, mac, ignition, token)
    digest = hashlib.sha256(ignition).hexdigest()
    _get(f"{server.url}/boot/{_hyphens(_INSTALLED)}?{_ASKED}")
    for state in ("installing", "installed", "booted"):
        _report(server, state, digest, token)
    script_path = f"boot/{_hyphens(_INSTALLED)}?{_ASKED}"
    offered = _get(f"{server.url}/boot/{_hyphens(_INSTALLING)}?{_ASKED}").decode()
    found = _IGNITION_URL.search(offered)
    if found is None:
        raise NotMeasured(f"the boot server offers no installation: {offered}")
    ignition_path = found[1].removeprefix(f"{server.url}/")
    return Machines(
        script_path=script_path,
        script=_get(f"{server.url}/{script_path}"),
        ignition_path=ignition_path,
        ignition=_get(f"{server.url}/{ignition_path}"),
    )


def _publish(server: Server, mac: str, ignition: bytes, token: str) -> None:
    digest = hashlib.sha256(ignition).hexdigest()
    document = NodeDocument(
        stack="bench",
        cluster="bench",
        hostname=f"node{mac[-1]}.bench.example",
        macs=(mac,),
        arch=Architecture("x86-64"),
        role="worker",
        generation=1,
        digest=digest,
        ignition_digest=digest,
        history=(Publication(generation=1, digest=digest),),
        status_tokens={1: hashlib.sha256(token.encode()).hexdigest()},
        boot=BootValues(
            base_url=server.url,
            kernel="assets/flatcar/x86-64/1/flatcar_production_pxe.vmlinuz",
            initrds=("assets/flatcar/x86-64/1/flatcar_production_pxe_image.cpio.gz",),
            arguments=("flatcar.first_boot=1", "console=ttyS0,115200n8"),
        ),
    ).to_json()
    store = open_store({"http": server.url}, server.token)
    for path, body in ((path_of_ignition(mac), ignition), (path_of_node(mac), document)):
        store.put(path, body, sha256=hashlib.sha256(body).hexdigest(), owner="bench/serving")


def _report(server: Server, state: str, digest: str, token: str) -> None:
    body: dict[str, Any] = {"state": state, "generation": 1, "digest": digest}
    answer = requests.post(
        f"{server.url}/status/{_hyphens(_INSTALLED)}",
        json=body | {"message": "", "log": ""},
        headers={"Authorization": f"Bearer {token}"},
        timeout=_TIMEOUT,
    )
    if answer.status_code != requests.codes.ok:
        raise NotMeasured(f"the boot server refused `{state}`: {answer.text}")


def _ignition() -> bytes:
    """An Ignition document of the size that a node's has, which is mostly compressed bytes."""
    frame = {"ignition": {"version": "3.4.0"}, "storage": {"files": []}}
    room = _IGNITION_BYTES - len(json.dumps(frame)) - 100
    contents = {"source": f"data:;base64,{secrets.token_urlsafe(room)[:room]}"}
    frame["storage"] = {"files": [{"path": "/opt/bench", "contents": contents}]}
    return json.dumps(frame).encode().ljust(_IGNITION_BYTES)


def _get(url: str) -> bytes:
    answer = requests.get(url, timeout=_TIMEOUT)
    if answer.status_code != requests.codes.ok:
        raise NotMeasured(f"{url.partition('?')[0]}: HTTP {answer.status_code}: {answer.text}")
    return answer.content


def _hyphens(mac: str) -> str:
    return mac.replace(":", "-")
