"""The queue of what is to be computed, over all tables in dependency order.

One process at a time fills it (`Queue.schedule`), under a lock that nobody waits for; any number of processes take
from it (`Queue.claim`).
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import datajoint as dj

from pipeline.database import headings, registry
from pipeline.errors import UserError
from pipeline.worker import heartbeat, locks
from pipeline.worker.jobs import CLAIMABLE, TableJobs

_LONG_FILLING_SECONDS = 60
_LOOK_SECONDS = 0.5  # for which it is believed which tables have jobs, as long as there are some

logger = logging.getLogger(__name__)


@dataclass
class Pass:
    """What one filling of the queue did, and what it left; dicts are table label -> number of jobs, without zeros.

    Attributes
    ----------
    queued : new jobs
    removed : jobs that nobody needs any more
    recovered : jobs taken from the dead, or given back after an interruption
    outdated : rows of rolling tables that were deleted because what they sum up has changed
    pending : jobs that can be claimed now
    running : jobs that live workers are at
    """

    queued: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    recovered: dict[str, int] = field(default_factory=dict)
    outdated: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """True where nothing is to be done and nobody is doing anything that could lead to more."""
        return not self.pending and not self.running


class _Look(NamedTuple):
    """What there is to be done at a table."""

    has_jobs: bool
    has_errors: bool  # jobs that failed
    has_keys: bool  # rows in each of the tables whose keys its own is made of; else it can have none


class Queue:
    """The job tables of some tables, in dependency order, on one connection.

    Parameters
    ----------
    tables : Imported and Computed tables that are bound to a connection; all of one connection.
    """

    def __init__(self, tables: Sequence[type[dj.Table]]) -> None:
        headings.read_ahead([*registry.every_table(), *map(registry.jobs_of, tables)])
        self.jobs = [TableJobs(table) for table in tables]
        self.connection: dj.Connection = self.jobs[0].connection
        self._not_alive: set[tuple[str, int]] = set()
        self._refused_since: float | None = None
        self._has_scheduled = False
        self._ready: list[int] = []  # the tables that had jobs when last looked at, the most urgent first
        self._looked = 0.0
        depths: dict[str, int] = {}
        for number, table_jobs in enumerate(self.jobs):
            above = table_jobs.table.ancestors()
            before = [other for other in self.jobs[:number] if other.table.full_table_name in above]
            if getattr(table_jobs.table, "rolling", False):
                table_jobs.upstream = [other for other in self.jobs[:number] if other.leads_to(table_jobs)]
                before += table_jobs.upstream
            depths[table_jobs.label] = max((depths[other.label] + 1 for other in before), default=0)
        # Tables that depend on others come first: animals are complete one by one; else in the order of the modules.
        self._by_urgency = sorted(range(len(self.jobs)), key=lambda number: -depths[self.jobs[number].label])

    def schedule(self) -> Pass | None:
        """Bring the queue up to date; None where another process is at it at this moment.

        In dependency order, for each table: jobs of keys that vanished are removed, rows of rolling tables that are
        outdated are deleted, and a job is added for each key that has neither a row nor a job. The jobs of dead
        workers become free.
        """
        with self._lock() as is_mine:
            if not is_mine:
                return None
            done = Pass()
            self._ready = []
            looks = self._look_at_all()
            self._recover(done, looks)
            for table_jobs, look in zip(self.jobs, looks, strict=True):
                if look.has_jobs:
                    _note(done.removed, table_jobs.label, table_jobs.remove_unneeded())
                if table_jobs.upstream is not None:
                    if look.has_jobs:
                        table_jobs.hold_back()
                    _note(done.outdated, table_jobs.label, table_jobs.delete_outdated())
                if look.has_keys:
                    _note(done.queued, table_jobs.label, table_jobs.add_new())
            for table_jobs, status, host, pid, n_jobs in self._counts():
                if status == "pending":
                    _note(done.pending, table_jobs.label, n_jobs)
                elif (host, pid) not in self._not_alive:  # whoever came since then is alive
                    _note(done.running, table_jobs.label, n_jobs)
            return done

    def claim(self, limits: dict[str, int] | None = None) -> tuple[TableJobs, list[dict[str, Any]]] | None:
        """Reserve some jobs of one table for this process: of those that have any, the one that depends on most others.

        Parameters
        ----------
        limits : table label -> how many jobs at most; one where nothing is said.

        Returns
        -------
        The table's jobs and the reserved keys in the order to compute them in, or None where nothing can be claimed.
        Jobs that another process is about to reserve are passed over, not waited for.
        """
        if time.monotonic() - self._looked < _LOOK_SECONDS and (claimed := self._claim_one(limits or {})):
            return claimed
        self._look()
        return self._claim_one(limits or {})

    def _claim_one(self, limits: dict[str, int]) -> tuple[TableJobs, list[dict[str, Any]]] | None:
        """Reserve jobs of the first table that had some; tables that have no more are forgotten."""
        while self._ready:
            table_jobs = self.jobs[self._ready[0]]
            limit = limits.get(table_jobs.label, 1)
            keys = table_jobs.claim(limit)
            if len(keys) < limit:
                del self._ready[0]
            if keys:
                return table_jobs, keys
        return None

    def _look(self) -> None:
        """Find out which tables have jobs."""
        has_jobs = self.connection.query(
            "SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {job.name} WHERE {CLAIMABLE})" for job in self.jobs)
        ).fetchone()
        self._ready = [number for number in self._by_urgency if has_jobs[number]]
        self._looked = time.monotonic()

    def _look_at_all(self) -> list[_Look]:
        """What there is to be done at each table, so that a filling passes over those at which there is nothing."""
        parents = sorted({name for job in self.jobs for name in job.parents})
        asked = [f"FROM {job.name}" for job in self.jobs]
        asked += [f"FROM {job.name} WHERE status = 'error'" for job in self.jobs]
        asked += [f"FROM {name}" for name in parents]
        found = self.connection.query("SELECT " + ", ".join(f"EXISTS (SELECT 1 {what})" for what in asked)).fetchone()
        n_tables = len(self.jobs)
        with_rows = {name for name, has_rows in zip(parents, found[2 * n_tables :], strict=True) if has_rows}
        return [
            _Look(bool(found[number]), bool(found[n_tables + number]), with_rows.issuperset(job.parents))
            for number, job in enumerate(self.jobs)
        ]

    def _counts(self) -> Iterator[tuple[TableJobs, str, str, int, int]]:
        sql = " UNION ALL ".join(
            f"SELECT {number}, CONCAT(status, ''), host, pid, count(*) FROM {table_jobs.name} "
            f"WHERE status = 'reserved' OR {CLAIMABLE} GROUP BY status, host, pid"
            for number, table_jobs in enumerate(self.jobs)
        )
        for number, *rest in self.connection.query(sql).fetchall():
            yield self.jobs[number], *rest

    def _recover(self, done: Pass, looks: Sequence[_Look]) -> None:
        """Free the jobs of workers that are dead, and those that an interruption or a disk that was away made fail.

        The latter at once where somebody has just started a worker: that is when disks are back.
        """
        sql = " UNION ALL ".join(
            f"SELECT host, pid, max(reserved_time) FROM {job.name} WHERE status = 'reserved' GROUP BY host, pid"
            for job in self.jobs
        )
        holders = [heartbeat.Holder(*row) for row in self.connection.query(sql).fetchall()]
        examined = heartbeat.examine(self.connection, holders)
        self._not_alive = {(holder.host, holder.pid) for holder in holders} - examined.alive
        # Before others get their keys: what the dead have not committed would hold them up.
        heartbeat.end_sessions_of_dead(self.connection)
        locks.free_from_dead(self.connection)
        for job, look in zip(self.jobs, looks, strict=True):
            n_jobs = sum(job.take_from_dead(host, pid) for host, pid in examined.dead)
            if look.has_errors:
                n_jobs += job.give_back_interrupted() + job.give_back_away(at_once=not self._has_scheduled)
            _note(done.recovered, job.label, n_jobs)
        self._has_scheduled = True
        heartbeat.bury(self.connection)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[bool]:
        """The right to fill the queue; never waits. Where it is not to be had for a minute, the log says who has it."""
        name = f"queue of {heartbeat.database_name()}"
        with locks.attempt(self.connection, name, "filling the queue") as holder:
            if holder is None:
                self._refused_since = None
            else:
                now = time.monotonic()
                self._refused_since = self._refused_since or now
                if now - self._refused_since > _LONG_FILLING_SECONDS:
                    self._refused_since = now
                    logger.warning("another process has been filling the queue for more than a minute: %s", holder)
            yield holder is None


def tables_named(names: Sequence[str], tables: Sequence[type[dj.Table]] | None = None) -> list[type[dj.Table]]:
    """The populated tables with these names, `behavior.TrialSet` or `TrialSet` in any case, in dependency order.

    Raises
    ------
    NeurojointError : no table, or more than one, has such a name.
    """
    known = {registry.label(table): table for table in (registry.populated_tables() if tables is None else tables)}
    chosen = set()
    for name in names:
        low = name.lower()
        matching = [label for label in known if low in (label.lower(), label.lower().rpartition(".")[2])]
        if len(matching) != 1:
            close = matching or difflib.get_close_matches(name, known, 3, 0.4) or list(known)
            problem = "several populated tables are" if matching else "no populated table is"
            raise UserError(f"{problem} called {name}", f"choose from {', '.join(close)}")
        chosen.add(matching[0])
    return [table for label, table in known.items() if label in chosen]


def retry(tables: Sequence[type[dj.Table]], like: str | None = None) -> dict[str, int]:
    """Give failed jobs back to the workers: table label -> how many, without zeros.

    Parameters
    ----------
    tables : populated tables.
    like : only those whose message contains this text.
    """
    given: dict[str, int] = {}
    for job in Queue(tables).jobs:
        _note(given, job.label, job.retry(like))
    return given


def _note(counts: dict[str, int], label: str, number: int) -> None:
    if number:
        counts[label] = counts.get(label, 0) + number
