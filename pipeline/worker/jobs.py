"""The jobs of one table: DataJoint's job table, filled, claimed and given back by whole sets of rows."""

from __future__ import annotations

import functools
import importlib.metadata
import traceback
from collections.abc import Sequence
from typing import Any

import datajoint as dj

from pipeline.alf.reasons import REASONS
from pipeline.database import registry
from pipeline.database.address import without_password
from pipeline.errors import NeurojointError, explain
from pipeline.provenance import staleness
from pipeline.worker import heartbeat, transactions

PRIORITY = 5  # of a new job, as in DataJoint; lower ones come first
MOST_DEATHS = 5  # a job whose worker died so often counts as failed

# The job of DataJoint's own populate() ended like this when it was not the job's fault.
_INTERRUPTED = (
    "SystemExit: SIGTERM%",
    "KeyboardInterrupt%",
    "LostConnectionError%",
    "InterfaceError: connection already closed%",
    "InterfaceError: cursor already closed%",
    "OperationalError: server closed the connection%",
    "OperationalError: terminating connection%",
    "AdminShutdown%",
)

# So ends a job whose file, or the disk below it, was away or full: it may be back by now.
_AWAY = (
    *(f"%{REASONS[reason][1]}%" for reason in ("vanished", "read_error", "permission_denied")),
    "InvalidData: %online here: %", "FileNotFoundError: %", "TimeoutError: %",
    "OSError: %the disk is full%", "OSError: %the disk reports an error%",  # as pipeline.errors.explain says it
    "OSError: %Stale file handle%", "OSError: %not connected%",
)  # fmt: skip
_AWAY_PAUSE = 60  # s until such a job is tried again; later as long as it has been failing

CLAIMABLE = "status = 'pending' AND scheduled_time <= CURRENT_TIMESTAMP(3)"


