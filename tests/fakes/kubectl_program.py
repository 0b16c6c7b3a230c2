"""A kubectl for tests of whole rolls: it knows nodes, writes down what it is told, and answers DNS.

    python kubectl_program.py STATE ARGUMENT...

STATE is a JSON file: {"nodes": {host: {"role": ..., "cordoned": ..., "marked": ...}},
"calls": [...], "drainFails": host}. What KUBECONFIG names must be a private file with a kubeconfig.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml


def main(path: str, *arguments: str) -> int:
    """One command."""
    kubeconfig = Path(os.environ["KUBECONFIG"])
    assert kubeconfig.stat().st_mode & 0o77 == 0
    assert yaml.safe_load(kubeconfig.read_text())["kind"] == "Config"
    words = [word for word in arguments if not word.startswith("--request-timeout")]
    if "port-forward" in words:
        return forward()
    with state(Path(path)) as known:
        return answer(known, words)


def answer(known: dict[str, Any], words: list[str]) -> int:
    """Everything but the forwarded port."""
    nodes = known["nodes"]
    match words:
        case ["get", "--raw", "/readyz?verbose"]:
            print("[+]etcd ok\nreadyz check passed")
        case ["get", "nodes", *_]:
            print(json.dumps({"items": [node(host, each) for host, each in nodes.items()]}))
        case ["get", "pods", *_]:
            planes = [h for h, each in nodes.items() if each["role"] == "control-plane"]
            print(json.dumps({"items": [pod(host) for host in planes]}))
        case ["annotate", "node", host, mark, *_]:
            nodes[host]["marked"] = not mark.endswith("-")
        case ["cordon" | "uncordon" as what, host]:
            nodes[host]["cordoned"] = what == "cordon"
            known["calls"].append([what, host])
        case ["drain", host, *_]:
            known["calls"].append(["drain", host])
            if known.get("drainFails") == host:
                print(f"error: unable to drain node {host}: a budget allows nobody to go")
                return 1
            print(f"node/{host} drained")
        case _:
            print(f"error: this kubectl does not know {words}", file=sys.stderr)
            return 1
    return 0


def node(host: str, known: dict[str, Any]) -> dict[str, Any]:
    """A Node object, always ready: what the machines report is what the tests are about."""
    marks = {"kindling/roll": "cordoned"} if known.get("marked") else {}
    return {
        "metadata": {"name": host, "annotations": marks},
        "spec": {"unschedulable": bool(known.get("cordoned"))},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": known.get("version", "v1.33.6")},
        },
    }


def pod(host: str) -> dict[str, Any]:
    """An API server's static pod."""
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": host}, "spec": {"nodeName": host}, "status": ready}


def forward() -> int:
    """Answer one DNS query after the other over TCP, as a forwarded port does."""
    import dns.message
    import dns.query
    import dns.rrset

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"Forwarding from 127.0.0.1:{listener.getsockname()[1]} -> 53", flush=True)
        while True:
            connection, _ = listener.accept()
            query, _ = dns.query.receive_tcp(connection)
            answered = dns.message.make_response(query)
            record = dns.rrset.from_text(query.question[0].name, 5, "IN", "A", "10.96.0.1")
            answered.answer.append(record)
            dns.query.send_tcp(connection, answered)


@contextmanager
def state(path: Path) -> Iterator[dict[str, Any]]:
    """The state, read and written by one process at a time."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(path.read_text())
        yield known
        made = path.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}")
        made.write_text(json.dumps(known))
        made.replace(path)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
