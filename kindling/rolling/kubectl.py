"""The cluster's API by kubectl, with the stack's own kubeconfig.

Each control plane's own API server is judged by its static pod's readiness, which its kubelet takes
from that server's /readyz (k8s.io/kubernetes, cmd/kubeadm/app/phases/controlplane/manifests.go;
labels: cmd/kubeadm/app/util/staticpod/utils.go). So only the endpoint must be reachable from here,
and an operator behind it sees what one beside the machines sees.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kindling.errors import RollError
from kindling.process import follow, run
from kindling.rolling.dnsquery import ask_dns
from kindling.rolling.interfaces import KubeNode
from kindling.rolling.programs import program, proxies

MARK = "kindling/roll"  # annotation of nodes that a roll cordoned
# Of a failed /readyz kubectl prints the body as a quoted text, with its line ends as \\n.
_FAILED = re.compile(r'\[-\][^\n\\"]*')
_ANSWER = 20  # seconds for one request
_TIMEOUT = 60.0  # seconds for one command


class Kubectl:
    """`Kubernetes`, with the kubeconfig in a file."""

    def __init__(self, kubeconfig: Path) -> None:
        self._program = program("kubectl")
        self._environment = {**proxies(), "KUBECONFIG": str(kubeconfig)}

    def api_problem(self) -> str:
        """See `Kubernetes`."""
        code, out, said = self._run("get", "--raw", "/readyz?verbose")
        failed = _FAILED.findall(out + said)
        return "" if code == 0 and not failed else "; ".join(failed) or said or "/readyz failed"

    def dns_problem(self, domain: str) -> str:
        """See `Kubernetes`. Asks a real DNS query of a DNS pod, through the API."""
        forward = self._command(
            *("--namespace", "kube-system", "port-forward", "--address", "127.0.0.1"),
            *("service/kube-dns", ":53"),
        )
        return ask_dns(forward, self._environment, f"kubernetes.default.svc.{domain}")

    def nodes(self) -> dict[str, KubeNode]:
        """See `Kubernetes`."""
        return {each["metadata"]["name"]: _node(each) for each in self._items("nodes")}

    def api_servers(self) -> dict[str, bool]:
        """See `Kubernetes`."""
        found = self._items(
            *("pods", "--namespace", "kube-system"), "--selector", "component=kube-apiserver"
        )
        return {each["spec"].get("nodeName", ""): _is_ready(each) for each in found}

    def cordon(self, host: str) -> None:
        """See `Kubernetes`. The mark comes first: one without the other is taken in as well."""
        self._do("annotate", "node", host, f"{MARK}=cordoned", "--overwrite")
        self._do("cordon", host)

    def drain(self, host: str, timeout: int, line: Callable[[str], None]) -> None:
        """See `Kubernetes`."""
        errors: dict[str, None] = {}  # each once, in their order

        def hear(text: str) -> None:
            if "error" in text.lower() or "cannot" in text.lower():
                errors[text.strip()] = None
            line(text)

        code = follow(
            self._command(
                *("drain", host, "--ignore-daemonsets", "--delete-emptydir-data"),
                f"--timeout={timeout}s",
                answer=None,
            ),
            hear,
            timeout=timeout + _TIMEOUT,
            environment=self._environment,
        )
        if code:
            raise RollError(f"its pods did not all leave: {' | '.join([*errors][-5:])}")

    def uncordon(self, host: str) -> None:
        """See `Kubernetes`."""
        self._do("uncordon", host)
        self._do("annotate", "node", host, f"{MARK}-")

    def _items(self, *what: str) -> list[dict[str, Any]]:
        found: dict[str, Any] = json.loads(self._do("get", *what, "--output", "json"))
        return list(found["items"])

    def _do(self, *arguments: str) -> str:
        code, out, said = self._run(*arguments)
        if code:
            raise RollError(f"kubectl {arguments[0]} failed: {said or f'exit code {code}'}")
        return out

    def _run(self, *arguments: str) -> tuple[int, str, str]:
        done = run(self._command(*arguments), timeout=_TIMEOUT, environment=self._environment)
        return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace").strip()

    def _command(self, *arguments: str, answer: int | None = _ANSWER) -> list[str]:
        # A drain is many requests and one wait, so it has a time of its own.
        limit = [] if answer is None else [f"--request-timeout={answer}s"]
        return [self._program, *limit, *arguments]


@contextmanager
def kubectl_with(kubeconfig: bytes) -> Iterator[Kubectl]:
    """Kubectl with a kubeconfig that lies in a private file until the end of the block."""
    with TemporaryDirectory(prefix="kindling-") as folder:  # mode 0700
        path = Path(folder, "kubeconfig")
        path.touch(mode=0o600)
        path.write_bytes(kubeconfig)
        yield Kubectl(path)


def _node(item: dict[str, Any]) -> KubeNode:
    return KubeNode(
        ready=_is_ready(item),
        cordoned=bool(item.get("spec", {}).get("unschedulable")),
        marked=MARK in item["metadata"].get("annotations", {}),
        version=item["status"].get("nodeInfo", {}).get("kubeletVersion", ""),
    )


def _is_ready(item: dict[str, Any]) -> bool:
    """The condition Ready, of a node or of a pod."""
    conditions = item.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