class TableJobs:
    """The jobs of one table. `upstream` are the tables whose jobs hold back those of a rolling table, else None."""

    def __init__(self, table: type[dj.Table]) -> None:
        self.table = table()
        self.jobs = registry.jobs_of(table)
        self.label = registry.label(table)
        self.connection: dj.Connection = self.table.connection
        self.name: str = self.jobs.full_table_name
        self.key: tuple[str, ...] = tuple(self.jobs.primary_key)
        self.names_written = [self.table.full_table_name, *(part().full_table_name for part in registry.parts(table))]
        self.parents = self.table.parents(primary=True)
        self.is_careful = False  # a worker has died at one of the claimed jobs: which one shows when each is by itself
        self.upstream: list[TableJobs] | None = None
        self.me = heartbeat.this_process()
        self._quote = self.connection.adapter.quote_identifier
        self._columns = ", ".join(self._quote(name) for name in self.key)
        self._user: str | None = None
        self._source: str | None = None

    def leads_to(self, rolling: TableJobs) -> bool:
        """Whether a job of this table holds back a rolling table's job of the same animal (or other shared key).

        So do all tables before it, unless its attribute `inputs` names those that it sums up (`behavior.TrialSet`).
        """
        inputs = getattr(rolling.table, "inputs", None)
        is_input = self.label in inputs if inputs is not None else not getattr(self.table, "rolling", False)
        return is_input and not set(self.key).isdisjoint(rolling.key)

    def claim(self, n_jobs: int) -> list[dict[str, Any]]:
        """Reserve up to `n_jobs` jobs; the keys in the order to compute them in."""
        self._user = self._user or self.connection.get_user()
        values = (*self.me, self.connection.connection_id, self._user[:255], _version())
        order = f"priority, scheduled_time, {self._columns}"
        reserve = (
            "SET status = 'reserved', host = %s, pid = %s, connection_id = %s, "
            + f"{self._quote('user')} = %s, version = %s, reserved_time = CURRENT_TIMESTAMP(3)"
        )
        if self.connection.adapter.backend == "postgresql":
            sql = (
                f"WITH picked AS MATERIALIZED (SELECT {self._columns} FROM {self.name} WHERE {CLAIMABLE} "
                f"ORDER BY {order} LIMIT {int(n_jobs)} FOR UPDATE SKIP LOCKED) "
                f"UPDATE {self.name} AS job {reserve} FROM picked WHERE {self._equal('job', 'picked')} "
                f"RETURNING job.priority, job.scheduled_time, {self._listed('job')}"
            )
            return self._claimed(self.connection.query(sql, values).fetchall())
        # Without FORCE INDEX a small table is sorted instead, and every row that was looked at is locked.
        pick = (
            f"SELECT priority, scheduled_time, {self._columns} FROM {self.name} FORCE INDEX (status) "
            f"WHERE {CLAIMABLE} ORDER BY priority, scheduled_time LIMIT {int(n_jobs)} FOR UPDATE SKIP LOCKED"
        )
        with self.connection.transaction:
            keys = self._claimed(self.connection.query(pick).fetchall())
            if keys:
                one_key = f"({', '.join(['%s'] * len(self.key))})"
                where = f"({self._columns}) IN ({', '.join([one_key] * len(keys))})"
                flat = [value for key in keys for value in key.values()]
                self.connection.query(f"UPDATE {self.name} {reserve} WHERE {where}", (*values, *flat))
        return keys

    def complete(self, key: dict[str, Any]) -> bool:
        """Take the job out of the queue; False where it is no longer this process's. Call it in make's transaction."""
        sql = f"DELETE FROM {self.name} WHERE {self._is(key)} AND {_MINE}"
        return self.connection.query(sql, (*self._values(key), *self.me)).rowcount == 1

    def complete_all(self, keys: Sequence[dict[str, Any]]) -> bool:
        """As `complete`, of several jobs; False where one of them is no longer this process's."""
        if not keys:
            return True
        places = ", ".join([f"({', '.join(['%s'] * len(self.key))})"] * len(keys))
        sql = f"DELETE FROM {self.name} WHERE ({self._columns}) IN ({places}) AND {_MINE}"
        values = [value for key in keys for value in self._values(key)]
        return self.connection.query(sql, (*values, *self.me)).rowcount == len(keys)

    def release(self, keys: Sequence[dict[str, Any]]) -> None:
        """Give reserved jobs back as if they had never been claimed."""
        for key in keys:
            sql = f"UPDATE {self.name} {_FREE} WHERE {self._is(key)} AND {_MINE}"
            transactions.retry_on_conflict(
                functools.partial(self.connection.query, sql, (*self._values(key), *self.me))
            )

    def fail(self, key: dict[str, Any], error: BaseException) -> str:
        """Record what went wrong: one line, and the whole traceback. Returns the line."""
        message = describe(error)
        stack = "".join(traceback.format_exception(error))
        with self.connection.transaction:
            sql = f"SELECT 1 FROM {self.name} WHERE {self._is(key)} AND {_MINE} FOR UPDATE"
            if self.connection.query(sql, (*self._values(key), *self.me)).fetchone():
                self.jobs.error(key, message, stack)
        return message

    def add_new(self) -> int:
        """A job for each key that has neither a row nor a job; of a rolling table, only where nothing is upstream."""
        wanted = [f"NOT EXISTS (SELECT 1 FROM {self.table.full_table_name} AS t WHERE {self._equal('t', 'k')})"]
        wanted.append(f"NOT EXISTS (SELECT 1 FROM {self.name} AS j WHERE {self._equal('j', 'k')})")
        wanted += [f"NOT {busy}" for busy in self._busy_upstream("k")]
        return self._change(
            f"INSERT INTO {self.name} ({self._columns}, status, priority, scheduled_time) "
            f"SELECT {self._listed('k')}, 'pending', {PRIORITY}, CURRENT_TIMESTAMP(3) "
            f"FROM ({self._key_source()}) AS k WHERE {' AND '.join(wanted)}"
        )

    def remove_unneeded(self) -> int:
        """Drop the jobs whose key vanished from the key source, and those whose row is there already."""
        keys, rows = self._key_source(), self.table.full_table_name
        return self._change(
            f"DELETE FROM {self.name} WHERE (status <> 'ignore' "
            f"AND NOT EXISTS (SELECT 1 FROM ({keys}) AS k WHERE {self._equal('k', self.name)})) "
            f"OR (status IN ('pending', 'error') "
            f"AND EXISTS (SELECT 1 FROM {rows} AS t WHERE {self._equal('t', self.name)}))"
        )

    def hold_back(self) -> int:
        """Drop the pending jobs for which something is to be computed upstream first; they are added again after it."""
        busy = self._busy_upstream(self.name)
        return (
            self._change(f"DELETE FROM {self.name} WHERE status = 'pending' AND ({' OR '.join(busy)})") if busy else 0
        )

    def delete_outdated(self) -> int:
        """Delete the rows of a rolling table that no longer sum up what is there; not where more is on its way."""
        keys = staleness.stale_keys(type(self.table))
        if keys:
            busy = self._busy_keys()
            keys = [key for key in keys if not any(tuple(key[name] for name in names) in some for names, some in busy)]
        return staleness.delete_quietly(type(self.table), keys) if keys else 0

    def take_from_dead(self, host: str, pid: int) -> int:
        """Free the jobs that a dead worker held. The one that it was at goes to the end of the line.

        Where it computed several together, all of them do, and are computed one by one. A job whose worker died
        `MOST_DEATHS` times (killed for its memory, crashed) counts as failed.
        """
        held = (host, pid)
        rows = self.connection.query(
            f"SELECT priority, scheduled_time, {self._columns} FROM {self.name} WHERE {_MINE}", held
        ).fetchall()
        if not rows:
            return 0
        key, priority = self._in_order(rows)[0], min(row[0] for row in rows)
        if all(row[0] <= PRIORITY for row in rows):
            sql = f"UPDATE {self.name} {_FREE}, priority = {PRIORITY + 1} WHERE {_MINE}"
            return self.connection.query(sql, held).rowcount
        if priority + 1 >= PRIORITY + MOST_DEATHS:
            why = f"WorkerDied: {MOST_DEATHS} workers died while they computed this (killed, out of memory, or a crash)"
            self.jobs.error(key, why)
        else:
            sql = f"UPDATE {self.name} {_FREE}, priority = priority + 1 WHERE {self._is(key)} AND {_MINE}"
            self.connection.query(sql, (*self._values(key), *held))
        return 1 + self.connection.query(f"UPDATE {self.name} {_FREE} WHERE {_MINE}", held).rowcount

    def give_back_interrupted(self) -> int:
        """Free the jobs that DataJoint's own populate() marked as failed because it was stopped or cut off."""
        return self._give_back(_INTERRUPTED)

    def give_back_away(self, at_once: bool = False) -> int:
        """Free the jobs that failed because a file was away or a disk full, after pauses that double each time."""
        if at_once:
            return self._give_back(_AWAY)
        if self.connection.adapter.backend == "postgresql":
            failing, since = "completed_time - created_time", "CURRENT_TIMESTAMP - completed_time"
            return self._give_back(_AWAY, f"{since} > GREATEST(INTERVAL '{_AWAY_PAUSE} seconds', {failing})")
        failing = "TIMESTAMPDIFF(SECOND, created_time, completed_time)"
        since = "TIMESTAMPDIFF(SECOND, completed_time, CURRENT_TIMESTAMP)"
        return self._give_back(_AWAY, f"{since} > GREATEST({_AWAY_PAUSE}, {failing})")

    def _give_back(self, messages: Sequence[str], when: str = "TRUE") -> int:
        like = " OR ".join(["error_message LIKE %s"] * len(messages))
        where = f"status = 'error' AND ({like}) AND {when}"
        return self.connection.query(f"UPDATE {self.name} {_FREE}, {_NO_ERROR} WHERE {where}", tuple(messages)).rowcount

    def retry(self, like: str | None = None) -> int:
        """Give failed jobs back, all or those whose message contains `like` in upper or lower case; how many."""
        where = "status = 'error'"
        values: tuple[str, ...] = ()
        if like:
            where += " AND LOWER(error_message) LIKE %s ESCAPE '!'"
            values = ("%" + "".join(f"!{c}" if c in "!%_" else c for c in like.lower()) + "%",)
        sql = f"UPDATE {self.name} {_FREE}, {_NO_ERROR}, priority = {PRIORITY} WHERE {where}"
        return self.connection.query(sql, values).rowcount

    def _claimed(self, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        self.is_careful = any(row[0] > PRIORITY for row in rows)
        return self._in_order(rows)

    def _in_order(self, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """The keys of rows (priority, scheduled time, key) in the order to compute them in.

        One order for who computes them and who finds out what a dead worker was at; databases sort text differently.
        """
        return [dict(zip(self.key, row[2:], strict=True)) for row in sorted(rows)]

    def _busy_upstream(self, alias: str) -> list[str]:
        """Conditions that are true where a job upstream of the row `alias` is pending or reserved."""
        return [
            f"EXISTS (SELECT 1 FROM {other.name} AS u WHERE u.status IN ('pending', 'reserved') "
            f"AND {self._equal('u', alias, other.key)})"
            for other in self.upstream or ()
        ]

    def _busy_keys(self) -> list[tuple[list[str], set[tuple[Any, ...]]]]:
        """For each table upstream: the shared key columns, and their values where a job is pending or reserved."""
        busy = []
        for other in self.upstream or ():
            names = [name for name in self.key if name in other.key]
            columns = ", ".join(self._quote(name) for name in names)
            sql = f"SELECT DISTINCT {columns} FROM {other.name} WHERE status IN ('pending', 'reserved')"
            busy.append((names, set(self.connection.query(sql).fetchall())))
        return busy

    def _key_source(self) -> str:
        """The key source as SQL; composed once where that takes nothing from the database, else each time."""
        if self._source is not None:
            return self._source
        n_statements = getattr(self.connection, "n_statements", None)
        source = self.table.key_source
        source = source() if isinstance(source, type) else source
        sql: str = source.proj().make_sql()
        if n_statements is not None and n_statements == getattr(self.connection, "n_statements", None):
            self._source = sql
        return sql

    def _equal(self, left: str, right: str, names: Sequence[str] | None = None) -> str:
        shared = self.key if names is None else [name for name in self.key if name in names]
        return " AND ".join(f"{left}.{self._quote(name)} = {right}.{self._quote(name)}" for name in shared)

    def _listed(self, alias: str) -> str:
        return ", ".join(f"{alias}.{self._quote(name)}" for name in self.key)

    def _is(self, key: dict[str, Any]) -> str:
        return " AND ".join(f"{self._quote(name)} = %s" for name in self.key)

    def _values(self, key: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(key[name] for name in self.key)

    def _change(self, sql: str) -> int:
        if self.connection.adapter.backend != "postgresql":
            # MySQL otherwise locks the rows that it reads here, and workers would wait to insert theirs.
            self.connection.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return self.connection.query(sql).rowcount


def describe(error: BaseException) -> str:
    """One line for the job table: the kind of error, what it says and, where that is known, what to do.

    >>> describe(ValueError("no trial\\n  has a contrast"))
    'ValueError: no trial has a contrast'
    >>> describe(FileNotFoundError(2, "No such file or directory", "/data/trials.npy"))
    'FileNotFoundError: /data/trials.npy does not exist: check the path'
    """
    name = type(error).__name__
    if isinstance(error, NeurojointError | OSError | MemoryError | ModuleNotFoundError):
        return f"{name}: {explain(error)}"
    text = " ".join(without_password(str(error)).split())
    return f"{name}: {text}" if text else name


_MINE = "status = 'reserved' AND host = %s AND pid = %s"
_FREE = "SET status = 'pending', host = '', pid = 0, connection_id = 0, reserved_time = NULL"
_NO_ERROR = "error_message = '', error_stack = NULL, completed_time = NULL"


@functools.cache  # reading the metadata of the installed package takes longer than claiming jobs
def _version() -> str:
    try:
        return f"neurojoint {importlib.metadata.version('neurojoint')}"[:64]
    except importlib.metadata.PackageNotFoundError:
        return "neurojoint"
