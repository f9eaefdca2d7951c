"""Limits how often somebody may try to sign in: counted when an attempt begins, over all processes of this computer."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from pathlib import Path

from pipeline.web import shared_sqlite

NAME_LIMIT, NAME_WINDOW = 50, 3600.0  # attempts for one name from computers that it never signed in from; s
KNOWN_FOR = 30 * 86400.0  # s that a computer counts as known to a name after signing in

_TABLES = """
CREATE TABLE IF NOT EXISTS attempt (at REAL NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS attempt_at ON attempt (at);
CREATE TABLE IF NOT EXISTS known (name TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (name, address));
"""


class Throttle:
    """Counts attempts: `limit` within `window` for one name from one address, 5 times that from one address.

    For one name from anywhere `NAME_LIMIT` attempts an hour are allowed; computers from which that name has signed in
    lately do not count and are not shut out, so that nobody can lock out another person by guessing.

    Parameters
    ----------
    limit : attempts within `window` after which the next has to wait.
    window : s.
    path : a file that all processes share; None: this process alone.
    """

    def __init__(self, limit: int = 5, window: float = 60.0, path: Path | None = None) -> None:
        self.limit, self.window, self._path = limit, window, path
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None

    def begin(self, address: str, name: str) -> float:
        """Count an attempt that begins now; 0 where it may go on, else how many seconds it has to wait, uncounted."""
        now, name = time.time(), _digest(name)
        with self._lock, shared_sqlite.write(self._store()) as store:
            store.execute("DELETE FROM attempt WHERE at < ? OR at > ?", (now - NAME_WINDOW, now + 60))
            waits = [
                self._wait(store, now, self.limit, self.window, "address = ? AND name = ?", (address, name)),
                self._wait(store, now, 5 * self.limit, self.window, "address = ?", (address,)),
            ]
            is_known = store.execute(
                "SELECT 1 FROM known WHERE name = ? AND address = ? AND at > ?", (name, address, now - KNOWN_FOR)
            ).fetchone()
            if not is_known:
                strange = (
                    "name = ? AND NOT EXISTS (SELECT 1 FROM known WHERE known.name = attempt.name "
                    "AND known.address = attempt.address)"
                )
                waits.append(self._wait(store, now, NAME_LIMIT, NAME_WINDOW, strange, (name,)))
            if max(waits) <= 0:
                store.execute("INSERT INTO attempt VALUES (?, ?, ?)", (now, name, address))
        return max(waits)

    def succeeded(self, address: str, name: str) -> None:
        """Forget the attempts of this name at this address, which is known to it from now on."""
        name = _digest(name)
        with self._lock, shared_sqlite.write(self._store()) as store:
            store.execute("DELETE FROM attempt WHERE name = ? AND address = ?", (name, address))
            store.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", (name, address, time.time()))
            store.execute("DELETE FROM known WHERE at < ?", (time.time() - KNOWN_FOR,))

    def _wait(
        self, store: sqlite3.Connection, now: float, limit: int, window: float, where: str, values: tuple[str, ...]
    ) -> float:
        row = store.execute(
            f"SELECT at FROM attempt WHERE {where} AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",  # noqa: S608
            (*values, now - window, limit - 1),
        ).fetchone()
        return row[0] + window - now if row else 0.0

    def _store(self) -> sqlite3.Connection:
        if self._open is None:
            if self._path is None:
                self._open = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                _prepare(self._open)
            else:
                self._open = shared_sqlite.open_shared(self._path, _prepare, check_same_thread=False)
        return self._open


def _prepare(store: sqlite3.Connection) -> None:
    store.execute("PRAGMA synchronous=OFF")  # a power cut may forget attempts
    store.executescript(_TABLES)


def _digest(name: str) -> str:
    """Some type their password where the name belongs: neither is written down."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
