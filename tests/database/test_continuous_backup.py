"""Backups that hold every moment: the database is brought back in another home as it was at a time."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
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


BACKUP = """
import sys
from pathlib import Path
from pipeline.database import continuous_backup
continuous_backup.backup(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def copying(folder: Path) -> list[psutil.Process]:
    """The programs that write a copy below the folder."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        if process.info["name"] == "pg_basebackup" and process.info["status"] != psutil.STATUS_ZOMBIE:
            found += [process] if any(str(folder) in word for word in process.info["cmdline"] or ()) else []
    return found


def test_an_interrupted_backup_leaves_neither_program_nor_folder(folder):
    """pg_basebackup has a second process for the log, which went on alone and made the folder again."""
    home, kept = folder / "home", folder / "kept"
    ask(home, "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 1000000) AS n")
    for _ in range(3):
        backup = subprocess.Popen([sys.executable, "-c", BACKUP, home, kept], stderr=subprocess.PIPE)
        while len(copying(kept)) < 2:
            assert backup.poll() is None, backup.stderr.read()
        backup.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in backup.communicate(timeout=60)[1]
        assert not copying(kept)
        assert not list((kept / "copies").iterdir())


def test_folders_whose_name_a_shell_would_read_are_refused(tmp_path):
    with pytest.raises(BackupError, match="holds a sign"):
        continuous_backup.backup(tmp_path / "home", tmp_path / "$(touch x)")
