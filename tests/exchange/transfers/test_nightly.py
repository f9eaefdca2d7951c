"""The service works in the windows of the repositories, each in the time zone of its lab, and sleeps between them."""

from __future__ import annotations

import datetime
import threading

import pytest

from exchange.transfers import ledger, mover, nightly, plan, repositories, run
from exchange.transfers.windows import Window
from pipeline.errors import NeurojointError
from pipeline.schemas import lab
from tests.exchange.transfers.lab import add_repository, build, copies, want

UTC = datetime.UTC


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
@pytest.mark.parametrize("times", [("02:00", "05:00"), ("22:30", "06:00"), ("01:30", "02:30")])
def test_every_minute_of_a_year_is_where_the_local_clock_says(zone, times):
    window = Window.parse(*times, zone)
    start, end = (datetime.time.fromisoformat(time_) for time_ in times)
    moment = datetime.datetime(2026, 1, 1)
    opened = 0
    while moment < datetime.datetime(2027, 1, 1):
        local = moment.replace(tzinfo=UTC).astimezone(window.zone).time()
        expected = start <= local < end if start < end else local >= start or local < end
        assert window.is_open(moment) == expected
        opened += expected
        moment += datetime.timedelta(minutes=37)
    assert opened
    for day in range(0, 365, 7):
        now = datetime.datetime(2026, 1, 1, 12) + datetime.timedelta(days=day)
        change = window.next_change(now)
        assert now < change < now + datetime.timedelta(days=3)
        assert window.is_open(change) != window.is_open(change - datetime.timedelta(minutes=1))


@pytest.mark.parametrize("words", [("2", "5"), ("25:00", "26:00"), ("02:00", "02:00")])
def test_what_is_no_window_is_refused(words):
    with pytest.raises(NeurojointError):
        Window.parse(*words, "UTC")
    with pytest.raises(NeurojointError, match="no time zone"):
        Window.parse("01:00", "02:00", "Mars/Olympus")


@pytest.mark.slow
def test_only_repositories_in_their_window_are_written(database, tmp_path):
    build(tmp_path / "rig")
    lab.Lab.update1({"lab": "mylab", "time_zone": "Asia/Kathmandu"})
    now = ledger.database_time().replace(tzinfo=UTC).astimezone(Window.parse("01:00", "02:00", "Asia/Kathmandu").zone)
    hours = [(now + datetime.timedelta(hours=shift)).strftime("%H:%M") for shift in (-1, 1, 3)]
    add_repository("open", tmp_path / "open", lab="mylab", access_from=hours[0], access_until=hours[1])
    add_repository("shut", tmp_path / "shut", lab="mylab", access_from=hours[1], access_until=hours[2])
    want("open", "shut")
    said: list[str] = []
    stop = threading.Event()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            stop.set()

    nightly.serve(said.append, stop, wait)
    assert copies("open") == copies("rig") and copies("shut") == {}
    assert "5 files copied and verified, 0 failed" in said[0]
    for name in ("open", "rig"):
        repositories.configure(name, access_from=hours[1], access_until=hours[2], lab="mylab", mark=False)
    assert 0 < nightly.once(said.append) <= 3600.0
    assert "no window is open" in said[-1]


@pytest.mark.slow
@pytest.mark.one_database
def test_what_is_not_done_when_the_window_closes_waits_for_the_next_night(database, tmp_path, monkeypatch):
    build(tmp_path / "rig")
    now = ledger.database_time()
    hours = [(now + datetime.timedelta(hours=shift)).strftime("%H:%M") for shift in (-1, 1)]
    add_repository("open", tmp_path / "open", access_from=hours[0], access_until=hours[1])
    want("open")
    plan.plan()
    monkeypatch.setattr(mover, "GROUP_FILES", 2)
    carry = mover.Mover._carry

    def close_after(self, group):
        carry(self, group)
        repositories.configure("open", access_from=hours[1], access_until=hours[0])
        monkeypatch.setattr(run, "_in_window", lambda *ends: False)

    monkeypatch.setattr(mover.Mover, "_carry", close_after)
    assert run.run(nightly=True).files == 2
    monkeypatch.undo()
    assert run.run(nightly=True).outside == 1 and len(copies("open")) == 2
    assert run.run().files == 3, "by hand at any time"
