"""What the tests of sorting share: the session, the toy sorter, what the table of runs says, processes to wait for."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from pathlib import Path

import psutil

from pipeline.schemas import task

SESSION = "mylab/Subjects/m1/2020-01-01/001"
TOY = Path(__file__).with_name("toy_sorter.py")


def runs() -> list[dict]:
    """The tasks by which recordings were sorted, with their arguments and the folders of their outputs."""
    rows = (task.Task & {"kind_name": "sort_spikes"}).to_dicts()
    for row in rows:
        told = row["task_arguments"]
        row["told"] = json.loads(told) if isinstance(told, str) else told
        made = (task.TaskOutput & {"task_uuid": row["task_uuid"]}).to_arrays("output_path")
        row["folder"] = str(made[0]).rpartition("/")[0] if len(made) else ""
    return rows


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
