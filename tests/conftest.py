"""Real databases for the tests: one embedded PostgreSQL and one MariaDB a run, emptied before each test."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import datajoint as dj
import hypothesis
import pytest

import pipeline
from pipeline import settings
from pipeline.database import registry
from tests.chromium import chromium  # noqa: F401 - pytest finds it here
from tests.database import mariadb

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # of a shell's background: the commands under test inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = Path(__file__).parents[2] / "shared" / "realdata" / "alf"


# A busy computer takes a second for what takes a millisecond: how long an example took says nothing of the program.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Property tests draw the same examples in each run, so that a run says something of the change that it tests.

    New examples are drawn with `-m soak`, and with `--hypothesis-profile=default`.
    """
    if not config.getoption("--hypothesis-profile") and "soak" not in config.getoption("-m").replace("not soak", ""):
        hypothesis.settings.load_profile("repeatable")


NOT_QUICK = {"server", "served", "browser", "chromium"}
"""Fixtures that start a database, a site or a browser."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick part (`-m "not slow"`) needs no database and no browser, and leaves out what `soak` marks.

    What no database can change (`one_database`) is tested on the second one at length only.
    """
    for item in items:
        parameters = getattr(item, "callspec", None)
        is_second = parameters is not None and parameters.params.get("server") == "mysql"
        if NOT_QUICK & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.slow)
        if is_second and item.get_closest_marker("one_database"):
            item.add_marker(pytest.mark.soak)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick part does not even import files of which each test is slow."""
    if config.getoption("-m") != "not slow" or not collection_path.name.startswith("test_"):
        return None
    return WHOLLY_SLOW.search(collection_path.read_text(encoding="utf-8")) is not None or None


WHOLLY_SLOW = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)


@pytest.fixture
def real_data() -> Path:
    """The folder of real recordings; tests are skipped where it is not."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real recordings at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(scope="session", params=["postgresql", "mysql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """Settings that lead to a running server with all tables declared, once for each backend."""
    if request.param == "postgresql":
        from pipeline.database import embedded

        # as root the server runs as another user, which cannot enter pytest's private folders
        home = Path(tempfile.mkdtemp(prefix="neurojoint-"))
        home.chmod(0o711)

        def stop() -> None:
            embedded.stop(home)
            shutil.rmtree(home, ignore_errors=True)

        with contextlib.closing(embedded._connect(embedded.start(home))) as raw:
            raw.autocommit = True  # no test takes the computer's power away
            raw.cursor().execute("ALTER SYSTEM SET fsync = off")
            raw.cursor().execute("SELECT pg_reload_conf()")
        chosen = {"home": home}
    else:
        url, stop = mariadb.start(tmp_path_factory.mktemp("mariadb"))
        chosen = {"database_url": url, "home": tmp_path_factory.mktemp("home")}
    with settings.override(**chosen):
        connection = pipeline.connect()
        yield chosen
        if connection.is_connected:  # a test may have left it for a new one
            connection.close()
    stop()


@pytest.fixture
def database(server: dict[str, object]) -> dj.Connection:
    """An open connection to empty tables (lookups have their contents), bound to the schema modules."""
    with settings.override(**server):
        connection = dj.conn()
        if not connection.is_connected:
            connection = pipeline.connect()
        empty_tables(connection)
        yield connection
        if connection.in_transaction:
            connection.cancel_transaction()


def empty_tables(connection: dj.Connection) -> None:
    """Delete all rows; what the migrations wrote, and what ships with the program, stays.

    Only tables that have rows are touched, and lookups only where they differ from what ships with the program.
    """
    written = [table for table in registry.tables() if not hasattr(table, "constant")]
    lookups = [table for table in written if getattr(table, "contents", None)]
    names = [name for table in written if table not in lookups for name in _names(table)]
    names += [registry.jobs_name(table()) for table in registry.populated_tables()]
    shipped = vars(connection).setdefault(SHIPPED, {})
    digests = _digests(connection, [name for table in lookups for name in _names(table)])
    changed = [table for table in lookups if any(shipped.get(name) != digests[name] for name in _names(table))]
    names += [name for table in changed for name in _names(table)]
    _empty(connection, [name for name in names if "_migration" not in name])
    for table in changed:
        table.insert(table.contents)
    shipped |= _digests(connection, [name for table in changed for name in _names(table)])


SHIPPED = "shipped_rows_of_tests"
"""An attribute of connections: table -> digest of the rows that ship with the program."""


def _names(table: type[dj.Table]) -> list[str]:
    """The full names of a table and its parts."""
    return [table.full_table_name, *(part.full_table_name for part in registry.parts(table))]


def _digests(connection: dj.Connection, names: list[str]) -> dict[str, str]:
    """Table -> digest of all its rows."""
    if not names:
        return {}
    if connection.adapter.backend == "postgresql":
        digest = "SELECT coalesce(sum(hashtextextended(t::text, 0)), 0)::text || ' ' || count(*) FROM {} AS t"
        selects = ", ".join(f"({digest.format(name)})" for name in names)
        return dict(zip(names, connection.query(f"SELECT {selects}").fetchone(), strict=True))
    return {
        name: str(row[1])
        for name, row in zip(names, connection.query(f"CHECKSUM TABLE {', '.join(names)}").fetchall(), strict=True)
    }


def _empty(connection: dj.Connection, names: list[str]) -> None:
    """Delete the rows of tables, whatever refers to them."""
    selects = ", ".join(f"EXISTS (SELECT 1 FROM {name})" for name in names)
    filled = [name for name, has in zip(names, connection.query(f"SELECT {selects}").fetchone(), strict=True) if has]
    if not filled:
        return
    off, on = (
        ("session_replication_role = replica", "session_replication_role = origin")
        if connection.adapter.backend == "postgresql"
        else ("FOREIGN_KEY_CHECKS = 0", "FOREIGN_KEY_CHECKS = 1")
    )
    connection.query(f"SET {off}")
    for name in filled:
        connection.query(f"DELETE FROM {name}")
    connection.query(f"SET {on}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Where NEUROJOINT_REQUIRE_ALL is set (CI), a test that is skipped for want of a real part has failed."""
    report = yield
    if report.skipped and os.environ.get("NEUROJOINT_REQUIRE_ALL") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "apt-get install" in reason or "no real recordings" in reason:
            report.outcome, report.longrepr = "failed", f"{reason} (NEUROJOINT_REQUIRE_ALL is set)"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seconds that the tests of each folder took, to be held against the budgets in CONTRIBUTING.md."""
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                parts = Path(report.nodeid.partition("::")[0]).parts[:-1]
                folder = "/".join(parts[:2] if parts[:1] == ("tests",) else parts[:1])
                seconds[folder] = seconds.get(folder, 0) + report.duration
    terminalreporter.section("seconds per folder, over all processes")
    for folder, total in sorted(seconds.items(), key=lambda item: -item[1]):
        terminalreporter.write_line(f"{total:8.0f}  {folder}")
