"""How many threads share one database: each request borrows a driver connection, and DataJoint works on that one.

The tables are bound to one DataJoint connection, which is not safe for threads. Here that object is taught to answer
each thread with the driver connection, and the state of the transaction, that the thread has borrowed; so the query
core, `fetch_columns` and DataJoint itself run unchanged in any number of threads.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import datajoint as dj

from pipeline import errors
from pipeline.database import registry
from pipeline.database.connection import Connection, raw_connection, resolve
from pipeline.settings import settings

logger = logging.getLogger(__name__)

CONNECTIONS = 8
PATIENCE_S = 30.0  # for a free connection, and for the turn to write
LONGEST_STATEMENT_S = 60  # of a read
_T = TypeVar("_T")


class ThreadsConnection(Connection):
    """DataJoint's connection, in as many threads as have borrowed a driver connection from a `Database`."""

    @property
    def _conn(self) -> Any:
        raw = getattr(self.borrowed, "raw", None)
        return self.__dict__["_conn"] if raw is None else raw

    @_conn.setter
    def _conn(self, raw: Any) -> None:
        if getattr(self.borrowed, "raw", None) is None:
            self.__dict__["_conn"] = raw
        else:
            self.borrowed.raw = raw

    @property
    def _in_transaction(self) -> bool:
        if getattr(self.borrowed, "raw", None) is None:
            return self.__dict__["_in_transaction"]
        return self.borrowed.in_transaction

    @_in_transaction.setter
    def _in_transaction(self, value: bool) -> None:
        if getattr(self.borrowed, "raw", None) is None:
            self.__dict__["_in_transaction"] = value
        else:
            self.borrowed.in_transaction = value


class Database:
    """The tables as the server's threads use them. Make one after `pipeline.connect()`, and `close` it.

    Parameters
    ----------
    connection : DataJoint's, to which the schema modules are bound.
    size : how many threads may be in the database at once; others wait.
    written : called after each write.
    """

    def __init__(
        self, connection: Connection, size: int = CONNECTIONS, written: Callable[[], None] = lambda: None
    ) -> None:
        self.connection, self._written = connection, written
        self.backend: str = connection.adapter.backend
        self._address = connection.address
        self._writer = threading.RLock()
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)  # opened when it is first needed
        for table in registry.tables():
            for part in (table, *registry.parts(table)):
                _ = part().heading.names  # read once here: afterwards threads only look
        self._class = type(connection)
        self._local = connection.__dict__.setdefault("borrowed", threading.local())
        connection.__class__ = ThreadsConnection  # every table is bound to this very object

    def close(self) -> None:
        """Close the borrowed connections and give DataJoint's back as it was."""
        self._forget_idle()
        self.connection.__class__ = self._class

    def read(self, ask: Callable[[], _T]) -> _T:
        """What `ask` returns, run with a connection of its own; once more if that connection was lost."""
        if getattr(self._local, "raw", None) is not None:
            return ask()
        for attempt in (1, 2):
            try:
                with self._borrowing():
                    return ask()
            except Exception as error:
                if attempt == 2 or not errors.is_connection_error(error) or _took_too_long(error):
                    raise
                logger.warning("the connection to the database was lost: connecting again")
                self._forget_idle()
        raise AssertionError  # the loop returns or raises

    def lend(self, number: int) -> None:
        """Replace what a request holds that waits for a disk that hangs (1), or take that back (-1).

        Its turn to write goes to others: its transaction is one of a connection of its own.
        """
        if number > 0:
            self._idle.put(None)
            self._writer = threading.RLock()
            return
        with suppress(queue.Empty):
            _close(self._idle.get_nowait())

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, one thread at a time: all that is done in the block, or nothing."""
        turn = self._writer
        if not turn.acquire(timeout=PATIENCE_S):
            raise errors.DatabaseUnavailable("the server is busy writing", "try again in a moment")
        try:
            self.read(lambda: self.connection.query("SELECT 1").fetchall())  # replaces what was lost before
            with self._borrowing(), self.connection.transaction:
                yield self.connection
        finally:
            turn.release()
            self._written()

    @contextmanager
    def working(self) -> Iterator[Connection]:
        """As `writing`, without a transaction: for what makes its own (registration, deletes)."""
        turn = self._writer
        if not turn.acquire(timeout=PATIENCE_S):
            raise errors.DatabaseUnavailable("the server is busy writing", "try again in a moment")
        try:
            self.read(lambda: self.connection.query("SELECT 1").fetchall())
            with self._borrowing():
                yield self.connection
        finally:
            turn.release()
            self._written()

    def select(
        self,
        query: dj.expression.QueryExpression,
        names: Sequence[str] = (),
        order_by: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Rows of a query as dicts, without DataJoint's cost for each.

        Parameters
        ----------
        names : the columns; all where none are named. json columns come as Python objects.
        order_by : column names, each with ` DESC` behind it or not.
        limit, offset : which rows of that order.
        """
        present = _ordered(query, names)
        sql = query.make_sql(present) + self._order(order_by)
        if limit is not None:
            sql += f" LIMIT {int(limit)} OFFSET {int(offset)}"
        return _dicts(query, present, self.execute(sql))

    def count(self, query: dj.expression.QueryExpression) -> int:
        """How many rows a query has."""
        return self.execute(f"SELECT count(*) FROM ({query.make_sql(query.primary_key)}) AS counted")[0][0]

    def execute(self, sql: str) -> list[tuple]:
        """Run SQL as DataJoint writes it (`%` doubled)."""

        def ask() -> list[tuple]:
            with self.connection._conn.cursor() as cursor:
                cursor.execute(sql.replace("%%", "%"))
                return list(cursor.fetchall())

        return self.read(ask)

    def _order(self, order_by: Sequence[str]) -> str:
        if not order_by:
            return ""
        quote = self.connection.adapter.quote_identifier
        terms = [term.partition(" ") for term in order_by]
        return " ORDER BY " + ", ".join(f"{quote(name)} {direction}" for name, _, direction in terms)

    @contextmanager
    def _borrowing(self) -> Iterator[None]:
        """Lend this thread a driver connection."""
        if getattr(self._local, "raw", None) is not None:
            yield
            return
        try:
            raw = self._idle.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise errors.DatabaseUnavailable("the server is busy", "try again in a moment") from None
        sound = False
        try:
            raw = self._open() if raw is None else raw
            self._local.raw, self._local.in_transaction = raw, False
            try:
                yield
                sound = True
            except Exception as error:
                sound = not errors.is_connection_error(error) and not self._local.in_transaction
                raise
            finally:
                raw, self._local.raw = self._local.raw, None
        finally:
            if not sound:
                _close(raw)
            self._idle.put(raw if sound else None)

    def _open(self) -> Any:
        try:
            raw = raw_connection(self._address)
        except Exception as error:
            if not errors.is_connection_error(error):
                raise

            self._address = resolve(settings())  # starts the embedded database if it has stopped
            raw = raw_connection(self._address)
        with raw.cursor() as cursor:
            for setting in _POSTGRESQL if self.backend == "postgresql" else (_mysql_limit(raw),):
                cursor.execute(f"SET {setting}")
        return raw

    def _forget_idle(self) -> None:
        held = []
        while True:
            try:
                held.append(self._idle.get_nowait())
            except queue.Empty:
                break
        for raw in held:
            _close(raw)
            self._idle.put(None)


