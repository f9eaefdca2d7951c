"""The queue: what becomes a job, who may take it, and what happens to the jobs of the dead."""

from __future__ import annotations

import datetime
import errno
import os
import subprocess
import sys
import time
import uuid

import pytest

from pipeline import errors
from pipeline.alf.reasons import refuse
from pipeline.database import registry
from pipeline.schemas import acquisition, data, task
from pipeline.worker import Queue, drain, heartbeat, retry, tables_named
from pipeline.worker.jobs import describe
from tests.worker import toys

pytestmark = pytest.mark.slow


def test_one_job_for_each_key_without_row_or_job(bench, statuses):
    toys.add_sessions(mice=2, sessions=3)
    queue = Queue(toys.TABLES)
    assert queue.schedule().queued == {"toys.Reading": 6}
    assert queue.schedule().queued == {}
    assert statuses(toys.Reading) == {"pending": 6} and statuses(toys.Total) == {}


def test_jobs_of_vanished_keys_and_of_rows_that_are_there_are_removed(bench, statuses):
    toys.add_sessions(mice=1, sessions=4)
    queue = Queue(toys.TABLES)
    queue.schedule()
    (data.AlfObject & {"session_number": 1}).delete_quick()
    toys.Reading.populate({"session_number": 2})  # someone computes without the queue
    done = queue.schedule()
    assert done.removed == {"toys.Reading": 2} and statuses(toys.Reading) == {"pending": 2}
    assert done.queued == {"toys.Total": 1}


def test_ignored_jobs_stay_ignored(bench, statuses):
    toys.add_sessions(mice=1, sessions=2)
    toys.Reading.jobs.ignore((acquisition.Session & {"session_number": 1}).fetch1("KEY"))
    assert sum(drain(toys.TABLES).values()) == 3
    assert statuses(toys.Reading) == {"ignore": 1} and len(toys.Reading()) == 1


def test_claims_never_overlap_and_go_downstream_first(bench):
    toys.add_sessions(mice=1, sessions=9)
    queue = Queue(toys.TABLES)
    queue.schedule()
    seen = []
    while claimed := queue.claim({"toys.Reading": 4}):
        assert claimed[0].label == "toys.Reading" and len(claimed[1]) <= 4
        seen += [key["session_number"] for key in claimed[1]]
    assert sorted(seen) == list(range(1, 10))
    reading = queue.jobs[0]
    reading.release([(acquisition.Session & {"session_number": 5}).fetch1("KEY")])
    toys.Reading.populate({"session_number": 5})
    queue.schedule()
    assert queue.claim()[0].label == "toys.Total"


def test_trials_come_before_other_files_and_summaries_before_both(database):
    queue = Queue(registry.populated_tables())
    order = [queue.jobs[number].label for number in queue._by_urgency]
    trials = order.index("behavior.TrialSet")
    assert order.index("behavior_analysis.SubjectTraining") < trials
    assert order.index("behavior_analysis.PsychometricFit") < trials
    assert trials < order.index("behavior.Lick")


def test_inputs_say_what_holds_a_rolling_table_back(bench, monkeypatch):
    monkeypatch.setattr(toys.Chain, "inputs", ("toys.Reading",), raising=False)
    assert [item.label for item in Queue(toys.TABLES).jobs[2].upstream] == ["toys.Reading"]
    monkeypatch.undo()
    assert [item.label for item in Queue(toys.TABLES).jobs[2].upstream] == ["toys.Reading", "toys.Total"]


def test_the_job_that_a_dead_worker_was_at_is_found_by_computing_its_batch_one_by_one(bench):
    """Whatever the order that the database's collation gives to names."""
    toys.add_sessions(["Zm", "am", "bM", "Bm"], sessions=2)
    queue = Queue(toys.TABLES)
    queue.schedule()
    one, keys = queue.claim({"toys.Reading": 8})
    assert len(keys) == 8 and not one.is_careful, "they may be computed together"
    assert one.take_from_dead(*heartbeat.this_process()) == 8
    assert len(one.jobs & "priority = 6") == 8, "any of them may have killed it"
    one, keys = queue.claim({"toys.Reading": 8})
    assert len(keys) == 8 and one.is_careful
    one.take_from_dead(*heartbeat.this_process())
    assert (one.jobs & "priority = 7").fetch1("KEY") == keys[0], "computed one by one, the first is the one"


