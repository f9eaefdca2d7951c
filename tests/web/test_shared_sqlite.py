"""A file that many open at once is made once, for its owner only, and nobody is told that it is locked."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from pipeline.web.shared_sqlite import open_shared, write


def _prepare(store: sqlite3.Connection) -> None:
    store.executescript("CREATE TABLE IF NOT EXISTS entry (number INTEGER)")


@pytest.mark.slow
def test_those_who_open_a_new_file_together_all_write(tmp_path: Path):
    for attempt in range(30):
        path, barrier = tmp_path / f"{attempt}.sqlite", threading.Barrier(6)

        def work(number: int, path: Path = path, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            with write(open_shared(path, _prepare)) as store:
                store.execute("INSERT INTO entry VALUES (?)", (number,))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        rows = sqlite3.connect(path).execute("SELECT number FROM entry ORDER BY number").fetchall()
        assert rows == [(number,) for number in range(6)]
        assert path.stat().st_mode & 0o077 == 0


def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path):
    store = open_shared(tmp_path / "a.sqlite", _prepare)
    with pytest.raises(ZeroDivisionError), write(store):
        store.execute("INSERT INTO entry VALUES (1)")
        raise ZeroDivisionError
    assert store.execute("SELECT count(*) FROM entry").fetchone() == (0,)


def test_a_file_of_another_kind_is_an_error_at_once(tmp_path: Path):
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        open_shared(tmp_path / "text", _prepare)
