"""Locks that only one process in the lab holds: they name their holder, and are taken from one that is dead.

The lock itself is one of the database, held by the session, so that it is gone with its connection. Beside it stands a
row with the holder and its heartbeat: whoever cannot have the lock reads there whom to wait for, and where the
heartbeat has stopped ends the session of the holder. A holder that comes back finds its connection closed, and
nothing that it did not commit is kept.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datajoint as dj

from pipeline.database import sessions
from pipeline.database.connection import raw_connection
from pipeline.errors import ConflictError
from pipeline.schemas import task
from pipeline.worker import heartbeat

LONGEST_NAME = 128
_ROW_AFTER_SECONDS = 1.0  # a lock that is given back sooner costs no row
_TAKE_OVER_SECONDS = 10.0  # that the server may need to end a session

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Who has a lock. `heartbeat_age` is in seconds; None where the holder has not written its row (yet)."""

    session: sessions.Session
    host: str = ""
    pid: int = 0
    purpose: str = ""
    since: datetime.datetime | None = None
    last_beat: datetime.datetime | None = None
    heartbeat_age: float | None = None

    @property
    def is_dead(self) -> bool:
        """Whether its process is gone from this computer, or has shown no sign of life for a minute."""
        if self.heartbeat_age is None:  # it has said nothing: neither who it is nor anything else
            return self.session.idle > heartbeat.DEAD_AFTER_SECONDS
        if self.host == heartbeat.host() and heartbeat.process_start(self.pid) is None:
            return True
        return self.heartbeat_age > heartbeat.DEAD_AFTER_SECONDS

    def __str__(self) -> str:
        if self.since is None:
            return f"session {self.session.number} of the database, from {self.session.address or 'this computer'}"
        since = self.since.strftime("%Y-%m-%d %H:%M:%S")
        return f"process {self.pid} on {self.host}, since {since} UTC, last heartbeat {self.heartbeat_age:.0f} s ago"


@contextlib.contextmanager
def hold(
    connection: dj.Connection, name: str, purpose: str, patience: float, refused: str, remedy: str
) -> Iterator[None]:
    """Hold a lock; wait for it up to `patience` seconds, longer where it is being taken from a dead holder.

    Parameters
    ----------
    purpose : what is done under it, for others who want it meanwhile.
    refused, remedy : of the error, which adds who the holder is.

    Raises
    ------
    NeurojointError
        Another process holds it.
    """
    until = time.monotonic() + patience
    while True:
        with attempt(connection, name, purpose) as holder:
            if holder is None:
                yield
                return
        if time.monotonic() > until:
            raise ConflictError(f"{refused} ({holder})", remedy)
        time.sleep(0.2)


@contextlib.contextmanager
def attempt(connection: dj.Connection, name: str, purpose: str) -> Iterator[Holder | None]:
    """Hold a lock if it is free, or its holder is dead; else yields the holder. Never waits for a living one."""
    holder = _take(connection, name)
    if holder is not None:
        yield holder
        return
    with _heartbeats(connection, name, purpose):
        try:
            yield None
        except BaseException:
            with contextlib.suppress(Exception):  # where the connection is lost the lock is gone too
                sessions.unlock(connection, name)
            raise
        sessions.unlock(connection, name)


def holder_of(connection: dj.Connection, name: str) -> Holder | None:
    """Who holds a lock at this moment."""
    session = sessions.lock_holder(connection, name)
    if session is None:
        return None
    now = heartbeat.database_time(connection)
    for row in (_table() & {"lock_name": name, "lock_session": session.number}).to_dicts():
        return _holder(session, row, now)
    return Holder(session)


