"""Worker processes: nothing twice, nothing half, whatever is killed."""

from __future__ import annotations

import collections
import contextlib
import functools
import multiprocessing
import os
import random
import signal
import threading
import time

import psutil
import pytest

from pipeline.schemas import task
from pipeline.worker import drain, heartbeat
from tests.worker import toys

pytestmark = pytest.mark.slow


def _while_working(bench, act, processes=2, **options):
    """Run the supervisor in a thread, `act()` beside it; the supervisor's summary."""
    collected = []
    thread = threading.Thread(target=lambda: collected.append(bench.work(processes, **options)))
    thread.start()
    try:
        act(thread)
    finally:
        thread.join(60)
    assert not thread.is_alive()
    return collected[0]


def _until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_four_processes_compute_each_key_once(bench, statuses):
    bench.behave(seconds=0.02)
    toys.add_sessions(mice=4, sessions=30)
    summary = bench.work(processes=4)
    assert summary.done == {"toys.Reading": 120, "toys.Total": 120, "toys.Chain": 4}
    calls = bench.calls()
    assert len({call[:3] for call in calls}) == len(calls) == 244
    assert len({call[3] for call in calls}) > 1, "they shared the work"
    assert [statuses(table) for table in toys.TABLES] == [{}, {}, {}]
    assert not task.Worker() and summary.restarts == 0


def test_the_workers_find_what_one_process_finds_and_late_sessions_are_counted_in(bench):
    """Order-dependent summaries converge: the tables equal those computed from the final sessions at once."""
    toys.add_sessions(mice=2, sessions=6)
    bench.work(processes=2)
    toys.add_sessions(mice=2, sessions=6, first=13)  # their dates lie between the others
    summary = bench.work(processes=2)
    assert summary.done == {"toys.Reading": 12, "toys.Total": 12, "toys.Chain": 2}
    late = toys.contents()
    for table in reversed(toys.TABLES):
        table.delete(prompt=False, part_integrity="cascade")
    drain(toys.TABLES)
    assert toys.contents() == late


def test_once_ends_although_keys_fail(bench, statuses):
    bench.behave(fail=[1, 2, 3])
    toys.add_sessions(mice=1, sessions=5)
    summary = bench.work(processes=2)
    assert summary.failed == {"toys.Reading": 3} and summary.done["toys.Reading"] == 2
    assert statuses(toys.Reading) == {"error": 3}


def test_a_key_that_kills_its_process_does_not_stop_the_rest(bench, statuses):
    bench.behave(die=[2])
    toys.add_sessions(mice=2, sessions=3)
    said = []
    summary = bench.work(processes=2, tell=said.append)
    assert summary.done["toys.Reading"] == 5 and summary.done["toys.Chain"] == 2
    assert statuses(toys.Reading) == {"error": 1} and summary.restarts == 5, said
    assert toys.Reading.jobs.errors.fetch1("error_message").startswith("WorkerDied")


def test_sigterm_rolls_back_and_gives_the_job_back(bench, statuses):
    """The supervisor is asked to stop; a make that takes longer than the grace period leaves nothing."""
    bench.behave(seconds=60)
    toys.add_sessions(mice=1, sessions=3)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_supervise, args=(bench.path, toys.set_settings()))
    process.start()
    _until(lambda: len(bench.calls("Reading")) >= 2)
    os.kill(process.pid, signal.SIGTERM)
    process.join(30)
    assert process.exitcode == signal.SIGTERM
    assert statuses(toys.Reading) == {"pending": 3} and not toys.Reading() and not task.Worker()


def test_workers_end_when_their_supervisor_is_killed_and_give_their_jobs_back(bench, statuses):
    bench.behave(seconds=1)
    toys.add_sessions(mice=1, sessions=40)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_supervise, args=(bench.path, toys.set_settings()))
    process.start()
    _until(lambda: len(bench.calls("Reading")) >= 2)
    workers = [psutil.Process(int(call[3])) for call in bench.calls("Reading")]
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    assert "reserved" not in statuses(toys.Reading) and not task.Worker()


