"""Runs small tasks in other processes that die with this one, and hands back results as they come."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pipeline.errors import NeurojointError, causes
from pipeline.processes import without_main

Run = Callable[[Callable[..., Any], Iterable[tuple]], Iterator[Any]]
"""Calls a function with each tuple of arguments and yields the results in any order."""


@contextlib.contextmanager
def workers(processes: int, preload: str = "ingest.files.scan") -> Iterator[Run]:
    """Give a function that runs tasks in `processes` processes; with one, in this process.

    Parameters
    ----------
    preload : a module that all of them need; it is imported once.

    Raises
    ------
    NeurojointError
        While it runs: a process was killed from outside, usually because memory ran out.
    """
    if processes <= 1:
        yield _run_here
        return
    # Forking a process that has threads and a database connection is not safe: a small server forks instead.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([preload])
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
    try:
        yield lambda function, tasks: _run_in_pool(pool, function, tasks, 3 * processes)
        pool.shutdown()
    except BrokenProcessPool:
        raise NeurojointError(
            "a worker process was killed, probably because memory ran out",
            "run again with fewer processes (--processes); what was registered is kept",
        ) from None
    except BaseException:
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: who stops a run does not want to wait for the hash of a large file."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):  # public as kill_workers from Python 3.14
        with contextlib.suppress(OSError, ValueError):
            process.kill()


@contextlib.contextmanager
def _without_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple] = []
    before = signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(*came[0])


def was_interrupted(error: BaseException | None) -> bool:
    """Whether an error came up while Ctrl-C was being obeyed, as when a statement is cut off and its connection fails.

    >>> was_interrupted(ValueError())
    False
    """
    return any(isinstance(one, KeyboardInterrupt) for one in causes(error))


def _run_here(function: Callable[..., Any], tasks: Iterable[tuple]) -> Iterator[Any]:
    return (function(*task) for task in tasks)


def _run_in_pool(pool: ProcessPoolExecutor, function: Any, tasks: Iterable[tuple], ahead: int) -> Iterator[Any]:
    """Results as they come, with at most `ahead` tasks handed out, so that results do not pile up."""
    tasks = iter(tasks)
    running: set[Future] = set()
    while True:
        for task in tasks:
            # without an interrupt: a process that is being started is not yet one that `_kill` knows
            with _without_interrupt(), without_main(function):
                running.add(pool.submit(function, *task))
            if len(running) >= ahead:
                break
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _begin() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent ends, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
