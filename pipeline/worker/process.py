"""A worker process: takes jobs, computes them, fills the queue when it runs low, and ends when it is told to."""

from __future__ import annotations

import collections
import contextlib
import functools
import inspect
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import statistics
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj

import pipeline
from pipeline.alf import disks
from pipeline.database import registry, sessions
from pipeline.errors import NeurojointError, explain, is_connection_error
from pipeline.settings import override
from pipeline.worker import heartbeat, transactions
from pipeline.worker.compute import (
    GRACE_SECONDS,
    ConnectionLost,
    Interrupted,
    Outcome,
    Stop,
    compute,
    compute_together,
    is_lost,
    session,
)
from pipeline.worker.jobs import TableJobs
from pipeline.worker.progress_counters import Board
from pipeline.worker.queue import Pass, Queue

TRY_AGAIN = 75  # EX_TEMPFAIL: the connection was lost or could not be made
DISK_HANGS = 74  # EX_IOERR: it waited for a disk that does not answer
BATCH_SECONDS = 0.5  # of work that a worker claims at once: few round trips, and nobody waits long for the last batch
LARGEST_BATCH = 50
QUICK_SECONDS = 0.03  # a key that takes no longer is computed in one transaction with others
TOGETHER_SECONDS = 0.5  # of work in such a transaction: what a kill costs at most
_ALONE = 5  # claims of a table that are computed key by key after one that could not be computed together
FILL_SECONDS = 1.0  # between two fillings of the queue while there is work; longer where a filling takes long
IDLE_FILL_SECONDS = 5.0  # the same while there is none


@dataclass(frozen=True)
class Assignment:
    """What a supervisor gives its workers.

    Attributes
    ----------
    open_tables : connects and returns the populated tables; it must pickle, since processes share nothing
    labels : the tables to work on
    settings : the settings that differ from the defaults
    once : end when nothing is left to do
    until : end then (s since 1970), or None
    grace : seconds that a make may go on after a request to stop
    """

    open_tables: Callable[[], Sequence[type[dj.Table]]]
    labels: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    once: bool = False
    until: float | None = None
    grace: float = GRACE_SECONDS


def open_tables() -> list[type[dj.Table]]:
    """Connect by the settings; all populated tables, in dependency order."""
    pipeline.connect(create=False)
    return registry.populated_tables()


def drain(tables: Sequence[type[dj.Table]]) -> dict[str, int]:
    """Compute in this process all there is to compute, on the connection of the tables; table label -> keys done.

    Other workers may be at it at the same time. Keys that fail are recorded in the job table.
    """
    queue = Queue(tables)
    board = Board([job.label for job in queue.jobs], 1)
    with session(queue.connection):
        Loop(queue, board, 0, Stop(), once=True).run()
    return {label: n_keys for label, n_keys in board.done().items() if n_keys}