def test_only_one_fills_the_queue_and_nobody_waits(bench):
    from pipeline.database import sessions
    from pipeline.database.connection import Connection

    queue = Queue(toys.TABLES)
    other = Connection(bench.connection.address)
    assert sessions.try_lock(other, f"queue of {heartbeat.database_name()}")
    assert queue.schedule() is None
    other.close()
    end = time.monotonic() + 10  # the server sees that the connection is gone in its own time
    while queue.schedule() is None:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_rolling_tables_wait_for_what_is_upstream_but_not_for_its_errors(bench, statuses):
    bench.behave(fail=[2])
    toys.add_sessions(mice=2, sessions=2)  # sessions 2 and 4 are of m0, 1 and 3 of m1
    queue = Queue(toys.TABLES)
    queue.schedule()
    toys.Reading.populate({"session_number": 4})
    queue.schedule()
    assert statuses(toys.Chain) == {}, "m0 still has pending readings"
    drain(toys.TABLES)
    assert statuses(toys.Reading) == {"error": 1}
    assert sorted(toys.Chain.to_arrays("chain_length")) == [1, 2]
    assert len(bench.calls("Chain")) == 2


def test_an_error_is_recorded_in_one_line_with_its_traceback_and_retried_on_request(bench, statuses):
    bench.behave(fail=[1, 3])
    toys.add_sessions(mice=1, sessions=3)
    assert drain(toys.TABLES) == {"toys.Reading": 1, "toys.Total": 1, "toys.Chain": 1}
    row = (toys.Reading.jobs & {"session_number": 3}).fetch1()
    assert row["error_message"] == "ValueError: reading 3 is unreadable, 100 %"
    assert "in _behave" in row["error_stack"] and "Traceback" in row["error_stack"]
    assert len(toys.Reading()) == 1 and len(toys.Reading.Sample()) == 16, "nothing half-written"
    assert drain(toys.TABLES) == {}, "errors stay"
    bench.behave()
    assert retry(toys.TABLES, like="READING 3 is%") == {}, "% is a character, not a wildcard"
    assert retry(toys.TABLES, like="READING 3 is") == {"toys.Reading": 1}
    drain(toys.TABLES)
    assert statuses(toys.Reading) == {"error": 1}
    assert retry(toys.TABLES) == {"toys.Reading": 1}
    drain(toys.TABLES)
    assert statuses(toys.Reading) == {} and toys.Chain.fetch1("chain_length") == 3


def test_interruptions_of_datajoints_own_populate_are_given_back_but_not_errors(bench, statuses):
    toys.add_sessions(mice=1, sessions=3)
    queue = Queue(toys.TABLES)
    queue.schedule()
    messages = ["SystemExit: SIGTERM received", "LostConnectionError: Connection was lost", "ValueError: no"]
    for key, message in zip(toys.Reading.jobs.keys(), messages, strict=True):
        toys.Reading.jobs.error(key, message)
    assert queue.schedule().recovered == {"toys.Reading": 2}
    assert statuses(toys.Reading) == {"pending": 2, "error": 1}


def test_a_job_whose_file_was_away_is_tried_again_with_growing_pauses(bench, statuses):
    """At once where a worker starts; then after a minute, and later as long as it has been failing."""
    toys.add_sessions(mice=1, sessions=4)
    Queue(toys.TABLES).schedule()
    failures = [
        refuse("lab/m1/a.npy", "vanished", "it is not there"), OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error", "/data/a.npy"), refuse("a.npy", "truncated", "1 of 2 bytes"),
    ]  # fmt: skip
    for key, error in zip(toys.Reading.jobs.keys(), failures, strict=True):
        toys.Reading.jobs.error(key, describe(error))
    queue = Queue(toys.TABLES)
    assert queue.schedule().recovered == {"toys.Reading": 3}
    assert statuses(toys.Reading) == {"pending": 3, "error": 1}
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    since = [(0, 5), (0, 120), (3600, 120), (3600, 7000)]  # s that it failed for, s since it last did
    for key, (failing, ago) in zip(toys.Reading.jobs.keys(), since, strict=True):
        toys.Reading.jobs.error(key, describe(failures[0]))
        last = now - datetime.timedelta(seconds=ago)
        times = {"completed_time": last, "created_time": last - datetime.timedelta(seconds=failing)}
        toys.Reading.jobs.update1(key | times)
    assert queue.schedule().recovered == {"toys.Reading": 2}
    assert statuses(toys.Reading) == {"pending": 2, "error": 2}


