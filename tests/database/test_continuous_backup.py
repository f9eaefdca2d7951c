"""Backups that hold every moment: the database is brought back in another home as it was at a time."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.database import continuous_backup, embedded
from pipeline.database.backup import BackupError
from pipeline.database.connection import raw_connection

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    """As root the server is another user's, who may not enter pytest's own folders."""
    path = Path(tempfile.mkdtemp(prefix="neurojoint-backup-"))
    path.chmod(0o711)
    yield path
    for home in ("home", "then", "now"):
        embedded.stop(path / home)
    shutil.rmtree(path, ignore_errors=True)


def ask(home: Path, sql: str) -> list[tuple]:
    with contextlib.closing(raw_connection(embedded.start(home))) as raw, raw.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_the_database_comes_back_as_it_was_at_any_moment(folder):
    home, kept = folder / "home", folder / "kept"
    ask(home, "CREATE TABLE t (n int)")
    ask(home, "INSERT INTO t VALUES (1)")
    first = continuous_backup.backup(home, kept)
    ask(home, "INSERT INTO t VALUES (2)")
    time.sleep(0.05)
    moment = ask(home, "SELECT CLOCK_TIMESTAMP()")[0][0]
    time.sleep(0.05)
    ask(home, "INSERT INTO t VALUES (3)")
    second = continuous_backup.backup(home, kept)
    assert (first.previous, second.previous) == (None, first.name)
    ask(home, "INSERT INTO t VALUES (4)")
    wal = ask(home, "SELECT pg_walfile_name(pg_switch_wal())")[0][0]
    end = time.monotonic() + 60
    while not (kept / "wal" / wal).exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert continuous_backup.restore(kept, folder / "then", moment) == first
    assert ask(folder / "then", "SELECT n FROM t ORDER BY n") == [(1,), (2,)]
    assert continuous_backup.restore(kept, folder / "now") == second
    assert ask(folder / "now", "SELECT n FROM t ORDER BY n") == [(1,), (2,), (3,), (4,)]
    ask(folder / "now", "INSERT INTO t VALUES (5)")
    with pytest.raises(BackupError, match="there is a database"):
        continuous_backup.restore(kept, folder / "now")
    with pytest.raises(BackupError, match="do not go back"):
        continuous_backup.restore(kept, folder / "never", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))


def test_folders_whose_name_a_shell_would_read_are_refused(tmp_path):
    with pytest.raises(BackupError, match="holds a sign"):
        continuous_backup.backup(tmp_path / "home", tmp_path / "$(touch x)")
