"""A backup brought back gives the same rows, on both backends; a bad file changes nothing."""

from __future__ import annotations

import contextlib
import re
import stat
import tempfile
from pathlib import Path

import datajoint as dj
import pytest
from click.testing import CliRunner

from neurojoint.cli import main
from pipeline.database import backup, connection, embedded
from pipeline.database.address import parse_url
from pipeline.database.backup import BackupError
from pipeline.settings import override
from tests.database import mariadb

pytestmark = pytest.mark.slow

PREFIX = "njback_"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    mysql_url, stop = mariadb.start(tmp_path_factory.mktemp("mariadb"))
    with tempfile.TemporaryDirectory(prefix="nj-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        yield {"postgresql": embedded.start(home).url(with_password=True), "mysql": mysql_url}
        embedded.stop(home)
    stop()


@pytest.fixture(params=["postgresql", "mysql"])
def chosen(request, servers):
    """Settings of a server that holds two schemas with a foreign key, text of all kinds, bytes, NULL and an enum."""
    with override(database_url=servers[request.param], prefix=PREFIX) as values:
        drop(values)
        with contextlib.closing(connection.open_connection(values)) as opened:
            declare(opened)
        yield values
        drop(values)


def address_of(values):
    return parse_url(values.database_url.get_secret_value())


def execute(values, *statements):
    with contextlib.closing(connection.raw_connection(address_of(values))) as raw, raw.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def drop(values):
    cascade = " CASCADE" if address_of(values).backend == "postgresql" else ""
    for name in reversed(backup.schemas_in_database(address_of(values), values.prefix)):
        foreign = [] if cascade else ["SET FOREIGN_KEY_CHECKS=0"]
        execute(values, *foreign, f"DROP SCHEMA {name}{cascade}")


def declare(opened):
    lab = dj.Schema(PREFIX + "lab", connection=opened)

    @lab
    class Mouse(dj.Manual):
        definition = """
        # a mouse; with a semicolon
        mouse : varchar(16)
        ---
        sex='U'      : enum('M','F','U')
        weight=null  : float64
        note         : varchar(200)
        picture=null : <blob>
        """

    session = dj.Schema(PREFIX + "session", connection=opened)

    @session
    class Session(dj.Manual):
        definition = """
        -> Mouse
        number : int32
        ---
        start_time=null : datetime(6)
        """

    Mouse.insert(
        [
            {"mouse": "KS014", "sex": "F", "weight": 0.1 + 0.2, "note": "quote ' \" \\ tab\t line\n ü 🐁 ; --"},
            {"mouse": "ks014", "sex": "U", "weight": None, "note": ""},
        ]
    )
    Mouse.insert1({"mouse": "seen", "note": "x", "picture": {"pixels": list(range(300))}})
    Session.insert(
        {"mouse": "KS014", "number": i, "start_time": "2026-01-02 03:04:05.678901" if i % 2 else None}
        for i in range(500)
    )


def contents(values) -> dict:
    """Every row of every table, read by the driver."""
    tables = execute(
        values, "SELECT table_schema, table_name FROM information_schema.tables "
        f"WHERE table_schema LIKE '{PREFIX}%' ORDER BY 1, 2",
    )  # fmt: skip
    quote = '"' if address_of(values).backend == "postgresql" else "`"
    rows = {}
    for schema, table in tables:
        result = execute(values, f"SELECT * FROM {quote}{schema}{quote}.{quote}{table}{quote}")
        rows[schema, table] = sorted(str([bytes(v) if isinstance(v, memoryview) else v for v in row]) for row in result)
    assert len(rows) >= 2 and sum(map(len, rows.values())) >= 502
    return rows


def test_same_rows_come_back(chosen, tmp_path):
    before, file = contents(chosen), tmp_path / "lab.backup"
    assert backup.backup(address_of(chosen), PREFIX, file) == [PREFIX + "lab", PREFIX + "session"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert backup.schemas_in_file(file) == [PREFIX + "lab", PREFIX + "session"]
    drop(chosen)
    backup.restore(address_of(chosen), PREFIX, file)
    assert contents(chosen) == before
    # The foreign key is back too.
    with pytest.raises(Exception, match="(?i)foreign key"):
        execute(chosen, f"DELETE FROM {PREFIX}lab.mouse WHERE mouse = 'KS014'")


def test_a_database_that_holds_something_is_replaced_only_by_force(chosen, tmp_path):
    before, file = contents(chosen), tmp_path / "lab.backup"
    backup.backup(address_of(chosen), PREFIX, file)
    execute(chosen, f"UPDATE {PREFIX}lab.mouse SET note = 'changed'", f"CREATE SCHEMA {PREFIX}later")
    with pytest.raises(BackupError, match=f"already holds .*{PREFIX}later.*--force"):
        backup.restore(address_of(chosen), PREFIX, file)
    backup.restore(address_of(chosen), PREFIX, file, replace=True)
    assert contents(chosen) == before
    assert backup.schemas_in_database(address_of(chosen), PREFIX) == [PREFIX + "lab", PREFIX + "session"]


def test_damaged_file_changes_nothing(chosen, tmp_path):
    before, file = contents(chosen), tmp_path / "lab.backup"
    backup.backup(address_of(chosen), PREFIX, file)
    whole = file.read_bytes()
    for length in (len(whole) // 3, len(whole) * 2 // 3, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(BackupError):
            backup.restore(address_of(chosen), PREFIX, file, replace=True)
        assert contents(chosen) == before


def test_nothing_is_overwritten_and_nothing_half_made_stays(chosen, tmp_path):
    file = tmp_path / "lab.backup"
    file.write_text("mine")
    with pytest.raises(BackupError, match="exists already"):
        backup.backup(address_of(chosen), PREFIX, file)
    assert file.read_text() == "mine"
    with pytest.raises(BackupError, match="no pipeline with the prefix other_"):
        backup.backup(address_of(chosen), "other_", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["lab.backup"]


def test_files_that_do_not_fit_are_refused(chosen, tmp_path):
    file = tmp_path / "lab.backup"
    backup.backup(address_of(chosen), PREFIX, file)
    with pytest.raises(BackupError, match=f"{PREFIX}lab, which does not begin with other_"):
        backup.restore(address_of(chosen), "other_", file)
    stranger = tmp_path / "stranger"
    stranger.write_text("SELECT 1;")
    with pytest.raises(BackupError, match="not a backup"):
        backup.restore(address_of(chosen), PREFIX, stranger)


def test_backup_of_the_other_kind_of_database(servers, tmp_path):
    for kind, other in [("postgresql", "mysql"), ("mysql", "postgresql")]:
        with override(database_url=servers[kind], prefix=PREFIX) as values:
            drop(values)
            with contextlib.closing(connection.open_connection(values)) as opened:
                declare(opened)
            backup.backup(address_of(values), PREFIX, tmp_path / kind)
            drop(values)
        with pytest.raises(BackupError, match=f"not a backup of a {other} database"):
            backup.restore(parse_url(servers[other]), PREFIX, tmp_path / kind)


def test_commands(chosen, tmp_path):
    run, file = CliRunner().invoke, str(tmp_path / "lab.backup")
    before = contents(chosen)
    made = run(main, ["db", "backup", file])
    assert made.exit_code == 0 and "2 schemas" in made.output
    again = run(main, ["db", "backup", file])
    assert again.exit_code == 1 and re.fullmatch(r"neurojoint: .* exists already: .*\n", again.stderr)
    refused = run(main, ["db", "restore", file])
    assert refused.exit_code == 1 and "--force" in refused.stderr
    declined = run(main, ["db", "restore", "--force", file], input="n\n")
    assert declined.exit_code == 1 and contents(chosen) == before
    accepted = run(main, ["db", "restore", "--force", file], input="y\n")
    assert accepted.exit_code == 0, accepted.output
    assert contents(chosen) == before


def test_url_hides_the_password_unless_asked(chosen):
    secret = address_of(chosen).password.get_secret_value()
    shown = CliRunner().invoke(main, ["db", "url"]).output
    assert "://neurojoint@" in shown
    if secret:
        assert secret not in shown
        assert secret in CliRunner().invoke(main, ["db", "url", "--with-password"]).output


def test_shell_command_reaches_the_database(chosen):
    import os
    import subprocess

    command, secrets = backup.shell_command(address_of(chosen))
    option = "-c" if address_of(chosen).backend == "postgresql" else "-e"
    done = subprocess.run([*command, option, "SELECT 41 + 1"], env=os.environ | secrets, capture_output=True, text=True)
    assert "42" in done.stdout, done.stderr
    assert not any(
        address_of(chosen).password.get_secret_value() in part for part in command if secrets.get("MYSQL_PWD")
    )
