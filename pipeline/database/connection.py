"""From settings to an open connection: the only room that sets `dj.config`, for the embedded database or a server."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

from pipeline.database import embedded

# datajoint.json and DataJoint's secrets folders never have a say: everything comes from `pipeline.settings`.
os.environ.setdefault("DJ_IGNORE_CONFIG_FILE", "true")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import datajoint as dj
    import datajoint.instance as dj_instance
    import datajoint.logging  # noqa: F401  (binds the logger before its level is set)

from pipeline import errors
from pipeline.database import sessions
from pipeline.database.address import Address, parse_url
from pipeline.database.declaring import Comments
from pipeline.database.together import batch_of
from pipeline.errors import DatabaseUnavailable
from pipeline.settings import Settings

CONNECT_TIMEOUT_S = 10
OLDEST = {"PostgreSQL": (15,), "MySQL": (8, 0, 17), "MariaDB": (10, 11)}
SQL_MODE = (
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY"
)
# Compare text byte for byte and do not pad with spaces, as PostgreSQL does: 'KS014' is not 'ks014'.
COLLATION = {"MySQL": "utf8mb4_0900_bin", "MariaDB": "utf8mb4_nopad_bin"}

logger = logging.getLogger(__name__)


class Connection(dj.Connection):
    """DataJoint's connection, opened by `raw_connection`, so that one that is re-opened has the same session settings.

    `address` says where it leads, `server` is the pair of the server's kind and version, `n_statements` how many
    statements it has sent.
    """

    n_statements = 0
    comments: Comments | None = None
    """While tables are declared: comments that wait."""

    def __init__(self, address: Address) -> None:
        self.address = address
        # DataJoint splits a host at ":", which a folder or an IPv6 address may hold: it gets the real one afterwards.
        super().__init__(
            "", address.user, "", address.port, use_tls=False,
            database_name=address.database or None, backend=address.backend,
        )  # fmt: skip

    def connect(self) -> None:
        """Open; DataJoint calls it again by itself when a MySQL server has closed the connection."""
        self.conn_info["host"] = self.address.host
        self._conn = raw_connection(self.address)
        if self.adapter.backend == "postgresql":
            self.adapter._register_numpy_adapters()
        self.server = server_version(self._conn)
        self._is_closed = False

    @property
    def is_connected(self) -> bool:  # type: ignore[override]
        """As DataJoint's, which takes Ctrl-C for a lost connection, and goes on."""
        if not self._is_closed:
            try:
                self.ping()
            except Exception:
                self._is_closed = True
        return not self._is_closed

    def query(self, query: str, args: Any = (), **options: Any) -> Any:
        """As DataJoint's; while several keys are computed together, their inserts wait and return nothing."""
        self.n_statements += 1
        if "\0" in query:  # the driver would send what stands before it
            raise errors.UserError("a text holds the character NUL, which no name has", "leave it out")
        if self.comments is not None and self.comments.take(query):
            return None
        opened = batch_of(self)
        if opened is None:
            return super().query(query, args, **options)
        if opened.before(query, args):
            return None
        try:
            return super().query(query, args, **options)
        except Exception:
            opened.is_broken = True
            raise

    def reopen(self) -> None:
        """Open again after a loss that DataJoint does not see; what was not committed is gone."""
        self._in_transaction = False
        self.connect()


def resolve(settings: Settings) -> Address:
    """Where the database is; with no URL in the settings that is the embedded one, started if it does not run.

    Raises
    ------
    DatabaseUnavailable
        The embedded database does not start.
    InvalidSettings
        The URL or the password file cannot be read.
    """
    if settings.database_url is not None:
        return parse_url(settings.database_url.get_secret_value(), settings.password(), settings.database_tls)

    return embedded.start(settings.home, tcp_port=settings.embedded_tcp_port)


def open_connection(settings: Settings) -> Connection:
    """Configure DataJoint for these settings and open its connection (`dj.conn()` is then this one).

    Nothing is created in the database.

    Raises
    ------
    DatabaseUnavailable
        No answer, wrong password, unknown database, or a server that is too old; the message says what to do.
    """
    address = resolve(settings)
    _configure(address, settings.log_level)
    with _explained(address), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "MariaDB is not officially supported")
        connection = Connection(address)
    dj_instance._singleton_connection = connection
    check_version(*connection.server)
    return connection


