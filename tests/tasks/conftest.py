"""A queue on real tables, with a clock that the tests move."""

from __future__ import annotations

import datetime
import uuid

import datajoint as dj
import pytest

import pipeline
from pipeline import settings
from pipeline.schemas import task
from pipeline.tasks.queue import Capability, New, Queue


class Clock:
    def __init__(self):
        self.at = datetime.datetime(2030, 1, 1)

    def __call__(self):
        return self.at

    def later(self, seconds: float) -> None:
        self.at += datetime.timedelta(seconds=seconds)


@pytest.fixture
def task_tables(server):
    """Empty tables of tasks; those of other schemas stay as they are, which saves a second for each test."""
    with settings.override(**server):
        connection = dj.conn()
        if not connection.is_connected:
            connection = pipeline.connect()
        for table in (task.TaskLog, task.TaskOutput, task.TaskEdge, task.Task):
            table.delete_quick()
        yield connection


@pytest.fixture
def queue(task_tables):
    return Queue(clock=Clock())


@pytest.fixture
def claim(queue):
    def ask(host="one", token=None, **more):
        token = token or str(uuid.uuid4())
        return queue.claim(Capability(host, more.pop("kinds", ("k",)), **more), token)

    return ask


def new(name, *parents, **more):
    return New(name, more.pop("kind", "k"), parents=parents, **more)
