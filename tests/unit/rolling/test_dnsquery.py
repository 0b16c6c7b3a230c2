"""A real DNS query over TCP through a forwarded port."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import dns.query
import dns.rcode
import dns.rrset

from kindling.rolling import dnsquery
from kindling.rolling.dnsquery import ask_dns

NAME = "kubernetes.default.svc.cluster.local"


@contextmanager
def dns_server(names: dict[str, str]) -> Iterator[int]:
    """Answers over TCP for these names; the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                query, _ = dns.query.receive_tcp(connection)
                asked = query.question[0].name.to_text(omit_final_dot=True)
                answer = dns.message.make_response(query)
                if asked in names:
                    answer.answer.append(
                        dns.rrset.from_text(f"{asked}.", 5, "IN", "A", names[asked])
                    )
                else:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                dns.query.send_tcp(connection, answer)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def forwarding(text: str) -> list[str]:
    """A program that prints what `kubectl port-forward` would, and stays."""
    return [sys.executable, "-c", f"import time; print({text!r}, flush=True); time.sleep(60)"]


def test_a_name_that_the_clusters_dns_knows_is_no_problem() -> None:
    """The port is the one that kubectl names."""
    with dns_server({NAME: "10.96.0.1"}) as port:
        assert ask_dns(forwarding(f"Forwarding from 127.0.0.1:{port} -> 53"), {}, NAME) == ""


def test_a_name_that_it_does_not_know_is_one() -> None:
    """As with another domain."""
    with dns_server({}) as port:
        said = ask_dns(forwarding(f"Forwarding from 127.0.0.1:{port} -> 53"), {}, NAME)
    assert said == f"{NAME} is not known there (NXDOMAIN)"


def test_no_way_to_it_is_told_in_kubectls_words() -> None:
    """No pod runs, or the API cannot be reached."""
    said = ask_dns(forwarding("error: unable to forward port"), {}, NAME)
    assert said == "no way to it: error: unable to forward port"
    assert "ended early" in ask_dns(["true"], {}, NAME)


def test_dns_that_does_not_answer_is_a_problem_in_time(monkeypatch) -> None:
    """A pod that is there and hangs."""
    monkeypatch.setattr(dnsquery, "_PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        said = ask_dns(forwarding(f"Forwarding from 127.0.0.1:{port} -> 53"), {}, NAME)
    assert said.startswith(f"no answer for {NAME}")
