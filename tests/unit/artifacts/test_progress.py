from __future__ import annotations

import io

import pytest

from kindling.artifacts.progress import Lines, shown_progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_comes_every_few_seconds(said: list[str]) -> None:
    now = [0.0]
    lines = Lines(said.append, every=5.0, clock=lambda: now[0])
    lines.started("assets/a", 8_000_000, "https://example.com/a")
    for second in range(1, 12):
        now[0] = float(second)
        lines.at("assets/a", second * 500_000)
    lines.finished("assets/a")
    assert said == [
        "assets/a: fetching 8.0 MB from https://example.com/a",
        "assets/a: 2.5 MB of 8.0 MB (31 %)",
        "assets/a: 5.0 MB of 8.0 MB (62 %)",
        "assets/a: complete, 5.5 MB",
    ]


def test_an_unknown_size_is_said_to_be_unknown(said: list[str]) -> None:
    lines = Lines(said.append, every=0.0)
    lines.started("assets/a", None, "/srv/a")
    lines.at("assets/a", 2_000_000_000)
    assert said == [
        "assets/a: fetching an unknown size from /srv/a",
        "assets/a: 2.00 GB of an unknown size",
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_progress_is_visible_with_and_without_a_terminal(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress(stream) as report:
        report.started("assets/etcd.raw", 1000, "https://example.com/a")
        report.at("assets/etcd.raw", 500)
        report.started("assets/etcd.raw", 1000, "https://example.com/b")
        report.note("assets/etcd.raw: HTTP 404 [not markup]")
        report.at("assets/etcd.raw", 1000)
        report.finished("assets/etcd.raw")
    text = stream.getvalue()
    assert "HTTP 404 [not markup]" in text
    assert "assets/etcd.raw: complete" in text
