"""Connections on real servers: what a session is set to, and that every failure is one line that says what to do."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import datajoint as dj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pipeline import errors
from pipeline.database import connection, embedded
from pipeline.database.address import Address, parse_url, without_password
from pipeline.errors import DatabaseUnavailable, InvalidSettings
from pipeline.settings import load
from tests.database import mariadb

pytestmark = pytest.mark.slow

ODD = "p@ss/w:rd%20 #?[]ü'\"\\"


@pytest.fixture(scope="module")
def postgresql_home():
    with tempfile.TemporaryDirectory(prefix="nj-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        embedded.start(home, tcp_port=mariadb.free_port())
        yield home
        embedded.stop(home)


@pytest.fixture(scope="module")
def servers(postgresql_home, tmp_path_factory):
    """Backend -> URL with the password of an administrator, over TCP."""
    port = int((postgresql_home / "postgres" / "postmaster.pid").read_text().splitlines()[3])
    mysql_url, stop = mariadb.start(tmp_path_factory.mktemp("mariadb"))
    yield {"postgresql": embedded.start(postgresql_home, tcp_port=port).url(with_password=True), "mysql": mysql_url}
    stop()


@pytest.fixture(params=["postgresql", "mysql"])
def url(request, servers):
    return servers[request.param]


def failure(url: str, **values) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        connection.open_connection(load(database_url=url, **values)).close()
    text = str(caught.value)
    assert "\n" not in text and caught.value.__cause__ is None and caught.value.remedy
    return text


def test_opens_and_sets_the_session(url):
    with contextlib.closing(connection.open_connection(load(database_url=url))) as opened:
        assert dj.conn() is opened
        assert dj.config["database.backend"] == opened.adapter.backend == opened.address.backend
        assert dj.config["database.port"] == opened.address.port
        assert dj.config["safemode"] is False
        assert opened.query("SELECT 'KS014' = 'ks014', 'a' = 'a ', 1 = 1").fetchone() in [
            (False, False, True),
            (0, 0, 1),
        ]
        if opened.adapter.backend == "postgresql":
            assert opened.query("SHOW timezone").fetchone() == ("UTC",)
            assert opened.server == ("PostgreSQL", "18.4") or opened.server[0] == "PostgreSQL"
        else:
            zone, mode = opened.query("SELECT @@time_zone, @@sql_mode").fetchone()
            assert zone == "+00:00" and "STRICT_ALL_TABLES" in mode
            assert opened.server[0] == "MariaDB"


def test_tables_of_datajoint_tell_capitals_apart(url):
    """A mouse KS014 is not ks014, on either backend, also after DataJoint made schema and table."""
    with contextlib.closing(connection.open_connection(load(database_url=url))) as opened:
        schema = dj.Schema("nj_case", connection=opened)

        @schema
        class Mouse(dj.Manual):
            definition = """
            mouse : varchar(16)
            """

        Mouse.insert([{"mouse": "KS014"}, {"mouse": "ks014"}])
        assert len(Mouse()) == 2
        assert len(Mouse & {"mouse": "ks014"}) == 1
        schema.drop(prompt=False)


def test_nothing_is_created(url):
    before = schemas_of(url)
    connection.open_connection(load(database_url=url)).close()
    assert schemas_of(url) == before


def schemas_of(url: str) -> list:
    with contextlib.closing(connection.raw_connection(parse_url(url))) as raw, raw.cursor() as cursor:
        cursor.execute("SELECT schema_name FROM information_schema.schemata ORDER BY 1")
        return cursor.fetchall()


def test_lost_connection_is_reopened_with_the_same_session(url):
    with contextlib.closing(connection.open_connection(load(database_url=url))) as opened:
        opened._conn.close()
        opened.reopen()
        assert opened.query("SELECT 1").fetchone() == (1,)
        zone = opened.query("SHOW timezone" if opened.adapter.backend == "postgresql" else "SELECT @@time_zone")
        assert zone.fetchone()[0] in ("UTC", "+00:00")


def test_password_with_special_characters(url):
    address = parse_url(url)
    user = "o'dd ü"
    with contextlib.closing(connection.raw_connection(address)) as raw, raw.cursor() as cursor:
        if address.backend == "postgresql":
            cursor.execute('DROP ROLE IF EXISTS "o\'dd ü"')
            cursor.execute('CREATE ROLE "o\'dd ü" LOGIN PASSWORD %s', (ODD,))
        else:
            cursor.execute("CREATE OR REPLACE USER %s@'%%' IDENTIFIED BY %s", (user, ODD))
    encoded = f"{quote(user, safe='')}:{quote(ODD, safe='')}"
    there = f"{address.backend}://{encoded}@{address.host}:{address.port}/{address.database}"
    with contextlib.closing(connection.open_connection(load(database_url=there))) as opened:
        assert opened.query("SELECT 1").fetchone() == (1,)
        assert ODD not in repr(opened) + str(vars(opened).get("conn_info")) + repr(opened.address)
    without = there.replace(encoded, quote(user, safe=""))
    connection.open_connection(load(database_url=without, database_password=ODD)).close()


def test_wrong_password(url):
    wrong = parse_url(url)
    wrong = Address(wrong.backend, wrong.host, wrong.port, wrong.user, SecretStr("n0t-it"), wrong.database)
    text = failure(wrong.url(with_password=True))
    assert "refuses the user or the password" in text and "n0t-it" not in text


def test_server_down():
    for backend in ("postgresql", "mysql"):
        text = failure(f"{backend}://ada:secret@127.0.0.1:{mariadb.free_port()}/x")
        assert "no database server answers" in text and "start it" in text and "secret" not in text


def test_unknown_host():
    for backend in ("postgresql", "mysql"):
        assert "no computer is called nowhere.invalid" in failure(f"{backend}://ada:secret@nowhere.invalid/x")


def test_unknown_database(servers):
    address = parse_url(servers["postgresql"])
    other = Address("postgresql", address.host, address.port, address.user, address.password, "nix")
    assert "the server has no database nix" in failure(other.url(with_password=True))


def test_missing_socket(tmp_path):
    assert "no database answers" in failure(f"postgresql://ada@/x?host={tmp_path}")
    assert "no database server answers" in failure(f"mysql://ada@/?host={tmp_path}/none.sock")


def test_something_else_listens():
    """A port on which no database answers ends in a message too, not in a wait for ever."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        connection_timeout = connection.CONNECT_TIMEOUT_S
        connection.CONNECT_TIMEOUT_S = 2
        try:
            for backend in ("postgresql", "mysql"):
                assert "did not answer" in failure(f"{backend}://ada:secret@127.0.0.1:{port}/x")
        finally:
            connection.CONNECT_TIMEOUT_S = connection_timeout


