"""Keeps N worker processes running: starts them again when they die, writes their heartbeats, passes signals on."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from pipeline import SCHEMAS, settings
from pipeline.database import free_space, registry
from pipeline.database.address import Address
from pipeline.database.connection import raw_connection
from pipeline.errors import DatabaseUnavailable, NeurojointError, is_connection_error
from pipeline.processes import without_main
from pipeline.schemas import task
from pipeline.worker import heartbeat, process
from pipeline.worker.compute import GRACE_SECONDS
from pipeline.worker.progress_counters import Board

LONGEST_BACKOFF_SECONDS = 30.0
LONGEST_BACKOFF_KILLED_SECONDS = 4.0
MOST_FAILED_STARTS = 8  # in a row, of one worker, for want of a database where the work is to end some time; about 90 s
MOST_KILLED = 20  # in a row, of one worker, before it computed anything
MOST_CRASHES = 3  # in a row, of one worker, by an error of the program

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_HELD_SECONDS = 5.0  # from the last word of a process until it counts as one that a disk holds
_RATE_SECONDS = 60.0
# One numerical thread a process: the processes are the parallelism.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

# Where it exists, workers are forked from a small server that has imported everything and connected to nothing.
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_context: Any = multiprocessing.get_context(_METHOD)


@dataclass
class Summary:
    """How a run ended.

    Attributes
    ----------
    done, failed : table label -> keys, without zeros
    seconds : how long it took
    restarts : workers that died and were started again
    stopped_by : the signal that ended the run, or None
    """

    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    restarts: int = 0
    stopped_by: signal.Signals | None = None


def work(
    once: bool = False,
    processes: int | None = None,
    tables: Sequence[type[dj.Table]] | None = None,
    max_seconds: float | None = None,
    grace_seconds: float = GRACE_SECONDS,
    watch: Callable[[Board], None] | None = None,
    tell: Callable[[str], None] | None = None,
    open_tables: Callable[[], Sequence[type[dj.Table]]] = process.open_tables,
) -> Summary:
    """Compute all there is to compute in worker processes; call `pipeline.connect()` before.

    Parameters
    ----------
    once : end when nothing is left to do and nobody is doing anything; else wait for more for ever.
    processes : how many workers; `settings().processes` when not given.
    tables : work on these only; all populated tables when not given.
    max_seconds : ask the workers to end after that time.
    grace_seconds : how long a `make` may go on after that, or after SIGTERM or SIGINT, before it is rolled back.
    watch : is called with the counters about five times a second.
    tell : is called with a line where something is worth telling, e.g. that a worker died.
    open_tables : how a worker connects; it must be importable or picklable.

    Raises
    ------
    DatabaseUnavailable : the database cannot be reached, and `once` or `max_seconds` says that the work has an end.
    NeurojointError : the workers crash before they compute anything; the message holds the reason.
    """
    tables = registry.populated_tables() if tables is None else tables
    chosen = settings.settings()
    labels = tuple(registry.label(table) for table in tables)
    assignment = process.Assignment(
        open_tables,
        labels,
        {name: getattr(chosen, name) for name in chosen.model_fields_set},
        once,
        None if max_seconds is None else time.time() + max_seconds,
        grace_seconds,
    )
    board = Board(labels, processes or chosen.processes)
    supervisor = _Supervisor(assignment, board, processes or chosen.processes, watch, tell)
    address = tables[0]().connection.address
    if address.is_socket:
        free_space.check(chosen.home, free_space.LEAST_TO_RUN)
    with supervisor.catching_signals(), _heartbeats(address, supervisor.activities), _environment(_ONE_THREAD):
        if _METHOD == "forkserver":
            _start_forkserver()
        return supervisor.run()


@dataclass
class _Worker:
    """One place for a worker process, and how its processes fared."""

    slot: int
    process: Any = None
    report: Any = None
    is_over: bool = False
    start_at: float = 0.0
    ended_at: float = 0.0  # when it said why it ends
    failures: int = 0  # in a row, without a key finished
    finished_at_start: int = 0
    history: deque[tuple[float, int]] = field(default_factory=deque)  # time, keys finished since the table was taken up
    table: str | None = None


class _Supervisor:
    def __init__(self, assignment: process.Assignment, board: Board, n_workers: int, watch: Any, tell: Any) -> None:
        self.assignment, self.board = assignment, board
        self.workers = [_Worker(slot) for slot in range(n_workers)]
        self.watch, self.tell = watch or (lambda board: None), tell or (lambda line: None)
        self.signals: list[signal.Signals] = []
        self.restarts = 0
        self._ask_at = 0.0  # when the workers are asked to stop (again)

    def run(self) -> Summary:
        began = time.monotonic()
        try:
            while not all(worker.is_over for worker in self.workers):
                self._start_those_due()
                self._wait()
                for worker in self.workers:
                    if worker.process is not None and (worker.process.exitcode is not None or self._is_held(worker)):
                        self._after_end(worker)
                self._pass_signals_on()
                self.watch(self.board)
        finally:
            self._kill()
        return Summary(
            {label: n_keys for label, n_keys in self.board.done().items() if n_keys},
            {label: n_keys for label, n_keys in self.board.failed().items() if n_keys},
            time.monotonic() - began,
            self.restarts,
            self.signals[0] if self.signals else None,
        )

    def activities(self) -> dict[int, str]:
        """Process id -> what the worker is doing, with its rate over the last minute, for the people who look."""
        now, activities = time.monotonic(), {}
        for worker in self.workers:
            pid = getattr(worker.process, "pid", None)
            if pid is None:
                continue
            label = self.board.current(worker.slot)
            if label != worker.table:
                worker.table = label
                worker.history.clear()
            if label is None:
                activities[pid] = ""
                continue
            n_keys = self.board.done(worker.slot)[label] + self.board.failed(worker.slot)[label]
            worker.history.append((now, n_keys))
            while worker.history[0][0] < now - _RATE_SECONDS:
                worker.history.popleft()
            seconds = now - worker.history[0][0]
            rate = 60 * (n_keys - worker.history[0][1]) / seconds if seconds else 0.0
            activities[pid] = f"{label} {rate:.1f}/min"
        return activities

    @contextlib.contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM instead of dying of them; elsewhere than in the main thread they are not ours."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, lambda caught, _frame: self.signals.append(signal.Signals(caught)))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start_those_due(self) -> None:
        for worker in self.workers:
            if worker.is_over or worker.process is not None or time.monotonic() < worker.start_at:
                continue
            if self._is_ending:
                worker.is_over = True
                continue
            worker.report, sender = _context.Pipe(duplex=False)
            worker.finished_at_start = self._finished(worker)
            worker.process = _context.Process(
                target=process.main, args=(self.assignment, self.board, worker.slot, sender)
            )
            with _deaf_to_interrupts(), without_main(self.assignment.open_tables):
                worker.process.start()
            sender.close()

    def _wait(self) -> None:
        sentinels = [worker.process.sentinel for worker in self.workers if worker.process is not None]
        if sentinels:
            multiprocessing.connection.wait(sentinels, _POLL_SECONDS)
        else:
            time.sleep(_POLL_SECONDS)

    def _after_end(self, worker: _Worker) -> None:
        code, reason = worker.process.exitcode, _received(worker.report)
        if code is None:  # the disk holds what is left of it, perhaps for ever: nobody is to wait for that
            code = process.DISK_HANGS
            multiprocessing.process._children.discard(worker.process)  # type: ignore[attr-defined]
        else:
            worker.process.join()
        worker.process, worker.ended_at = None, 0.0
        self.board.begin(worker.slot, None)
        if self._is_ending or (code == 0 and self.assignment.once):
            worker.is_over = True
            return
        worker.failures = 1 if self._finished(worker) > worker.finished_at_start else worker.failures + 1
        if code == process.TRY_AGAIN:
            if worker.failures >= MOST_FAILED_STARTS and self._has_end:
                raise DatabaseUnavailable("the workers have no connection", reason or "try again later")
        elif code not in (0, process.DISK_HANGS) and worker.failures >= (MOST_KILLED if code < 0 else MOST_CRASHES):
            raise NeurojointError("the workers cannot start", reason or _obituary(code, reason))
        longest = LONGEST_BACKOFF_KILLED_SECONDS if code < 0 else LONGEST_BACKOFF_SECONDS
        wait = 0.0 if worker.failures <= 1 else min(longest, 0.25 * 2**worker.failures)
        worker.start_at = time.monotonic() + wait
        self.restarts += 1
        self.board.ask_for_pass()  # whose jobs were reserved is to be looked at
        self.tell(_obituary(code, reason) + (f"; again in {wait:.0f} s" if wait else ""))

    def _is_held(self, worker: _Worker) -> bool:
        """Whether a process has said its last word, but does not end."""
        if not worker.ended_at and worker.report.poll():
            worker.ended_at = time.monotonic()
        return bool(worker.ended_at) and time.monotonic() - worker.ended_at > _HELD_SECONDS

    def _pass_signals_on(self) -> None:
        """Ask the workers to stop, again every second: one that missed the signal would be waited for without end."""
        if self._is_ending and time.monotonic() >= self._ask_at:
            if self.signals and not self._ask_at:
                self.tell("stopping: the workers finish or roll back what they are at (again to kill them)")
            self._ask_at = time.monotonic() + 1.0
            for worker in self._running():
                worker.process.terminate()
        if len(self.signals) > 1:
            self._kill()

    def _kill(self) -> None:
        for worker in self._running():
            worker.process.kill()
            worker.process.join()

    def _running(self) -> list[_Worker]:
        return [worker for worker in self.workers if getattr(worker.process, "pid", None) is not None]

    def _finished(self, worker: _Worker) -> int:
        return sum(self.board.done(worker.slot).values()) + sum(self.board.failed(worker.slot).values())

    @property
    def _is_ending(self) -> bool:
        return bool(self.signals) or (self.assignment.until is not None and time.time() >= self.assignment.until)

    @property
    def _has_end(self) -> bool:
        return self.assignment.once or self.assignment.until is not None


@contextlib.contextmanager
def _heartbeats(address: Address, activities: Callable[[], dict[int, str]]) -> Iterator[None]:
    """In a thread and on a connection of its own, so that neither a long statement nor a long make stops the heart."""
    table, over = task.Worker().full_table_name, threading.Event()

    def beat() -> None:
        raw = None
        while not over.wait(heartbeat.HEARTBEAT_SECONDS if raw is not None else 1.0):
            try:
                raw = raw or raw_connection(address)
                heartbeat.beat(raw, address.backend, table, activities())
            except Exception as error:  # whatever it is, the heart must go on; a lost connection is the usual reason
                logger.log(logging.DEBUG if is_connection_error(error) else logging.WARNING, "heartbeat: %s", error)
                raw = None
        if raw is not None:
            raw.close()

    thread = threading.Thread(target=beat, daemon=True, name="heartbeats")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment for the processes that are started inside; what a person has set stays."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _start_forkserver() -> None:
    """Start the process that makes the workers; Ctrl-C, which reaches all of the terminal, must not end it.

    The tracker of resources comes first, since Python lets interrupts through again once it has started.
    """
    from multiprocessing import forkserver, resource_tracker

    _context.set_forkserver_preload(["pipeline.worker.process", *(f"pipeline.schemas.{name}" for name in SCHEMAS)])
    resource_tracker.ensure_running()
    with _deaf_to_interrupts(), without_main():
        forkserver.ensure_running()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C reaches all processes of the terminal; the workers started inside leave it to the supervisor."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _received(report: Any) -> str:
    try:
        return report.recv() if report.poll() else ""
    except EOFError:
        return ""
    finally:
        report.close()


def _obituary(code: int, reason: str) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"a worker was killed ({signal.Signals(-code).name}), another takes its place"
    if code == process.DISK_HANGS:
        return f"a worker waited for a disk ({reason}), another takes its place"
    if code == process.TRY_AGAIN:
        return f"a worker lost the database ({reason}), another takes its place"
    return f"a worker ended ({reason.strip().splitlines()[-1] if reason.strip() else f'exit code {code}'})"
