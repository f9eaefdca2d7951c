"""Sessions of the database server: how soon a lost one is noticed, what locks they hold, and how to end one.

A session lives as long as its TCP connection. A computer that loses power or its network sends no goodbye, so by
default the server keeps the session, with its locks and its open transaction, for two hours. `protect` makes both ends
of a connection notice within `LOST_AFTER_S`; `terminate` is for a session whose owner is known to be gone earlier than
that, or where the server cannot be told (MySQL).
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import socket
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LOST_AFTER_S = 20  # without an answer from the other computer a connection counts as lost
IDLE_IN_TRANSACTION_S = 600  # a transaction in which nothing is said for so long is rolled back
WORKER_IDLE_IN_TRANSACTION_S = 12 * 3600  # a `make` may compute that long between two statements

_PROBE_AFTER_S, _PROBE_EVERY_S, _PROBES = 5, 5, 3

logger = logging.getLogger(__name__)

# For libpq: how this computer notices that the server is gone. Without effect on a unix socket.
POSTGRESQL_OPTIONS: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": _PROBE_AFTER_S,
    "keepalives_interval": _PROBE_EVERY_S,
    "keepalives_count": _PROBES,
    "tcp_user_timeout": LOST_AFTER_S * 1000,
}
# For the session: how the server notices that this computer is gone. Keepalives alone do not do it, since they are held
# back while data wait for an acknowledgement; that is what tcp_user_timeout limits.
POSTGRESQL_SETTINGS: dict[str, str] = {
    "tcp_keepalives_idle": str(_PROBE_AFTER_S),
    "tcp_keepalives_interval": str(_PROBE_EVERY_S),
    "tcp_keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(LOST_AFTER_S * 1000),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_S * 1000),
}


@dataclass(frozen=True)
class Session:
    """A session on the server.

    Attributes
    ----------
    number : the server's number of it.
    address : of the computer at the other end; empty for a unix socket, or where this user may not see it.
    idle : seconds since its last statement ended; 0 while it executes one.
    in_transaction : whether a transaction is open, where the server tells (PostgreSQL).
    """

    number: int
    address: str
    idle: float
    in_transaction: bool = False


def protect(raw: Any, backend: str) -> None:
    """Let both ends of a new driver connection notice the loss of the other, and limit transactions that do nothing."""
    if backend == "postgresql":
        with raw.cursor() as cursor:
            for name, value in POSTGRESQL_SETTINGS.items():
                cursor.execute(f"SET {name} = {value}")
        return
    _protect_socket(raw._sock)
    set_idle_limit(raw, backend, IDLE_IN_TRANSACTION_S)


def descriptor(raw: Any) -> int:
    """The number of the open file that a driver connection is."""
    return raw.fileno() if hasattr(raw, "fileno") else raw._sock.fileno()


def set_idle_limit(raw: Any, backend: str, seconds: float) -> None:
    """How long a transaction of this driver connection may do nothing. MySQL itself knows no such limit."""
    if backend == "postgresql":
        setting = f"idle_in_transaction_session_timeout = {int(seconds * 1000)}"
    elif "MariaDB" in raw.get_server_info():
        setting = f"SESSION idle_transaction_timeout = {int(seconds)}"
    else:
        return
    with raw.cursor() as cursor:
        cursor.execute(f"SET {setting}")


def answer_in_one_process(connection: Any) -> None:
    """For the rest of this transaction PostgreSQL answers each statement with one process, as MySQL always does.

    With several it prefers to hash whole tables over reading two indexes side by side, which takes four times as long
    in all, and longer still on a server that has other things to do.
    """
    if connection.adapter.backend == "postgresql":
        connection.query("SET LOCAL max_parallel_workers_per_gather = 0")


def session_number(raw: Any, backend: str) -> int:
    """The server's number of the session of a driver connection."""
    return raw.info.backend_pid if backend == "postgresql" else raw.thread_id()


def try_lock(connection: Any, name: str, in_transaction: bool = False) -> bool:
    """Take a named lock for this session (or, on PostgreSQL, this transaction) if nobody holds it; never waits."""
    if connection.adapter.backend == "postgresql":
        kind = "pg_try_advisory_xact_lock" if in_transaction else "pg_try_advisory_lock"
        return bool(connection.query(f"SELECT {kind}({_key(name)})").fetchone()[0])
    return bool(connection.query(f"SELECT GET_LOCK('{_mysql_name(name)}', 0)").fetchone()[0])


