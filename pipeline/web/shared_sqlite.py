"""SQLite files that several processes and threads of this computer open at the same moment."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

OPEN_PATIENCE = 60.0  # s that opening goes on while others hold the file
_PAUSE = 0.02  # s between two attempts


def open_shared(
    path: Path, prepare: Callable[[sqlite3.Connection], None], *, check_same_thread: bool = True
) -> sqlite3.Connection:
    """A connection in write-ahead mode to a file that is made with mode 600 if it is not there.

    The first switch to write-ahead logging needs the file for itself, and SQLite does not wait for it (its busy
    timeout does not apply there): of two processes that open a new file together one is told that it is locked.
    Opening is tried again until it succeeds.

    Parameters
    ----------
    prepare : creates the tables; called again where the file was locked meanwhile.

    Raises
    ------
    sqlite3.OperationalError
        The file stayed locked for `OPEN_PATIENCE`, or cannot be read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # O_EXCL: closing any descriptor of an existing file would release the locks this process holds on it
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    end = time.monotonic() + OPEN_PATIENCE
    store = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=check_same_thread)
    while True:
        try:
            store.execute("PRAGMA journal_mode=WAL")
            prepare(store)
            return store
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or (
                time.monotonic() > end
            ):
                store.close()
                raise
            time.sleep(_PAUSE)


@contextmanager
def write(store: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction that holds the file from its beginning; undone where the block raises."""
    store.execute("BEGIN IMMEDIATE")
    try:
        yield store
    except BaseException:
        store.execute("ROLLBACK")
        raise
    store.execute("COMMIT")
