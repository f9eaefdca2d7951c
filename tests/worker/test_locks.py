"""Locks of the lab: they say who holds them, and one whose holder shows no sign of life is taken from it."""

from __future__ import annotations

import contextlib
import datetime
import re
import time
from collections.abc import Iterator

import datajoint as dj
import pytest

from ingest.rows.lock import repository_lock
from pipeline import lab, task
from pipeline.database import sessions
from pipeline.database.connection import Connection, raw_connection
from pipeline.errors import NeurojointError, is_connection_error
from pipeline.worker import heartbeat, locks

pytestmark = pytest.mark.slow

NAME = "test lock"


@pytest.fixture
def other(database: dj.Connection) -> Iterator[Connection]:
    """The connection of another process."""
    connection = Connection(database.address)
    yield connection
    with contextlib.suppress(Exception):
        connection._conn.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_ROW_AFTER_SECONDS", 0.0)


def wait_for_row(name: str = NAME) -> dict:
    end = time.monotonic() + 30
    while not (rows := (task.Lock & {"lock_name": name}).to_dicts()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return rows[0]


def test_a_lock_is_had_once_and_given_back(database, other):
    with locks.attempt(other, NAME, "a test") as holder:
        assert holder is None
        with locks.attempt(database, NAME, "a test") as second:
            assert second is not None and not second.is_dead
    with locks.attempt(database, NAME, "a test") as holder:
        assert holder is None


def test_who_cannot_have_it_reads_who_has_it_and_since_when(database, other, at_once):
    with repository_lock(other, "p_", "d6"):
        wait_for_row("p_ingest:d6")
        with pytest.raises(NeurojointError) as refused, repository_lock(database, "p_", "d6", patience=0):
            pass
    host, pid = heartbeat.this_process()
    words = rf"repository d6 is running \(process {pid} on {re.escape(host)}, since .* UTC, last heartbeat \d+ s ago\)"
    assert re.search(words, str(refused.value))
    assert len(task.Lock()) == 0, "the row goes with the lock"


def test_a_holder_without_heartbeat_loses_the_lock_and_what_it_had_not_committed(database, other, at_once, monkeypatch):
    """As after its computer was put to sleep: the connection looks alive, the process says nothing."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 3600.0)
    with contextlib.suppress(Exception), locks.attempt(other, NAME, "a test"):
        row = wait_for_row()
        assert row["lock_session"] == sessions.session_number(other._conn, database.adapter.backend)
        other.query("BEGIN")
        other.query(f"INSERT INTO {lab.Lab.full_table_name} (lab) VALUES ('ghost')")
        long_ago = row["lock_heartbeat"] - datetime.timedelta(seconds=heartbeat.DEAD_AFTER_SECONDS + 30)
        # the session must be older than its last sign of life
        monkeypatch.setattr(sessions, "terminate", _terminate_any_age(sessions.terminate))
        task.Lock.update1({"lock_name": NAME, "lock_heartbeat": long_ago})
        with locks.attempt(database, NAME, "another test") as holder:
            assert holder is None, "taken over"
        lab.Lab.insert1({"lab": "ghost"})  # would wait for the transaction of the dead
        with pytest.raises(Exception) as lost:
            other.query("SELECT 1", reconnect=False)
        assert is_connection_error(lost.value)
        raise TimeoutError
    assert len(lab.Lab & {"lab": "ghost"}) == 1


def test_filling_the_queue_frees_the_locks_of_the_dead(database, other, at_once, monkeypatch):
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 3600.0)
    monkeypatch.setattr(sessions, "terminate", _terminate_any_age(sessions.terminate))
    held = locks.attempt(other, NAME, "a test")
    held.__enter__()
    try:
        row = wait_for_row()
        long_ago = row["lock_heartbeat"] - datetime.timedelta(seconds=heartbeat.DEAD_AFTER_SECONDS + 30)
        task.Lock.update1({"lock_name": NAME, "lock_heartbeat": long_ago})
        locks.free_from_dead(database)
        assert len(task.Lock & {"lock_heartbeat": long_ago}) == 0
        end = time.monotonic() + 10
        while not sessions.try_lock(database, NAME):
            assert time.monotonic() < end
            time.sleep(0.05)
        sessions.unlock(database, NAME)
    finally:  # its session has been ended
        with contextlib.suppress(Exception):
            held.__exit__(None, None, None)


def test_a_number_that_the_server_gave_to_another_session_since_is_left_alone(database, other):
    number = sessions.session_number(other._conn, database.adapter.backend)
    assert sessions.terminate(database, [(number, datetime.datetime(2020, 1, 1))]) == 0
    assert other.query("SELECT 1", reconnect=False).fetchone()[0] == 1


def test_the_session_of_a_dead_worker_is_ended_before_its_keys_are_given_away(database, other):
    now = heartbeat.database_time(database)
    number = sessions.session_number(other._conn, database.adapter.backend)
    worker = {
        "worker_id": "00000000-0000-4000-8000-000000000000", "worker_host": "elsewhere", "worker_pid": 7,
        "worker_start": now, "heartbeat": now, "worker_session": number,
    }  # fmt: skip
    task.Worker.insert1(worker)
    heartbeat.end_sessions_of_dead(database)
    assert other.query("SELECT 1", reconnect=False).fetchone()[0] == 1, "it has a heartbeat"
    before = heartbeat.DEAD_AFTER_SECONDS
    try:
        heartbeat.DEAD_AFTER_SECONDS = 0.0
        time.sleep(0.01)
        heartbeat.end_sessions_of_dead(database)
    finally:
        heartbeat.DEAD_AFTER_SECONDS = before
    with pytest.raises(Exception) as lost:
        for _ in range(100):
            other.query("SELECT 1", reconnect=False)
            time.sleep(0.05)
    assert is_connection_error(lost.value)


def test_every_connection_notices_the_loss_of_the_other_side(database):
    with contextlib.closing(raw_connection(database.address)) as raw, raw.cursor() as cursor:
        if database.adapter.backend == "postgresql":
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            assert cursor.fetchone()[0] == "10min"
        else:
            import socket

            assert raw._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert raw._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == sessions.LOST_AFTER_S * 1000


def _terminate_any_age(terminate):
    """The sessions of these tests are younger than the sign of life that they are made to have given."""

    def ended(connection, result):
        now = heartbeat.database_time(connection)
        return terminate(connection, [(number, now) for number, _ in result])

    return ended