def raw_connection(address: Address, **options: Any) -> Any:
    """A connection of the driver itself (psycopg2 or pymysql), in autocommit, for a thread of its own.

    Text is compared byte for byte, sessions are in UTC, MySQL refuses values that do not fit, and both ends notice when
    the other is gone (`sessions.protect`).

    Parameters
    ----------
    options
        For the driver, e.g. `local_infile=True` (pymysql) or `application_name=...` (psycopg2).

    Raises
    ------
    psycopg2.Error, pymysql.err.MySQLError
        As the driver raises them; `errors.explain` turns them into words.
    """
    if address.backend == "postgresql":
        return _postgresql(address, options)
    return _mysql(address, options)


def server_version(raw: Any) -> tuple[str, str]:
    """The kind of the server, `PostgreSQL`, `MySQL` or `MariaDB`, and its version, of a driver's connection."""
    if isinstance(raw.server_version, int):  # psycopg2; pymysql has a text of that name, without what MariaDB is
        return "PostgreSQL", f"{raw.server_version // 10000}.{raw.server_version % 10000}"
    with raw.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        text = cursor.fetchone()[0]
    number = re.search(r"\d+(\.\d+)+", text)
    return ("MariaDB" if "MariaDB" in text else "MySQL"), number[0] if number else text


def check_version(kind: str, version: str) -> None:
    """Refuse a server that is older than what the tests run on.

    Examples
    --------
    >>> check_version("PostgreSQL", "18.4")
    >>> check_version("MySQL", "5.7.44")
    Traceback (most recent call last):
    pipeline.errors.DatabaseUnavailable: the server is MySQL 5.7.44: it must be MySQL 8.0.17 or newer
    """
    oldest = OLDEST[kind]
    if tuple(int(part) for part in version.split(".")) < oldest:
        needed = ".".join(map(str, oldest))
        raise DatabaseUnavailable(f"the server is {kind} {version}", f"it must be {kind} {needed} or newer")


def _configure(address: Address, log_level: str) -> None:
    config = dj.config
    config["database.backend"] = address.backend  # sets no port by itself
    config["database.port"] = address.port
    config["database.host"] = address.host
    config["database.user"] = address.user
    config["database.password"] = address.password.get_secret_value()
    config["database.name"] = address.database or None
    config["database.use_tls"] = address.tls
    config["connection.charset"] = "utf8mb4"
    config["safemode"] = False
    config["display.show_tuple_count"] = False
    # At INFO DataJoint prints a line per connection and per table on standard output.
    config["loglevel"] = "WARNING" if log_level == "INFO" else log_level


def _postgresql(address: Address, options: dict[str, Any]) -> Any:
    import psycopg2

    connection = psycopg2.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password.get_secret_value(),
        dbname=address.database,
        sslmode={True: "require", False: "disable", None: "prefer"}[address.tls],
        connect_timeout=CONNECT_TIMEOUT_S,
        client_encoding="UTF8",
        **sessions.POSTGRESQL_OPTIONS | {"application_name": "neurojoint"} | options,
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET timezone='UTC'")
    sessions.protect(connection, "postgresql")
    return connection


def _mysql(address: Address, options: dict[str, Any]) -> Any:
    import pymysql

    place = {"unix_socket": address.host} if address.is_socket else {"host": address.host, "port": address.port}
    # Without a certificate authority pymysql encrypts but does not verify, as libpq's `require` does.
    encryptions: dict[bool | None, dict[str, Any]]
    encryptions = {True: {"ssl": {"verify_mode": "none"}}, False: {"ssl_disabled": True}, None: {}}
    encryption = encryptions[address.tls]
    connection = pymysql.connect(
        **place,
        user=address.user,
        password=address.password.get_secret_value().encode(),  # pymysql would make it Latin-1
        charset="utf8mb4",
        sql_mode=SQL_MODE,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        **encryption | {"read_timeout": CONNECT_TIMEOUT_S} | options,
    )
    # pymysql's connect_timeout ends before the greeting: without the limit above it waits for a silent server for ever.
    connection._read_timeout = options.get("read_timeout")
    collation = COLLATION[server_version(connection)[0]]
    with connection.cursor() as cursor:
        # A database made in this session, as DataJoint makes them, has collation_server as its default.
        cursor.execute(f"SET time_zone='+00:00', collation_server='{collation}'")
        cursor.execute(f"SET NAMES utf8mb4 COLLATE {collation}")
    sessions.protect(connection, "mysql")
    return connection


@contextlib.contextmanager
def _explained(address: Address) -> Iterator[None]:
    try:
        yield
    except errors.NeurojointError:
        raise
    except Exception as error:
        if not errors.is_connection_error(error):
            raise
        raise errors.unavailable(error, address.url()) from None