def test_missing_right_is_explained(url):
    address = parse_url(url)
    with contextlib.closing(connection.raw_connection(address)) as raw, raw.cursor() as cursor:
        if address.backend == "postgresql":
            cursor.execute("DROP ROLE IF EXISTS reader")
            cursor.execute("CREATE ROLE reader LOGIN PASSWORD 'reads'")
        else:
            cursor.execute("CREATE OR REPLACE USER reader@'%' IDENTIFIED BY 'reads'")
    reader = Address(address.backend, address.host, address.port, "reader", SecretStr("reads"), address.database)
    with contextlib.closing(connection.raw_connection(reader)) as raw, raw.cursor() as cursor:
        with pytest.raises(Exception) as caught:  # noqa: PT011 (the two drivers' own classes)
            cursor.execute("CREATE SCHEMA forbidden")
        assert "lacks a right" in errors.explain(caught.value)


def test_connection_that_the_server_ends(url):
    address = parse_url(url)
    with contextlib.closing(connection.raw_connection(address)) as victim, victim.cursor() as cursor:
        number = "pg_backend_pid()" if address.backend == "postgresql" else "CONNECTION_ID()"
        cursor.execute(f"SELECT {number}")
        (session,) = cursor.fetchone()
        with contextlib.closing(connection.raw_connection(address)) as raw, raw.cursor() as other:
            kill = "SELECT pg_terminate_backend(%s)" if address.backend == "postgresql" else "KILL %s"
            other.execute(kill, (session,))
        with pytest.raises(Exception) as caught:  # noqa: PT011 (the two drivers' own classes)
            cursor.execute("SELECT 1")
    assert errors.is_connection_error(caught.value)
    assert "the connection to the database was lost" in errors.explain(caught.value)