def _reserve(key: dict, host: str, pid: int) -> None:
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    toys.Reading.jobs.update1(key | {"status": "reserved", "host": host, "pid": pid, "reserved_time": now})


def _enter_worker(host: str, pid: int, age: float) -> None:
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    task.Worker.insert1(
        {
            "worker_id": str(uuid.uuid4()),
            "worker_host": host,
            "worker_pid": pid,
            "worker_start": now - datetime.timedelta(hours=1),
            "heartbeat": now - datetime.timedelta(seconds=age),
        }
    )


def test_jobs_of_dead_workers_are_free_again_and_those_of_live_ones_are_not(bench):
    toys.add_sessions(mice=1, sessions=5)
    queue = Queue(toys.TABLES)
    queue.schedule()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    keys = toys.Reading.jobs.keys(order_by="session_number")
    me = heartbeat.host()
    _reserve(keys[0], me, gone.pid)
    _reserve(keys[1], "elsewhere", 77)
    _enter_worker("elsewhere", 77, age=heartbeat.DEAD_AFTER_SECONDS + 5)
    _reserve(keys[2], "elsewhere", 78)
    _enter_worker("elsewhere", 78, age=3)
    _reserve(keys[3], me, os.getpid())
    _reserve(keys[4], "stranger", 5)
    filled = queue.schedule()
    assert filled.recovered == {"toys.Reading": 2}
    assert filled.running == {"toys.Reading": 2}, "nothing is known of the stranger"
    status = dict(zip(*toys.Reading.jobs.to_arrays("session_number", "status"), strict=True))
    assert status == {1: "pending", 2: "pending", 3: "reserved", 4: "reserved", 5: "reserved"}


def test_a_process_that_only_inherited_the_number_of_a_worker_is_not_that_worker(bench):
    toys.add_sessions(mice=1, sessions=1)
    queue = Queue(toys.TABLES)
    queue.schedule()
    _reserve(toys.Reading.jobs.fetch1("KEY"), heartbeat.host(), os.getppid())
    _enter_worker(heartbeat.host(), os.getppid(), age=0)
    (row,) = task.Worker.to_dicts()
    task.Worker.update1({"worker_id": row["worker_id"], "worker_start": datetime.datetime(2001, 1, 1)})
    assert queue.schedule().recovered == {"toys.Reading": 1}
    assert not task.Worker(), "its entry is gone too"


def test_a_job_that_kills_its_workers_ends_as_an_error(bench, statuses):
    toys.add_sessions(mice=1, sessions=2)
    queue = Queue(toys.TABLES)
    queue.schedule()
    key = (toys.Reading.jobs & {"session_number": 1}).fetch1("KEY")
    for _ in range(5):
        assert statuses(toys.Reading) == {"pending": 2}
        _reserve(key, heartbeat.host(), 2**22 + 1)
        queue.schedule()
    assert statuses(toys.Reading) == {"pending": 1, "error": 1}
    assert "5 workers died" in toys.Reading.jobs.errors.fetch1("error_message")


def test_a_worker_that_was_thought_dead_writes_nothing(bench):
    """Its job was given to another: the row must not be there twice, nor the other's job vanish."""
    toys.add_sessions(mice=1, sessions=1)
    queue = Queue(toys.TABLES)
    queue.schedule()
    from pipeline.worker.compute import Stop, compute

    one, (key,) = queue.claim()
    _reserve(key, "elsewhere", 77)
    assert compute(one, key, Stop()) == "skipped"
    assert not toys.Reading() and toys.Reading.jobs.fetch1("host") == "elsewhere"


def test_table_names_in_any_case_with_or_without_schema():
    assert tables_named(["trialset", "behavior_analysis.PsychometricFit"])[0].__name__ == "TrialSet"
    with pytest.raises(errors.NeurojointError, match="no populated table is called TrailSet: choose from behavior"):
        tables_named(["TrailSet"])
