"""Workers that come and go at the same moment do not get in each other's way."""

from __future__ import annotations

import multiprocessing

import pytest

import pipeline
from pipeline.schemas import task
from pipeline.settings import override
from pipeline.worker import heartbeat
from tests.worker import toys

pytestmark = pytest.mark.slow

N_PROCESSES, N_TIMES = 4, 50


def test_workers_that_register_and_leave_at_the_same_moment(database):
    context = multiprocessing.get_context("spawn")
    barrier, failures = context.Barrier(N_PROCESSES), context.SimpleQueue()
    processes = [
        context.Process(target=_come_and_go, args=(toys.set_settings(), barrier, failures)) for _ in range(N_PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [failures.get() for _ in processes] == [[]] * N_PROCESSES
    assert not task.Worker()


def _come_and_go(values, barrier, failures):
    collected = []
    with override(**values):
        connection = pipeline.connect(create=False)
        for _ in range(N_TIMES):
            barrier.wait(60)
            try:
                heartbeat.register(connection)
                heartbeat.leave(connection)
            except Exception as error:
                collected.append(repr(error))
    failures.put(collected)