def free_from_dead(connection: dj.Connection) -> None:
    """End the sessions of all holders that are dead; their locks are free, what they had not committed is gone."""
    now = heartbeat.database_time(connection)
    for row in _table().to_dicts():
        holder = _holder(sessions.Session(row["lock_session"], "", 0.0), row, now)
        if not holder.is_dead:
            continue
        if sessions.terminate(connection, [(row["lock_session"], row["lock_heartbeat"])]):
            logger.warning("the lock %r is taken from a process that is dead (%s)", row["lock_name"], holder)
        names = ("lock_name", "lock_host", "lock_pid", "lock_session")
        is_that = " AND ".join(f"{name} = %s" for name in names)
        connection.query(
            f"DELETE FROM {_table().full_table_name} WHERE {is_that} AND {_silent(connection)}",
            args=tuple(row[name] for name in names),
        )


def _take(connection: dj.Connection, name: str) -> Holder | None:
    """None where the lock is ours now, else who has it."""
    until = None
    while not sessions.try_lock(connection, name):
        holder = holder_of(connection, name)
        if holder is None:  # given back meanwhile, or of a session that this user may not see
            holder = Holder(sessions.Session(0, "", 0.0))
        if not holder.is_dead:
            return holder
        if until is None:
            until = time.monotonic() + _TAKE_OVER_SECONDS
            logger.warning("the lock %r is taken from a process that is dead (%s)", name, holder)
            used = holder.last_beat or heartbeat.database_time(connection)
            sessions.terminate(connection, [(holder.session.number, used)])
        elif time.monotonic() > until:
            return holder
        time.sleep(0.1)
    return None


def _holder(session: sessions.Session, row: dict[str, Any], now: datetime.datetime) -> Holder:
    beat = row["lock_heartbeat"]
    return Holder(
        session, row["lock_host"], row["lock_pid"], row["lock_purpose"], row["lock_since"], beat,
        (now - beat).total_seconds(),
    )  # fmt: skip


@contextlib.contextmanager
def _heartbeats(connection: dj.Connection, name: str, purpose: str) -> Iterator[None]:
    """Write who holds the lock, and that it lives, from a thread and on a connection of its own."""
    over = threading.Event()
    number = sessions.session_number(connection._conn, connection.adapter.backend)
    address, table = connection.address, _table().full_table_name
    host, pid = heartbeat.this_process()
    now = heartbeat.NOW[address.backend]

    def beat() -> None:
        raw, wait = None, _ROW_AFTER_SECONDS
        while not over.wait(wait):
            try:
                raw = raw or raw_connection(address)
                with raw.cursor() as cursor:
                    mine = "lock_name = %s AND lock_host = %s AND lock_pid = %s AND lock_session = %s"
                    who = (name, host, pid, number)
                    cursor.execute(f"UPDATE {table} SET lock_heartbeat = {now} WHERE {mine}", who)
                    if cursor.rowcount == 0:
                        cursor.execute(f"DELETE FROM {table} WHERE lock_name = %s", (name,))
                        cursor.execute(
                            f"INSERT INTO {table} (lock_name, lock_host, lock_pid, lock_session, lock_purpose, "
                            f"lock_since, lock_heartbeat) VALUES (%s, %s, %s, %s, %s, {now}, {now})",
                            (*who, purpose[:255]),
                        )
                wait = heartbeat.HEARTBEAT_SECONDS
            except Exception as error:  # the next beat tries again; without any the lock is lost after a minute
                logger.debug("heartbeat of the lock %r: %s", name, error)
                raw = None
        if raw is not None:
            with contextlib.suppress(Exception):  # a row that stays names a holder that is gone: it counts as none
                with raw.cursor() as cursor:
                    cursor.execute(f"DELETE FROM {table} WHERE {mine}", who)
                raw.close()

    thread = threading.Thread(target=beat, daemon=True, name=f"lock {name}")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)


def _silent(connection: dj.Connection) -> str:
    seconds = heartbeat.DEAD_AFTER_SECONDS
    unit = (
        f"INTERVAL '{seconds:.0f} SECOND'"
        if connection.adapter.backend == "postgresql"
        else f"INTERVAL {seconds:.0f} SECOND"
    )
    return f"lock_heartbeat < {heartbeat.NOW[connection.adapter.backend]} - {unit}"


def _table() -> dj.Table:
    return task.Lock()
