"""The supervisor: what it does when a worker does not do what it is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

from pipeline.worker import supervisor
from pipeline.worker.process import Assignment
from pipeline.worker.progress_counters import Board


def miss_one_signal(ready) -> None:
    """A process that ends with the second SIGTERM."""
    missed = []
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if missed else missed.append(True))
    ready.send(True)
    while True:
        time.sleep(0.05)


def test_a_worker_that_missed_the_signal_is_asked_again():
    """Seen once in 200 interrupts of `neurojoint work`, which then waited for ever."""
    told: list[str] = []
    ours = supervisor._Supervisor(Assignment(list, (), {}, False, None, 5.0), Board((), 1), 1, None, told.append)
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    (worker,) = ours.workers
    worker.process = multiprocessing.get_context("spawn").Process(target=miss_one_signal, args=(sender,))
    worker.process.start()
    try:
        assert receiver.poll(60)
        ours.signals.append(signal.SIGTERM)
        end = time.monotonic() + 60
        while worker.process.exitcode is None and time.monotonic() < end:
            ours._pass_signals_on()
            time.sleep(0.05)
        assert worker.process.exitcode == 0
        assert len(told) == 1 and told[0].startswith("stopping")
    finally:
        worker.process.kill()
