"""`make` and the end of its job in one transaction, so that a kill at any moment leaves both or neither.

Keys whose `make` is quick are computed several in one transaction (`compute_together`).
"""

from __future__ import annotations

import contextlib
import inspect
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, Literal

import datajoint as dj

from pipeline.database import together
from pipeline.database.sessions import IDLE_IN_TRANSACTION_S, WORKER_IDLE_IN_TRANSACTION_S, set_idle_limit
from pipeline.worker import transactions
from pipeline.worker.jobs import TableJobs

Outcome = Literal["done", "failed", "skipped"]

GRACE_SECONDS = 5.0  # for a make that runs when the worker is asked to stop; then it is rolled back


class ConnectionLost(Exception):
    """The database does not answer on this connection any more: the process must end and be started again."""


class Interrupted(BaseException):
    """The worker was asked to stop and `make` did not end within the grace period."""


class _Taken(Exception):
    """The job is no longer this worker's: it was thought dead, or the key vanished."""


class Stop:
    """A request to stop: at the next key, or within `make` once the grace period is over."""

    def __init__(self) -> None:
        self.requested = False
        self._in_make = False

    def install(self, grace: float = GRACE_SECONDS) -> None:
        """Let SIGTERM set it; SIGINT is left to the supervisor, who gets it too."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def on_term(_number: int, _frame: FrameType | None) -> None:
            if not self.requested:
                signal.setitimer(signal.ITIMER_REAL, max(grace, 1e-3), 1.0)
            self.requested = True

        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.signal(signal.SIGTERM, on_term)

    @contextlib.contextmanager
    def can_interrupt(self) -> Iterator[None]:
        """Around the code that may be broken off at any line."""
        self._in_make = True
        try:
            yield
        finally:
            self._in_make = False

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._in_make:  # else the timer comes again in a second
            raise Interrupted


@contextlib.contextmanager
def session(connection: dj.Connection) -> Iterator[None]:
    """The connection as workers use it: no reconnecting, no waiting for the disk (all of it can be computed again)."""
    config = connection._config
    before, config["database.reconnect"] = config["database.reconnect"], False
    is_postgresql = connection.adapter.backend == "postgresql"
    if is_postgresql:
        connection.query("SET synchronous_commit = off")
    set_idle_limit(connection._conn, connection.adapter.backend, WORKER_IDLE_IN_TRANSACTION_S)
    try:
        with together.memory(connection):
            yield
    finally:
        config["database.reconnect"] = before
        if not is_lost(connection):
            set_idle_limit(connection._conn, connection.adapter.backend, IDLE_IN_TRANSACTION_S)
            if is_postgresql:
                connection.query("RESET synchronous_commit")


def compute(table_jobs: TableJobs, key: dict[str, Any], stop: Stop) -> Outcome:
    """Compute one reserved key.

    Returns
    -------
    `done`; `failed`: the error is recorded in the job; `skipped`: the row was there already, or the job was taken away.

    Raises
    ------
    ConnectionLost : nothing of the key was written; the job is still reserved.
    Interrupted, KeyboardInterrupt : nothing of the key was written; the job is still reserved.
    """
    for attempt in range(transactions.MOST_CONFLICTS + 1):
        try:
            _make_and_complete(table_jobs, key, stop)
            return "done"
        except _Taken:
            _roll_back(table_jobs.connection)
            return "skipped"
        except (Interrupted, KeyboardInterrupt):
            _roll_back(table_jobs.connection)
            raise
        except (Exception, SystemExit) as error:
            _roll_back(table_jobs.connection)
            if transactions.is_conflict(error) and attempt < transactions.MOST_CONFLICTS:
                transactions.pause(attempt)
                continue
            if isinstance(error, dj.errors.DuplicateError) and table_jobs.table & key:
                transactions.retry_on_conflict(partial(table_jobs.complete, key))
                return "skipped"
            transactions.retry_on_conflict(partial(table_jobs.fail, key, error))
            return "failed"
    raise AssertionError("unreachable")


def compute_together(table_jobs: TableJobs, keys: Sequence[dict[str, Any]], stop: Stop) -> list[Outcome] | None:
    """Compute reserved keys in one transaction, up to the one at which the worker is asked to stop.

    A `make` that raises fails its own key; those before and after it are written.

    Returns
    -------
    The outcomes of the first keys, `done` or `failed`; None: nothing was written, and each key must be computed by
    itself, since a statement failed, another transaction got in the way, or a job was taken away.

    Raises
    ------
    ConnectionLost, Interrupted, KeyboardInterrupt : nothing was written; the jobs are still reserved.
    """
    connection, table = table_jobs.connection, table_jobs.table
    errors: dict[int, BaseException] = {}
    number = 0
    try:
        with together.batch(connection, table_jobs.names_written, keys) as batch:
            _begin(connection)
            with stop.can_interrupt():
                for number, key in enumerate(keys, 1):
                    batch.begin(key)
                    try:
                        with _making(table, key):
                            table.make(dict(key))
                    except (Exception, SystemExit) as error:
                        if not batch.forget():
                            raise
                        errors[number - 1] = error
                    if stop.requested:
                        break
                batch.write()
        done = [key for place, key in enumerate(keys[:number]) if place not in errors]
        if batch.is_broken or not table_jobs.complete_all(done):
            raise _Taken
        connection.commit_transaction()
    except (Interrupted, KeyboardInterrupt):
        _roll_back(connection)
        raise
    except (Exception, SystemExit):
        _roll_back(connection)
        return None
    for place, raised in errors.items():
        transactions.retry_on_conflict(partial(table_jobs.fail, keys[place], raised))
    return ["failed" if place in errors else "done" for place in range(number)]


def is_lost(connection: dj.Connection) -> bool:
    """Whether the connection answers no more; an open transaction is rolled back."""
    try:
        if connection._in_transaction:
            connection.cancel_transaction()
        connection.query("SELECT 1", reconnect=False)
    except Exception:  # whatever the driver says, it does not answer
        return True
    return False


def _make_and_complete(table_jobs: TableJobs, key: dict[str, Any], stop: Stop) -> None:
    connection, table = table_jobs.connection, table_jobs.table
    is_in_three_steps = inspect.isgeneratorfunction(table.make)
    with _making(table, key):
        computed, digest = None, None
        if is_in_three_steps:  # make_fetch and make_compute outside the transaction
            with stop.can_interrupt():
                steps = table.make(dict(key))
                digest = _digest(next(steps))
                computed = next(steps)
        _begin(connection)
        with stop.can_interrupt():
            if is_in_three_steps:
                steps = table.make(dict(key))
                if _digest(next(steps)) != digest:
                    raise dj.DataJointError("what make_fetch read has changed while make_compute ran")
                steps.send(computed)
            else:
                table.make(dict(key))
    if not table_jobs.complete(key):
        raise _Taken
    connection.commit_transaction()


@contextlib.contextmanager
def _making(table: Any, key: dict[str, Any]) -> Iterator[None]:
    """What DataJoint's populate() sets around a make: inserts are allowed, `self.upstream` knows its key."""
    type(table)._allow_insert = True
    table._upstream_key, table._upstream = dict(key), None
    try:
        yield
    finally:
        type(table)._allow_insert = False
        table._upstream_key = table._upstream = None


def _begin(connection: dj.Connection) -> None:
    """A transaction that sees one state of the database, so that a fingerprint is that of the rows read."""
    if connection.adapter.backend == "postgresql":
        connection.query("START TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection._in_transaction = True  # type: ignore[attr-defined]
    else:
        connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.start_transaction()


def _roll_back(connection: dj.Connection) -> None:
    try:
        if connection._in_transaction:
            connection.cancel_transaction()
        connection.query("SELECT 1", reconnect=False)
    except Exception as error:  # whatever the driver says, it does not answer
        raise ConnectionLost from error


def _digest(fetched: Any) -> str:
    import deepdiff

    digest: str = deepdiff.DeepHash(fetched, ignore_iterable_order=False)[fetched]
    return digest
