"""How the pipeline does: its status, what was refused and why, what happened last, room on the disks; and retrying."""

from __future__ import annotations

import datetime
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import worker
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.provenance import staleness
from pipeline.schemas import data
from pipeline.settings import Settings
from pipeline.worker import status

logger = logging.getLogger(__name__)

FRESH_S = 4.0  # how old the status may be that all viewers share
STALE_FRESH_S = 120.0  # the same of the comparison of fingerprints, which is slow
REFUSED_SHOWN = 500


@dataclass
class Disk:
    """A place that holds files; sizes in byte."""

    name: str
    path: str
    used: int
    free: int

    @property
    def fraction(self) -> float:
        """How full it is, 0-1."""
        return self.used / (self.used + self.free) if self.used + self.free else 0.0


@dataclass
class Health:
    """Everything that the page shows, at one moment.

    Attributes
    ----------
    refused : rows of data.Quarantine that are not resolved, the latest first, at most `REFUSED_SHOWN`
    n_refused : how many there are
    changes : action -> how often it happened in the last seven days
    runs : the last calls of the registration, the latest first
    database_bytes : of the whole database; None where it does not say
    """

    status: status.Status
    refused: list[dict[str, Any]] = field(default_factory=list)
    n_refused: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)
    database_bytes: int | None = None


class Watch:
    """The health that all viewers of one process share: looked up at most every few seconds, whoever asks.

    Parameters
    ----------
    read : runs a function with a connection of its own (`Site.read`).
    """

    def __init__(self, read: Callable[..., Any], chosen: Settings) -> None:
        self._read, self._chosen = read, chosen
        self._lock = threading.Lock()
        self._found: Health | None = None
        self._looked = self._compared = 0.0
        self._stale: dict[str, int | None] = {}

    def health(self) -> Health:
        """The present state; while one thread looks, the others are given what was found last."""
        if self._found is not None and time.monotonic() - self._looked < FRESH_S:
            return self._found
        if not self._lock.acquire(blocking=self._found is None) and self._found is not None:
            return self._found
        try:
            if self._found is None or time.monotonic() - self._looked >= FRESH_S:
                is_due = time.monotonic() - self._compared >= STALE_FRESH_S or not self._stale
                if is_due:
                    self._stale, self._compared = self._read(count_stale), time.monotonic()
                health = self._read(look)
                health.disks = disks(self._chosen, self._read(_repositories))
                for table in health.status.tables:
                    table.stale = self._stale.get(table.table)
                self._found, self._looked = health, time.monotonic()
            return self._found
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Look again at the next question; for those who have just changed something."""
        self._looked = -FRESH_S


def look() -> Health:
    """The state of the pipeline without stale rows and disks: a handful of queries."""
    health = Health(status.collect(stale=False))
    names = [
        "lab", "subject", "session_date", "session_number", "quarantine_path", "quarantine_column", "reason", "detail",
        "remedy", "first_seen", "last_seen",
    ]  # fmt: skip
    rows = _rows(
        fetch_columns(data.Quarantine & "resolved IS NULL", *names, order_by="last_seen DESC, quarantine_path")
    )
    health.n_refused, health.refused = len(rows), rows[:REFUSED_SHOWN]
    since = health.status.taken - datetime.timedelta(days=7)
    changes = fetch_columns(data.Change & f"change_time >= '{since:%Y-%m-%d %H:%M:%S}'", "change_action")
    counts = changes["change_action"].value_counts().to_pylist()
    health.changes = {count["values"]: count["counts"] for count in sorted(counts, key=lambda one: -one["counts"])}
    runs = fetch_columns(data.IngestRun, "run_start", "run_end", "run_root", "run_host", "run_user")
    health.runs = _rows(runs.sort_by([("run_start", "descending")]).slice(0, 5))
    health.database_bytes = _database_bytes()
    return health


def count_stale() -> dict[str, int | None]:
    """Populated table -> rows made from what has changed since; tables that cannot be stale are left out."""
    return {
        registry.label(table): len(staleness.stale_keys(table))
        for table in registry.populated_tables()
        if hasattr(table, "fingerprint")
    }


def disks(chosen: Settings, roots: dict[str, str]) -> list[Disk]:
    """The room where the home, the data root and the local repositories are, each file system once.

    Parameters
    ----------
    roots : name -> folder of the local repositories.
    """
    places = {"home": str(chosen.home)}
    if chosen.data_root is not None:
        places["data"] = str(chosen.data_root)
    by_device: dict[int, Disk] = {}
    for name, folder in (places | roots).items():
        try:
            device = Path(folder).stat().st_dev
            usage = shutil.disk_usage(folder)
        except OSError:  # it is on another computer
            continue
        if device in by_device:
            by_device[device].name += f", {name}"
        else:
            by_device[device] = Disk(name, folder, usage.used, usage.free)
    return list(by_device.values())


def retry(table: str, like: str, user: str) -> int:
    """Give failed jobs of a table back to the workers, and write down who did; returns how many.

    Parameters
    ----------
    table : label of a populated table; "" for all.
    like : only those whose message contains this text; "" for all.
    user : who wants it.
    """
    tables = worker.tables_named([table]) if table else registry.populated_tables()
    given = worker.retry(tables, like or None)
    for label, n_jobs in given.items():
        words = f"{n_jobs} failed jobs given back" + (f" whose message contains: {like}" if like else "")
        data.Change.record([data.ChangeNote("retried", label, words)], user)
        logger.info("%s: %s of %s", user, words, label)
    return sum(given.values())


def fragment(what: str) -> str:
    """The longest part of a message without particulars (`Problem.what`) that every message of its group contains.

    >>> fragment("InvalidData: …/x.npy: N rows, not N: extract again")
    ': extract again'
    >>> fragment("MemoryError")
    'MemoryError'
    """
    parts = re.split(r"…/|(?<![\w.])N(?![\w])", what)
    return max(parts, key=len).strip(" ") if parts else what


def _repositories() -> dict[str, str]:
    rows = _rows(fetch_columns(data.Repository & "repository_kind = 'local'", "repository", "repository_root"))
    return {row["repository"]: row["repository_root"] for row in rows}


def _database_bytes() -> int | None:
    connection = data.Change().connection
    if connection.adapter.backend == "postgresql":
        return connection.query("SELECT pg_database_size(current_database())").fetchone()[0]
    prefix = data.Change().database.removesuffix("data")
    sql = "SELECT sum(data_length + index_length) FROM information_schema.tables WHERE table_schema LIKE %s"
    size = connection.query(sql, (prefix.replace("_", r"\_") + "%",)).fetchone()[0]
    return None if size is None else int(size)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    return table.to_pylist()