def unlock(connection: Any, name: str) -> None:
    """Give back what `try_lock` took."""
    if connection.adapter.backend == "postgresql":
        connection.query(f"SELECT pg_advisory_unlock({_key(name)})")
    else:
        connection.query(f"SELECT RELEASE_LOCK('{_mysql_name(name)}')")


def lock_holder(connection: Any, name: str) -> Session | None:
    """The session that holds a named lock at this moment."""
    if connection.adapter.backend == "postgresql":
        sql = f"""
            SELECT a.pid, COALESCE(HOST(a.client_addr), ''), COALESCE(a.state, ''),
                   CASE WHEN a.state = 'active' THEN 0
                        ELSE EXTRACT(EPOCH FROM CLOCK_TIMESTAMP() - a.state_change) END
            FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = 0 AND l.objid = {_key(name)}
              AND l.database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())
        """
        row = connection.query(sql).fetchone()
        return Session(int(row[0]), row[1], float(row[3] or 0), "transaction" in row[2]) if row else None
    sql = f"""
        SELECT ID, HOST, COMMAND, TIME FROM information_schema.PROCESSLIST
        WHERE ID = IS_USED_LOCK('{_mysql_name(name)}')
    """
    row = connection.query(sql).fetchone()
    if row is None:
        return None
    return Session(int(row[0]), str(row[1]).rpartition(":")[0], float(row[3] or 0) if row[2] == "Sleep" else 0.0)


def terminate(connection: Any, sessions: Iterable[tuple[int, datetime.datetime]]) -> int:
    """End sessions whose owner is gone; what they had not committed is rolled back, and their locks are free.

    Parameters
    ----------
    sessions : number of the session, and a time (UTC, by the clock of the database) at which its owner used it. A
        number that the server has since given to another session is left alone.

    Returns
    -------
    How many there were. One that belongs to another user of the database stays, and a warning says so.
    """
    own = session_number(connection._conn, connection.adapter.backend)
    wanted = {number: used for number, used in sessions if number and number != own}
    if not wanted:
        return 0
    listed = ", ".join(str(int(number)) for number in wanted)
    if connection.adapter.backend == "postgresql":
        sql = f"SELECT pid, backend_start AT TIME ZONE 'UTC' FROM pg_stat_activity WHERE pid IN ({listed})"
        numbers = [number for number, begun in connection.query(sql).fetchall() if begun and begun <= wanted[number]]
        command = "SELECT pg_terminate_backend({})"
    else:
        # Numbers only grow while the server runs: one from before its start means nothing.
        sql = "SELECT VARIABLE_VALUE FROM {}.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Uptime'"
        kind = "information_schema" if connection.server[0] == "MariaDB" else "performance_schema"
        uptime = float(connection.query(sql.format(kind)).fetchone()[0])
        now = connection.query("SELECT CURRENT_TIMESTAMP(6)").fetchone()[0]
        rows = connection.query(f"SELECT ID FROM information_schema.PROCESSLIST WHERE ID IN ({listed})").fetchall()
        numbers = [int(row[0]) for row in rows if wanted[int(row[0])] >= now - datetime.timedelta(seconds=uptime)]
        command = "KILL CONNECTION {}"
    ended = 0
    for number in numbers:
        try:
            connection.query(command.format(number))
            ended += 1
        except Exception as error:
            if not _is_refusal(error):
                raise
            logger.warning(
                "session %d of the database belongs to a process that is gone, and this user may not end it (%s): "
                "ask the administrator of the database to", number, error,
            )  # fmt: skip
    return ended


def _protect_socket(raw: socket.socket | None) -> None:
    """What libpq does with its options, for pymysql; silently less where the system knows less, or on a unix socket."""
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _PROBE_AFTER_S),
        ("TCP_KEEPINTVL", _PROBE_EVERY_S),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", LOST_AFTER_S * 1000),
    ):
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _key(name: str) -> int:
    return zlib.crc32(name.encode())


def _mysql_name(name: str) -> str:
    return f"neurojoint{_key(name)}"


def _is_refusal(error: BaseException) -> bool:
    """Whether the database refuses this user the right, or the session has ended by itself meanwhile."""
    text = str(error).lower()
    return any(
        words in text for words in ("permission denied", "must be", "not owner", "unknown thread", "1094", "1095")
    )