def test_old_servers_are_refused():
    for kind, version in [("PostgreSQL", "14.9"), ("MySQL", "5.7.44"), ("MariaDB", "10.6.16")]:
        with pytest.raises(DatabaseUnavailable, match=f"{kind} {version}: it must be"):
            connection.check_version(kind, version)
    for kind, version in [("PostgreSQL", "15.0"), ("MySQL", "8.4.2"), ("MariaDB", "10.11.19"), ("MariaDB", "11.4.2")]:
        connection.check_version(kind, version)


@pytest.mark.skipif(not Path("/usr/lib/postgresql/15/bin/initdb").exists() or os.geteuid() != 0,
                    reason="needs root and Debian's server (apt-get install postgresql-15)")  # fmt: skip
def test_oldest_postgresql(tmp_path):
    from pipeline.database.embedded_account import server_account

    account = server_account(tmp_path / "none")
    with tempfile.TemporaryDirectory(prefix="nj-", dir="/tmp") as folder:
        account.give(Path(folder))
        binaries, data, port = "/usr/lib/postgresql/15/bin", f"{folder}/data", mariadb.free_port()
        made = account.run([f"{binaries}/initdb", "-D", data, "-U", "ada", "--auth=trust"], capture_output=True)
        assert made.returncode == 0, made.stderr
        options = f"-k {folder} -p {port} -c listen_addresses=127.0.0.1"
        control = [f"{binaries}/pg_ctl", "-D", data, "-w", "-l", f"{folder}/log"]
        account.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL)
        try:
            url = f"postgresql://ada@127.0.0.1:{port}/postgres"
            with contextlib.closing(connection.open_connection(load(database_url=url))) as opened:
                assert opened.server[1].startswith("15.")
        finally:
            account.run([*control, "-m", "immediate", "stop"], stdout=subprocess.DEVNULL)


def test_embedded_is_started_where_there_is_no_url(postgresql_home):
    with contextlib.closing(connection.open_connection(load(home=postgresql_home, database_url=None))) as opened:
        assert opened.address.host == str(postgresql_home / "postgres")


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(
    backend=st.sampled_from(["postgresql", "mysql"]), user=texts, password=texts, database=texts,
    host=st.sampled_from(["localhost", "db.lab.org", "127.0.0.1", "::1", "/var/run/my lab"]),
    port=st.integers(1, 65535), tls=st.sampled_from([True, False, None]),
)  # fmt: skip
def test_url_and_address_are_the_same_thing(backend, user, password, database, host, port, tls):
    database = database if backend == "postgresql" else ""
    tls = None if host.startswith("/") else tls
    address = Address(backend, host, port, user, SecretStr(password), database, tls)
    assert parse_url(address.url(with_password=True)) == address
    assert parse_url(address.url(), password=SecretStr(password)) == address


@pytest.mark.parametrize(
    "url",
    ["mysql://:p4ss@h/", "postgresql://ada:p4ss@h", "mysql://ada:p4ss@h:x/", "mysql://ada:p4ss%@h/", "sqlite://ada:p4ss@h/x",
     "mysql://ada:p4ss@h/?what=1", "mysql://ada:p4ss#1@h/", "postgresql://ada:p4ss/1@h/x", "mysql://[ada:p4ss@h/"],
)  # fmt: skip
def test_url_that_cannot_be_read_is_refused_without_its_password(url):
    with pytest.raises(InvalidSettings) as caught:
        parse_url(url)
    assert "p4ss" not in str(caught.value)


def test_no_message_holds_a_password():
    assert "p4ss" not in errors.explain(OSError("mysql://ada:p4ss@h/ went away"))
    assert without_password("x mysql://ada:p4@ss@h/x") == "x mysql://ada:***@h/x"


def test_nothing_behind_a_nul_is_cut_off(database):
    """The driver of PostgreSQL would send what stands before it."""
    with pytest.raises(errors.UserError, match="NUL"):
        database.query("SELECT 'a\0' OR TRUE")


def test_an_interrupt_is_not_taken_for_a_lost_connection(database, monkeypatch):
    """DataJoint's own property catches whatever comes, and said 'Connection failed' after Ctrl-C at that moment."""

    def interrupt(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(database.adapter, "ping", interrupt)
        with pytest.raises(KeyboardInterrupt):
            database.is_connected  # noqa: B018 - the access is the test
        patch.setattr(database.adapter, "ping", lambda _: 1 / 0)
        assert not database.is_connected
    database.reopen()
    assert database.is_connected
