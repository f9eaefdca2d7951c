"""Progress on a terminal and in a log: what is under way, how much of it, how fast, and when it ends."""

from __future__ import annotations

import io

import pytest
import rich.console

from neurojoint.cli import progress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_ten_seconds_with_rate_and_end(capsys, clock):
    with progress.shown("items") as tell:
        for done in range(0, 45, 2):
            tell("reading files", done, 100)
            clock[0] += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["reading files: 20 of 100, 2/s, 40 s left", "reading files: 40 of 100, 2/s, 30 s left"]


def test_what_has_no_known_end_gets_none(capsys, clock):
    with progress.advancing("reading") as advance:
        advance(0)
        for _ in range(12):
            clock[0] += 1
            advance(1_000_000)
    assert capsys.readouterr().err == "reading: 10.0 MB, 1.0 MB/s\n"


def test_a_terminal_shows_only_what_is_under_way(monkeypatch):
    stream = io.StringIO()
    console = rich.console.Console(file=stream, force_terminal=True, width=100)
    monkeypatch.setattr(rich.console, "Console", lambda **_: console)
    with progress.shown() as tell:
        tell("first [bold]", 1, 2)
        tell("second", 1_000_000, 4_000_000)
    last = stream.getvalue().split("second")[-1]
    assert "1.0 MB of 4.0 MB" in last and "first" not in last
    assert "first [bold]" in stream.getvalue(), "names of files are no markup"
