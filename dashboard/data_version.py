"""Version numbers of what the tables hold: pages ask again only when one has changed."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import data

FRESH_S = 4.0  # how old the answer may be that all viewers share
POLL_MS = 10_000  # how often a browser asks


class Versions:
    """The version of everything the pages show, looked up at most every few seconds whoever asks."""

    def __init__(self, read: Callable[[Callable[[], str]], str]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._looked = -FRESH_S
        self._version = ""

    def version(self) -> str:
        """A short text that changes when a session, a result, a weighing or a mouse is added, changed or removed."""
        now = time.monotonic()
        if now - self._looked < FRESH_S:
            return self._version
        if self._version and not self._lock.acquire(blocking=False):
            return self._version  # another thread is looking
        elif not self._version:
            self._lock.acquire()
        try:
            if time.monotonic() - self._looked >= FRESH_S:
                self._version = self._read(look)
                self._looked = time.monotonic()
        finally:
            self._lock.release()
        return self._version

    def forget(self) -> None:
        """Look again at the next question; for those who have just written."""
        self._looked = -FRESH_S


NOT_SHOWN = ("task", "data")
"""Schemas whose tables change all the time, or are large, without a page showing it; of `data` the changes count."""


def look() -> str:
    """The version that the tables have now: of each the fingerprints of its rows, or how many there are."""
    connection = data.Change().connection
    quote = connection.adapter.quote_identifier
    is_postgresql = connection.adapter.backend == "postgresql"

    def digest(column: str) -> str:
        """Of the values of a column, whatever their order."""
        name = quote(column)
        return f"sum(('x' || substr({name}, 1, 8))::bit(32)::bigint)" if is_postgresql else f"sum(crc32({name}))"

    asked: list[tuple[type[dj.Table], str]] = [(data.Change, "max(change_time)")]
    for table in registry.tables():
        if registry.label(table).partition(".")[0] not in NOT_SHOWN and not issubclass(table, dj.Lookup):
            column = getattr(table, "fingerprint", None)
            asked.append((table, digest(column) if column else "count(*)"))
    selects = ", ".join(f"(SELECT {what} FROM {table().full_table_name})" for table, what in asked)
    row = connection.query(f"SELECT {selects}").fetchone()
    return hashlib.md5(repr([str(value) for value in row]).encode(), usedforsecurity=False).hexdigest()[:12]
