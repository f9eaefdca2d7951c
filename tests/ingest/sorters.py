"""What the tests of sorting share: the session, the toy sorter, what the table of runs says, processes to wait for."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import psutil

from pipeline.database.bulk import fetch_columns
from pipeline.schemas import task

SESSION = "mylab/Subjects/m1/2020-01-01/001"
TOY = Path(__file__).with_name("toy_sorter.py")


def runs() -> list[dict]:
    return fetch_columns(task.SortingRun).to_pylist()


def wait_for(marks: Path, program: subprocess.Popen) -> None:
    """Until the toy has noted its processes."""
    until = time.monotonic() + 60
    while not (marks.exists() and marks.read_text()):
        assert program.poll() is None, program.stderr and program.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)


def are_gone(marks: Path) -> bool:
    """Whether the processes that a file names have ended, within a few seconds."""
    until = time.monotonic() + 10
    for pid in map(int, marks.read_text().split()):
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > until:
                    return False
                time.sleep(0.05)
    return True