# Many small statements at once: one processor each, memory for one join over all datasets, indices preferred.
_POSTGRESQL = (
    f"statement_timeout = {LONGEST_STATEMENT_S * 1000}", "work_mem = '64MB'", "random_page_cost = 1.1", "jit = off",
    "max_parallel_workers_per_gather = 0",
)  # fmt: skip


def _mysql_limit(raw: Any) -> str:
    """The setting that ends long statements: MariaDB counts seconds, MySQL milliseconds."""
    if "MariaDB" in raw.get_server_info():
        return f"max_statement_time = {LONGEST_STATEMENT_S}"
    return f"max_execution_time = {LONGEST_STATEMENT_S * 1000}"


def _took_too_long(error: BaseException) -> bool:
    """Whether the server ended a statement at `LONGEST_STATEMENT_S`: it would take as long once more."""
    return any(cls.__name__ in ("QueryCanceled", "QueryCanceledError") for cls in type(error).__mro__)


def _close(raw: Any) -> None:
    if raw is None:
        return
    try:
        raw.close()
    except Exception as error:  # a connection that was lost may refuse even that
        logger.debug("closing a lost connection: %s", error)


def _ordered(query: dj.expression.QueryExpression, names: Sequence[str]) -> list[str]:
    """The names in the heading's order, which make_sql keeps to."""
    wanted = set(names) or set(query.heading.names)
    return [name for name in query.heading.names if name in wanted]


def _dicts(query: dj.expression.QueryExpression, names: list[str], tuples: list[tuple]) -> list[dict[str, Any]]:
    rows = [dict(zip(names, row, strict=True)) for row in tuples]
    for name in names:
        attribute = query.heading[name]
        if attribute.json or attribute.original_type == "json":
            for row in rows:
                if isinstance(row[name], str | bytes):
                    row[name] = json.loads(row[name])
    return rows
