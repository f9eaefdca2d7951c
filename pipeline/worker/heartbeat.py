"""Which workers are alive: by their process on this computer, by their heartbeat in the database on others."""

from __future__ import annotations

import datetime
import os
import platform
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj
import psutil

from pipeline.database import sessions
from pipeline.schemas import task

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 60.0  # without a heartbeat, on another computer
STRANGER_HOURS = (
    24  # a job on another computer whose worker never registered (DataJoint's own populate) is left so long
)

_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # Linux gives this number to the one outside all containers
_START_TOLERANCE_SECONDS = 5.0  # the start of a process is computed from the boot time, which a clock may correct
_CLOCK_TOLERANCE_SECONDS = 60.0  # between this computer and the database


@dataclass(frozen=True)
class Holder:
    """A process that holds jobs, and when it last reserved one (UTC, by the clock of the database)."""

    host: str
    pid: int
    reserved: datetime.datetime


@dataclass
class Found:
    """The holders as (host, pid), by what is known of them; those of whom nothing is known are in neither set."""

    alive: set[tuple[str, int]] = field(default_factory=set)
    dead: set[tuple[str, int]] = field(default_factory=set)


def this_process() -> tuple[str, int]:
    """The computer's name and the process id, which together name a worker."""
    return host(), os.getpid()


def host() -> str:
    """The name of what process ids count in: the computer, or a container on it."""
    node = platform.node()[:200]
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux, or /proc is closed
        return node
    return node if namespace == _FIRST_PID_NAMESPACE else f"{node}/{namespace}"


def process_start(pid: int) -> datetime.datetime | None:
    """When a process of this computer began (UTC); None where it is gone, also where only its exit code is left."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return datetime.datetime.fromtimestamp(process.create_time(), datetime.UTC).replace(tzinfo=None)
    except psutil.NoSuchProcess:
        return None


def examine(connection: dj.Connection, holders: Iterable[Holder]) -> Found:
    """Sort the holders of jobs into living and dead.

    On this computer a worker is alive while its process runs; a process that began at another time than the worker
    stated has only inherited its number. On others it is alive while its heartbeat is younger than
    `DEAD_AFTER_SECONDS`; without any heartbeat it counts as dead after `STRANGER_HOURS`.
    """
    result, here = Found(), host()
    known = {(row["worker_host"], row["worker_pid"]): row for row in _rows(connection)}
    now = database_time(connection)
    for holder in holders:
        name = (holder.host, holder.pid)
        row = known.get(name)
        if holder.host == here:
            alive = _runs(holder, row)
        elif row is not None:
            alive = row["age"] < DEAD_AFTER_SECONDS
        elif now - holder.reserved < datetime.timedelta(hours=STRANGER_HOURS):
            continue
        else:
            alive = False
        (result.alive if alive else result.dead).add(name)
    return result


def register(connection: dj.Connection) -> str:
    """Enter this process as a worker; returns its id. An older entry of its number is of one that is gone."""
    worker = _worker()
    name, pid = this_process()
    worker_id = str(uuid.uuid4())
    now = database_time(connection)
    # Not in one transaction: what MySQL locks for the first would keep others, who are at the same, from the second.
    (worker & {"worker_host": name, "worker_pid": pid}).delete_quick()
    worker.insert1(
        {
            "worker_id": worker_id,
            "worker_host": name,
            "worker_pid": pid,
            "worker_start": process_start(pid),
            "heartbeat": now,
            "worker_session": sessions.session_number(connection._conn, connection.adapter.backend),
        }
    )
    return worker_id


def leave(connection: dj.Connection) -> None:
    """Take this process out of the list of workers."""
    name, pid = this_process()
    (_worker() & {"worker_host": name, "worker_pid": pid}).delete_quick()


def end_sessions_of_dead(connection: dj.Connection) -> None:
    """End the sessions that dead workers of other computers left in the database.

    What such a worker had not committed would otherwise hold up whoever computes its keys next, for as long as its
    connection looks alive (a computer that sleeps, a network that is cut, a process that was stopped).
    """
    left = [
        (row["worker_session"], row["heartbeat"])
        for row in workers(connection)
        if not row["alive"] and row["worker_session"]
    ]
    sessions.terminate(connection, left)


def bury(connection: dj.Connection) -> None:
    """Forget the workers of this computer whose process is gone, and those silent for a day."""
    here = host()
    for row in _rows(connection):
        holder = Holder(row["worker_host"], row["worker_pid"], row["worker_start"])
        gone = holder.host == here and not _runs(holder, row)
        if gone or row["age"] > STRANGER_HOURS * 3600:
            (_worker() & {"worker_id": row["worker_id"]}).delete_quick()


def workers(connection: dj.Connection) -> list[dict[str, Any]]:
    """The rows of task.Worker with `age`, the seconds since the last heartbeat, and `alive`."""
    rows, here = _rows(connection), host()
    for row in rows:
        holder = Holder(row["worker_host"], row["worker_pid"], row["worker_start"])
        row["alive"] = _runs(holder, row) if holder.host == here else row["age"] < DEAD_AFTER_SECONDS
    return rows


def database_time(connection: dj.Connection) -> datetime.datetime:
    """The clock of the database, UTC."""
    now: datetime.datetime = connection.query(f"SELECT {NOW[connection.adapter.backend]}").fetchone()[0]
    return now


def database_name() -> str:
    """The name of the schema of the workers, which tells this pipeline's tables from others on the same server."""
    name: str = _worker().database
    return name


def beat(raw: Any, backend: str, table: str, activities: dict[int, str]) -> None:
    """Write heartbeats of processes of this computer, on a connection of the driver.

    Parameters
    ----------
    raw, backend : a connection of the driver, in autocommit, and `postgresql` or `mysql`.
    table : full name of task.Worker.
    activities : process id -> what the worker is doing.
    """
    now = NOW[backend]
    sql = f"UPDATE {table} SET heartbeat = {now}, worker_activity = %s WHERE worker_host = %s AND worker_pid = %s"
    with raw.cursor() as cursor:
        for pid, activity in activities.items():
            cursor.execute(sql, (activity[:128], host(), pid))


NOW = {"postgresql": "CAST(CURRENT_TIMESTAMP(6) AS timestamp)", "mysql": "CURRENT_TIMESTAMP(6)"}


def _worker() -> dj.Table:
    return task.Worker()


def _rows(connection: dj.Connection) -> list[dict[str, Any]]:
    now = database_time(connection)
    rows = _worker().to_dicts(order_by="worker_host, worker_pid")
    return [row | {"age": (now - row["heartbeat"]).total_seconds()} for row in rows]


def _runs(holder: Holder, row: dict[str, Any] | None) -> bool:
    start = process_start(holder.pid)
    if start is None:
        return False
    if row is not None:
        apart: datetime.timedelta = start - row["worker_start"]
        return abs(apart.total_seconds()) < _START_TOLERANCE_SECONDS
    return (start - holder.reserved).total_seconds() < _CLOCK_TOLERANCE_SECONDS
