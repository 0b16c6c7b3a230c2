"""Health and metrics: what is broken is named, and what is counted names nobody."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette

from kindling.bootserver import health
from kindling.bootserver.fast import FastPath
from kindling.bootserver.metrics import Metrics
from kindling.bootserver.settings import Settings
from kindling.errors import BootServerError


class Client:
    """Asks one application in this process."""

    def __init__(
        self,
        tree: Path,
        database: Callable[[], None] = lambda: None,
        metrics: Metrics | None = None,
    ) -> None:
        counted = metrics or Metrics()
        app = Starlette(routes=health.routes(Settings(directory=tree), counted, database))
        self._transport: Any = httpx2.ASGITransport(FastPath(app, {}, counted))

    def get(self, path: str) -> httpx2.Response:
        """The answer to GET."""

        async def ask() -> httpx2.Response:
            async with httpx2.AsyncClient(transport=self._transport, base_url="http://boot") as c:
                return await c.get(path)

        return asyncio.run(ask())


def test_a_server_that_can_work_is_healthy(tmp_path):
    answer = Client(tmp_path).get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"store": "ok", "database": "ok"})
    assert list((tmp_path / ".kindling" / "incoming").iterdir()) == []


def test_a_store_that_cannot_be_written_is_503_with_the_reason(tmp_path):
    asked = Client(tmp_path / "tree")
    shutil.rmtree(tmp_path / "tree")
    answer = asked.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "ok"
    assert "No such file or directory" in answer.json()["store"]


def test_a_database_that_cannot_be_reached_is_503_with_the_reason(tmp_path):
    def broken() -> None:
        raise BootServerError("the records are locked")

    answer = Client(tmp_path, broken).get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"store": "ok", "database": "the records are locked"}


def test_requests_are_counted_by_route_and_status_and_not_by_path(tmp_path):
    asked = Client(tmp_path)
    for path in ("/", "/boot/52-54-00-00-00-01", "/boot/52-54-00-00-00-02", "/secret/x", "/y"):
        asked.get(path)
    text = asked.get("/metrics").text
    assert 'kindling_http_requests_total{route="page",status="404"} 1.0' in text
    assert 'kindling_http_requests_total{route="boot",status="404"} 2.0' in text
    assert 'kindling_http_requests_total{route="other",status="404"} 2.0' in text
    assert "52-54" not in text
    assert "secret" not in text


def test_nodes_by_state_are_asked_for_at_each_scrape(tmp_path):
    states = {"armed": 2}
    asked = Client(tmp_path, metrics=Metrics(lambda: states))
    assert 'kindling_nodes{state="armed"} 2.0' in asked.get("/metrics").text
    states["armed"] = 1
    assert 'kindling_nodes{state="armed"} 1.0' in asked.get("/metrics").text


def test_published_bytes_are_counted():
    metrics = Metrics()
    metrics.uploaded(1000)
    metrics.uploaded(24)
    assert "kindling_uploaded_bytes_total 1024.0" in metrics.text().decode()
