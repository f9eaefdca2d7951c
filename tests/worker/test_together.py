"""Keys that are computed in one transaction end as those that are computed one by one."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import datajoint as dj
import numpy as np
import pytest

from pipeline.database import registry, together
from pipeline.database.bulk import insert_many
from pipeline.database.prepared import Prepared
from pipeline.schemas import acquisition, data
from pipeline.worker import process
from pipeline.worker.compute import Stop, compute_together
from pipeline.worker.queue import Queue
from tests.worker import toys

pytestmark = pytest.mark.slow

_OBJECTS = Prepared(lambda: data.AlfObject.proj("object_fingerprint"))
_SAMPLES = Prepared(lambda: toys.Reading.Sample.proj("sample"), order_by="sample_id")


@pytest.fixture
def claimed(bench):
    """The jobs of the readings of six sessions, all reserved for this process."""
    toys.add_sessions(mice=2, sessions=3)
    queue = Queue(toys.TABLES)
    queue.schedule()
    one, keys = queue.claim({"toys.Reading": 6})
    assert one.label == "toys.Reading" and len(keys) == 6
    return one, keys


@pytest.fixture
def statements(bench, monkeypatch):
    """What is sent to the database."""
    sent: list[str] = []
    original = type(bench.connection).query

    def query(self, query, *values, **options):
        opened = together.batch_of(self)
        if opened is None or opened._is_writing or not query.startswith("INSERT INTO"):
            sent.append(query)
        return original(self, query, *values, **options)

    monkeypatch.setattr(type(bench.connection), "query", query)
    return sent


def _make(self, key):
    """As that of `toys.Reading`, by a prepared query."""
    (recorded,) = _OBJECTS.rows({name: key[name] for name in acquisition.Session.primary_key})
    content = recorded["object_fingerprint"]
    self.insert1(key | {"reading_fingerprint": content})
    toys._behave("Reading", key)
    insert_many(self.Sample, key | {"sample_id": range(16), "sample": list(content[:32:2].encode())})


@pytest.fixture
def prepared(monkeypatch):
    monkeypatch.setattr(toys.Reading, "make", _make)


def test_the_same_rows_from_a_few_statements(bench, claimed, prepared, statements, statuses):
    one, keys = claimed
    assert "sample" in toys.Reading.Sample().heading.names, "what is asked only once is not counted"
    statements.clear()
    assert compute_together(one, keys, Stop()) == ["done"] * 6
    # begin, objects, readings, (masters of the samples, samples by COPY), jobs, commit: whatever the number of keys
    assert len(statements) <= 9, statements
    assert statuses(toys.Reading) == {}
    together_rows = toys.contents()
    toys.Reading.delete(prompt=False, part_integrity="cascade")
    process.drain(toys.TABLES[:1])
    assert toys.contents() == together_rows and len(toys.Reading.Sample()) == 96


def test_a_make_that_raises_costs_its_own_key(bench, claimed, prepared, statuses):
    bench.behave(fail=[2, 5])
    one, keys = claimed
    outcomes = compute_together(one, keys, Stop())
    assert [key["session_number"] in (2, 5) for key in keys] == [outcome == "failed" for outcome in outcomes]
    assert statuses(toys.Reading) == {"error": 2}
    assert sorted(toys.Reading.to_arrays("session_number")) == [1, 3, 4, 6] and len(toys.Reading.Sample()) == 64
    assert len(bench.calls("Reading")) == 6, "nothing is computed twice"


def test_a_statement_that_fails_writes_nothing_and_the_keys_are_computed_one_by_one(
    bench, claimed, monkeypatch, statuses
):
    def make(self, key):
        number = key["session_number"]
        self.insert1(key | {"reading_fingerprint": "f" * (33 if number == 4 else 32)})

    monkeypatch.setattr(toys.Reading, "make", make)
    one, keys = claimed
    assert compute_together(one, keys, Stop()) is None
    assert not toys.Reading() and statuses(toys.Reading) == {"reserved": 6}
    one.release(keys)
    process.drain(toys.TABLES[:1])
    assert statuses(toys.Reading) == {"error": 1} and len(toys.Reading()) == 5


def test_a_make_that_catches_the_error_of_a_statement_is_computed_by_itself(bench, claimed, monkeypatch):
    def make(self, key):
        with contextlib.suppress(dj.DataJointError):
            self.connection.query("SELECT no_such_column FROM nowhere")
        self.insert1(key | {"reading_fingerprint": "f" * 32})

    monkeypatch.setattr(toys.Reading, "make", make)
    assert compute_together(*claimed, Stop()) is None
    assert not toys.Reading() and together.batch_of(bench.connection) is None


def test_rows_are_there_for_whoever_reads_them_in_make(bench, claimed, monkeypatch):
    """By any query, prepared or not, of the present key and of those before it."""
    seen = []

    def make(self, key):
        self.insert1(key | {"reading_fingerprint": "f" * 32})
        insert_many(self.Sample, key | {"sample_id": range(3), "sample": np.arange(3) + key["session_number"]})
        own = {name: key[name] for name in self.primary_key}
        seen.append((len(toys.Reading()), len(_SAMPLES.rows(own)), len(self.Sample & own), _SAMPLES.columns(own)))

    monkeypatch.setattr(toys.Reading, "make", make)
    one, keys = claimed
    assert compute_together(one, keys, Stop()) == ["done"] * 6
    assert [item[:3] for item in seen] == [(n, 3, 3) for n in range(1, 7)]
    assert [item[3]["sample"].to_pylist()[0] for item in seen] == [key["session_number"] for key in keys]


def test_prepared_queries_give_each_key_its_own_rows(bench, claimed, prepared):
    one, keys = claimed
    compute_together(one, keys, Stop())
    names = toys.Reading.primary_key
    alone = [(_SAMPLES.rows(key), _SAMPLES.columns(key)) for key in keys]
    absent = keys[0] | {"session_number": 99}
    with together.batch(bench.connection, ["elsewhere"], [*keys, absent]) as batch:
        for key, (rows, columns) in zip(keys, alone, strict=True):
            batch.begin(key)
            assert _SAMPLES.rows(key) == rows and _SAMPLES.columns(key).equals(columns)
            _SAMPLES.rows(key)[0].clear()
            of_animal = {name: key[name] for name in names[:2]}
            assert len(_SAMPLES.rows(of_animal)) == 48, "by part of the key"
            assert len(_SAMPLES.rows(key | {"sample_id": [1, 2]})) == 2, "and by more than the key"
        batch.begin(absent)
        assert _SAMPLES.rows(absent) == [] and _SAMPLES.columns(absent).num_rows == 0
        assert _SAMPLES.columns(absent).schema == alone[0][1].schema


def test_a_job_that_was_taken_away_takes_nothing_with_it(bench, claimed, prepared):
    one, keys = claimed
    one.release(keys[2:3])
    assert compute_together(one, keys, Stop()) is None
    assert not toys.Reading(), "the others are computed one by one"


def test_a_request_to_stop_ends_after_the_present_key(bench, claimed, prepared, monkeypatch, statuses):
    stop = Stop()
    monkeypatch.setattr(toys.Reading, "make", lambda self, key: (_make(self, key), setattr(stop, "requested", True)))
    one, keys = claimed
    assert compute_together(one, keys, stop) == ["done"]
    assert len(toys.Reading()) == 1 and statuses(toys.Reading) == {"reserved": 5}


def test_workers_compute_quick_keys_together(bench, monkeypatch, prepared, statuses):
    toys.add_sessions(mice=2, sessions=15)
    calls = []
    original = process.compute_together
    monkeypatch.setattr(process, "compute_together", lambda *given: calls.append(given) or original(*given))
    monkeypatch.setattr(process, "QUICK_SECONDS", 60.0)  # however slow this computer is
    monkeypatch.setattr(process, "BATCH_SECONDS", 60.0)
    process.drain(toys.TABLES)
    assert calls and len(toys.Reading()) == 30 and statuses(toys.Reading) == {}
    assert registry.label(type(calls[0][0].table)) == "toys.Reading"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the system does not say who waits")
def test_a_busy_computer_does_not_make_keys_slow():
    """What is computed together must not depend on who else is at work; what waits for a disk is not quick."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])  # on the same processor
    try:
        passed, queued, used = time.perf_counter(), process._seconds_in_queue(), time.thread_time()
        while time.thread_time() - used < 0.5:
            sum(range(1000))
        passed, queued = time.perf_counter() - passed, process._seconds_in_queue() - queued
        assert queued > 0.1 and passed - queued == pytest.approx(0.5, rel=0.5)
    finally:
        other.kill()
        other.wait()
        os.sched_setaffinity(0, allowed)
    before = process._seconds_in_queue()
    time.sleep(0.2)
    assert process._seconds_in_queue() - before < 0.2
