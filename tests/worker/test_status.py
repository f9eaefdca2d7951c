"""What people are told about the state of the pipeline is what is there."""

from __future__ import annotations

import datetime
import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from neurojoint import cli
from pipeline.schemas import acquisition, data
from pipeline.worker import Queue, display, drain, heartbeat, status
from pipeline.worker.progress_counters import Board
from tests.worker import toys

pytestmark = pytest.mark.slow


def _by_table(result: status.Status) -> dict[str, status.TableStatus]:
    return {table.table: table for table in result.tables}


def test_counts_of_each_table_add_up(bench):
    bench.behave(fail=[2, 5])
    toys.add_sessions(mice=2, sessions=4)
    toys.Reading.jobs.ignore((acquisition.Session & {"session_number": 1}).fetch1("KEY"))
    drain(toys.TABLES)
    toys.add_sessions(mice=1, sessions=3, first=50)
    toys.change([3], "second")
    queue = Queue(toys.TABLES)
    queue.schedule()
    queue.claim()
    reading = _by_table(status.collect(tables=toys.TABLES))["toys.Reading"]
    assert (reading.total, reading.done, reading.pending, reading.running) == (11, 5, 2, 1)
    assert (reading.failed, reading.ignored, reading.stale) == (2, 1, 1)
    assert _by_table(status.collect(stale=False, tables=toys.TABLES))["toys.Reading"].stale is None


def test_one_lab_at_a_time(bench):
    toys.add_sessions(mice=1, sessions=2)
    drain(toys.TABLES)
    assert _by_table(status.collect("toys", tables=toys.TABLES))["toys.Total"].done == 2
    assert _by_table(status.collect("other", tables=toys.TABLES))["toys.Total"].total == 0


def test_equal_errors_are_one_line_with_an_example(bench):
    bench.behave(fail=[1, 2, 3])
    toys.add_sessions(mice=1, sessions=4)
    drain(toys.TABLES)
    (problem,) = status.collect(tables=toys.TABLES).errors
    assert (problem.where, problem.count) == ("toys.Reading", 3)
    assert problem.what == "ValueError: reading N is unreadable, N %"
    assert problem.example.startswith("toys/m0/2020-01-") and "reading 1 is unreadable" in problem.example


def test_rate_and_time_left_come_from_the_live_workers(bench):
    toys.add_sessions(mice=1, sessions=6)
    heartbeat.register(bench.connection)
    name, pid = heartbeat.this_process()
    worker = heartbeat.workers(bench.connection)[0]
    from pipeline.schemas import task

    task.Worker.update1({"worker_id": worker["worker_id"], "worker_activity": "toys.Reading 12.0/min"})
    status_rows = status.collect(tables=toys.TABLES)
    reading = _by_table(status_rows)["toys.Reading"]
    assert (reading.rate, reading.seconds_left) == (12.0, 30.0)
    assert status_rows.workers[0].alive and (status_rows.workers[0].host, status_rows.workers[0].pid) == (name, pid)


def test_the_whole_pipeline_prints_and_becomes_json(database):
    data.Repository.insert1({"repository": "here", "repository_kind": "local", "repository_root": "/data"})
    now = datetime.datetime(2026, 1, 1)
    data.Quarantine.insert1(
        {
            "quarantine_id": "0" * 32,
            "repository": "here",
            "quarantine_path": "lab/Subjects/m1/2020-01-01/001/alf/trials.choice.npy",
            "reason": "truncated",
            "detail": "ends early",
            "remedy": "copy it again",
            "first_seen": now,
            "last_seen": now,
        }
    )
    status_rows = status.collect()
    assert {"behavior.TrialSet", "behavior_analysis.SubjectTraining"} <= _by_table(status_rows).keys()
    assert json.loads(json.dumps(status_rows.to_dict()))["quarantine"][0]["what"] == "truncated"
    console = Console(file=io.StringIO(), width=120)
    console.print(display.show(status_rows))
    text = console.file.getvalue()
    assert "behavior.TrialSet" in text and "truncated" in text and "no worker is running" in text


def test_watching_keeps_what_is_stale_between_two_comparisons(database):
    looks = status.watch(seconds=0)
    first, second = next(looks), next(looks)
    assert [table.stale for table in first.tables] == [one.stale for one in second.tables]
    assert _by_table(second)["behavior.TrialSet"].stale == 0


def test_plain_lines_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(display, "PLAIN_SECONDS", 0.0)
    board = Board(["behavior.TrialSet", "behavior.Lick"], 1)
    board.record_pass({"behavior.TrialSet": 10}, False, board.finished(), 0.0)
    for number in range(4):
        board.note(0, "behavior.TrialSet", failed=number == 0)
    console = Console(file=io.StringIO(), width=120)
    with display.Progress(console) as progress:
        progress.watch(board)
    assert console.file.getvalue() == "behavior.TrialSet 4/10, 1 failed\n"


def test_the_commands(database):
    """On an empty database: they end, and say that there is nothing."""
    run = CliRunner().invoke
    assert "nothing is stale" in run(cli.main, ["refresh"], catch_exceptions=False).output
    assert "no failed job" in run(cli.main, ["retry"], catch_exceptions=False).output
    assert "behavior.TrialSet" in run(cli.main, ["status"], catch_exceptions=False).output
    assert json.loads(run(cli.main, ["status", "--json", "--lab", "x"], catch_exceptions=False).output)["errors"] == []
    assert "0 computed" in run(cli.main, ["work", "--once", "--processes", "1"], catch_exceptions=False).output
    assert "no populated table is called Nothing" in run(cli.main, ["retry", "Nothing"]).output