def _supervise(path, values):
    """What a terminal would start: ends with the number of the signal that stopped it."""
    from pipeline import settings as room
    from pipeline.worker import work

    with room.override(**values):
        tables = toys.open_toys(path)
        summary = work(
            processes=2, tables=tables, open_tables=functools.partial(toys.open_toys, path), grace_seconds=0.2
        )
    os._exit(summary.stopped_by or 0)


def test_a_lost_connection_starts_the_worker_again(bench, statuses):
    bench.behave(seconds=0.05)
    toys.add_sessions(mice=2, sessions=40)

    def cut(_thread):
        _until(lambda: len({pid for *_, pid in bench.calls("Reading")}) == 2)
        connection = bench.connection
        if connection.adapter.backend == "postgresql":
            connection.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        else:
            mine = connection.query("SELECT CONNECTION_ID()").fetchone()[0]
            for number, *_ in connection.query("SHOW PROCESSLIST").fetchall():
                if number != mine:
                    connection.query(f"KILL {number}")

    summary = _while_working(bench, cut)
    assert summary.restarts >= 2
    assert len(toys.Reading()) == 80 and len(toys.Total()) == 80 and len(toys.Chain()) == 2
    assert [statuses(table) for table in toys.TABLES] == [{}, {}, {}]


def test_max_seconds_ends_a_run_that_would_go_on_for_ever(bench):
    toys.add_sessions(mice=1, sessions=2)
    summary = bench.work(processes=1, once=False, max_seconds=4)
    assert summary.stopped_by is None
    most = {"toys.Reading": 2, "toys.Total": 2, "toys.Chain": 1}  # a slow machine gets less far in that time
    assert all(n_keys <= most[label] for label, n_keys in summary.done.items())


def test_workers_show_that_they_live_and_what_they_do(bench, monkeypatch):
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0.2)
    bench.behave(seconds=0.3)
    toys.add_sessions(mice=1, sessions=40)
    seen = []

    def look(thread):
        _until(lambda: len(task.Worker & "worker_activity LIKE 'toys.Reading %%/min'") == 2)
        seen.extend(heartbeat.workers(bench.connection))

    _while_working(bench, look)
    assert len(seen) == 2 and all(row["alive"] and row["heartbeat"] > row["worker_start"] for row in seen)
    assert not task.Worker()


@pytest.mark.parametrize("n_sessions", [20, pytest.param(60, marks=pytest.mark.soak)])
def test_killing_a_worker_again_and_again_changes_nothing(bench, statuses, n_sessions):
    """kill -9 of one of four workers after every few keys: the same tables as those of one undisturbed worker."""
    bench.behave(seconds=0.05)
    toys.add_sessions(mice=6, sessions=n_sessions)
    kills = 0

    def kill(thread):
        nonlocal kills
        rng, n_calls = random.Random(0), 0
        while thread.is_alive():
            time.sleep(0.1)
            if len(bench.calls()) < n_calls + 20:  # also where workers start slowly some of them get to work
                continue
            n_calls = len(bench.calls())
            pids = task.Worker.to_arrays("worker_pid")
            with contextlib.suppress(ProcessLookupError):  # it ended, or lives no more already
                os.kill(int(rng.choice(pids)) if len(pids) else 2**22 + 1, signal.SIGKILL)
                kills += 1

    summary = _while_working(bench, kill, processes=4)
    disturbed = toys.contents()
    assert kills > 3 and summary.restarts > 3
    assert [statuses(table) for table in toys.TABLES] == [{}, {}, {}]
    twice = [call for call, n_calls in collections.Counter(call[:3] for call in bench.calls()).items() if n_calls > 1]
    assert len(twice) <= kills + 6, "only what was interrupted is computed again (and the rolling rows of 6 mice)"
    for table in reversed(toys.TABLES):
        table.delete(prompt=False, part_integrity="cascade")
    bench.behave()
    drain(toys.TABLES)
    assert toys.contents() == disturbed