class Loop:
    """Claim, compute, fill the queue, and so on.

    Parameters
    ----------
    queue : what to work on.
    board, slot : where to count.
    stop : ends the loop at the next key.
    once : end when there is nothing left to do, also nothing that others still compute.
    until : end then (s since 1970).
    """

    def __init__(
        self, queue: Queue, board: Board, slot: int, stop: Stop, once: bool = False, until: float | None = None
    ) -> None:
        self.queue, self.board, self.slot, self.stop = queue, board, slot, stop
        self.once, self.until = once, until
        self._durations: dict[str, collections.deque[float]] = {}
        self._n_alone: collections.Counter[str] = collections.Counter()  # claims that are not computed together

    def run(self) -> None:
        """Until told to stop, or with `once` until nothing is left. What is reserved and not computed is given back."""
        pause = 0.01
        with contextlib.suppress(Interrupted):
            while not self._is_over():
                with self._watching_connection():
                    if self.board.since_pass > max(FILL_SECONDS, 40 * self.board.pass_seconds):
                        self._fill()
                    if claimed := self.queue.claim(self._limits()):
                        pause = 0.01
                        self._compute(*claimed)
                        continue
                    if self._may_find_more() and (filled := self._fill()) and filled.pending:
                        continue
                if self.once and self.board.is_idle:
                    return
                self.board.begin(self.slot, None)
                time.sleep(pause)
                pause = min(2 * pause, 0.5)

    def _is_over(self) -> bool:
        return self.stop.requested or (self.until is not None and time.time() >= self.until)

    def _may_find_more(self) -> bool:
        """Whether filling the queue is worth it now that nothing can be claimed."""
        least, most = (0.02, 1.0) if self.once else (0.1, IDLE_FILL_SECONDS)
        since, cost = self.board.since_pass, self.board.pass_seconds
        after_change = 0.0 if self.board.is_alone(self.slot) else 2 * cost  # nobody is held up, and all would wait
        return since > max(most, 10 * cost) or (self.board.is_changed and since > max(least, after_change))

    def _fill(self) -> Pass | None:
        began, finished = time.time(), self.board.finished()
        filled = self.queue.schedule()
        if filled is not None:
            left = collections.Counter(filled.pending) + collections.Counter(filled.running)
            self.board.record_pass(left, filled.is_idle, finished, began)
        return filled

    def _compute(self, table_jobs: TableJobs, keys: list[dict[str, Any]]) -> None:
        self.board.begin(self.slot, table_jobs.label)
        n_done = 0
        while self._is_quick(table_jobs) and len(keys) - n_done > 1 and not self._is_over():
            n_more = self._compute_together(table_jobs, keys[n_done:])
            n_done += n_more
            if not n_more:
                break
        for number, key in enumerate(keys[n_done:], n_done):
            if self._is_over():
                table_jobs.release(keys[number:])
                return
            self._attempt(table_jobs, keys[number:], lambda key=key: [compute(table_jobs, key, self.stop)])  # type: ignore[misc]

    def _compute_together(self, table_jobs: TableJobs, keys: list[dict[str, Any]]) -> int:
        """Compute the first of the keys in one transaction, as many as it may take; how many are done with."""
        n_keys = max(2, int(TOGETHER_SECONDS / statistics.median(self._durations[table_jobs.label])))
        n_done = self._attempt(table_jobs, keys, lambda: compute_together(table_jobs, keys[:n_keys], self.stop))
        self._n_alone[table_jobs.label] = 0 if n_done else _ALONE
        return n_done

    def _is_quick(self, table_jobs: TableJobs) -> bool:
        """Whether to compute keys of a table together; not soon after a failure, nor where one has killed a worker."""
        durations = self._durations.get(table_jobs.label)
        if table_jobs.is_careful or inspect.isgeneratorfunction(table_jobs.table.make) or not durations:
            return False
        if self._n_alone[table_jobs.label] > 0:
            self._n_alone[table_jobs.label] -= 1
            return False
        return statistics.median(durations) <= QUICK_SECONDS

    def _attempt(
        self, table_jobs: TableJobs, keys: list[dict[str, Any]], act: Callable[[], list[Outcome] | None]
    ) -> int:
        """Compute the first of the keys and count them; how many they are. All are given back if it is broken off."""
        began = time.perf_counter() - _seconds_in_queue()
        disks.forget_uses()
        try:
            outcomes = act() or []
        except ConnectionLost:
            raise
        except BaseException:
            table_jobs.release(keys)
            raise
        durations = self._durations.setdefault(table_jobs.label, collections.deque(maxlen=9))
        if outcomes:
            durations.append(max(time.perf_counter() - _seconds_in_queue() - began, 1e-6) / len(outcomes))
        for outcome in outcomes:
            if outcome != "skipped":
                self.board.note(self.slot, table_jobs.label, failed=outcome == "failed")
        return len(outcomes)

    def _limits(self) -> dict[str, int]:
        """How many keys make up about `BATCH_SECONDS` of work, by table."""
        return {
            label: min(LARGEST_BATCH, max(1, int(BATCH_SECONDS / max(statistics.median(durations), 1e-6))))
            for label, durations in self._durations.items()
            if durations
        }

    @contextlib.contextmanager
    def _watching_connection(self) -> Iterator[None]:
        """Errors of the queue's own statements: a lost connection ends the process, a conflict is tried again."""
        try:
            yield
        except (ConnectionLost, NeurojointError):
            raise
        except Exception as error:
            connection = self.queue.connection
            if is_lost(connection):
                raise ConnectionLost from error
            if not transactions.is_conflict(error):
                raise


def main(assignment: Assignment, board: Board, slot: int, report: Any) -> None:
    """The life of a worker process; it exits with 0, or with `TRY_AGAIN`, `DISK_HANGS` or 1 and the reason sent to
    `report`."""
    stop = Stop()
    disks.watch(lambda folder: _leave_disk(folder, board, slot, report))
    stop.install(assignment.grace)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _work(assignment, board, slot, stop)
    except ConnectionLost as error:
        report.send(explain(error.__cause__ or error))
        os._exit(TRY_AGAIN)  # without the farewells of drivers that have nobody to talk to
    except Exception as error:
        is_temporary = is_connection_error(error) or getattr(error, "exit_code", 1) == TRY_AGAIN
        known = is_temporary or isinstance(error, NeurojointError)
        report.send(explain(error) if known else "".join(traceback.format_exception(error)))
        os._exit(TRY_AGAIN if is_temporary else 1)


def _work(assignment: Assignment, board: Board, slot: int, stop: Stop) -> None:
    with override(**assignment.settings):
        tables = [
            open_table for open_table in assignment.open_tables() if registry.label(open_table) in assignment.labels
        ]
        queue = Queue(tables)
        for job in queue.jobs:  # reserved under this number, but not by this process: it has not begun
            transactions.retry_on_conflict(functools.partial(job.take_from_dead, *heartbeat.this_process()))
        transactions.retry_on_conflict(lambda: heartbeat.register(queue.connection))
        with session(queue.connection):
            Loop(queue, board, slot, stop, assignment.once, assignment.until).run()
        transactions.retry_on_conflict(lambda: heartbeat.leave(queue.connection))


def _leave_disk(folder: Path, board: Board, slot: int, report: Any) -> None:
    """End this process if it is at a job: the next one knows that the disk is away, and takes other jobs."""
    if board.current(slot) is None:
        return
    report.send(f"{folder} does not answer")
    with contextlib.suppress(Exception):  # what a disk holds may live on for long: the database is not to wait for it
        link = socket.socket(fileno=os.dup(sessions.descriptor(registry.connection()._conn)))
        link.shutdown(socket.SHUT_RDWR)
    os._exit(DISK_HANGS)


def _end_with_parent() -> None:
    """A worker whose supervisor is gone ends as if it had been told to."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)  # then it hangs somewhere; its job is taken up once it is gone
    os._exit(1)


def _seconds_in_queue() -> float:
    """How long this thread has been ready to run while others had the processors; 0 where the system does not say.

    So what a table costs hardly depends on who else is at work, and what waits for files is not taken for quick.
    """
    try:
        return int(Path("/proc/thread-self/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
