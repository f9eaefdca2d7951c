"""Protects how a sorter is run: its arguments, its settings, its end in time, with its children and without secrets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ingest.programs.sorting import job, process
from pipeline.errors import InvalidSettings
from pipeline.settings import load
from tests.ingest.sorters import TOY, are_gone, wait_for

pytestmark = pytest.mark.slow


def a_job(tmp_path: Path, **changes: object) -> job.Job:
    given = dict.fromkeys(("channels", "positions", "shanks", "uv_per_bit"), [])
    given |= {"sorter": "toy", "recording": "/data/a b.bin", "sampling_rate": 3e4, "n_channels": 9, "n_samples": 5}
    given |= {"parameters": {}, "threads": 2, "output": str(tmp_path), "scratch": str(tmp_path)}
    return job.Job(**(given | changes))


def test_commands_are_lists_of_arguments_and_know_their_placeholders(tmp_path):
    template = ["prog", "--in={recording}", "{threads}", "$(touch x); {job}"]
    argv = job.command(template, a_job(tmp_path), Path("/j.json"))
    assert argv == ["prog", "--in=/data/a b.bin", "2", "$(touch x); /j.json"]
    with pytest.raises(InvalidSettings, match=r"has \{gpu\}"):
        job.command(["prog", "{gpu}"], a_job(tmp_path), Path("/j.json"))


def test_sorters_in_the_settings_are_checked():
    assert load(sorters={"ks4": {"command": ["a"]}}).sorters["ks4"].timeout == 86_400
    for wrong in ({"a/b": {"command": ["a"]}}, {"probe01": {"command": ["a"]}}, {"x": {"command": []}},
                  {"x": {"command": ["a"], "shell": True}}, {"x": {"command": ["a"], "timeout": 0}}):  # fmt: skip
        with pytest.raises(InvalidSettings, match="sorters"):
            load(sorters=wrong)


def hang(tmp_path: Path) -> tuple[Path, list[str]]:
    """A command that starts a child and hangs, and the file in which it notes both processes."""
    marks = tmp_path / "marks"
    folder = tmp_path / "job"
    folder.mkdir()
    a_job(tmp_path, parameters={"mode": "hang", "marks": str(marks)}).write(folder / "job.json")
    return marks, [sys.executable, str(TOY), str(folder / "job.json")]


def test_a_program_whose_time_is_over_is_ended_with_its_children(tmp_path):
    marks, argv = hang(tmp_path)
    ended = process.run(argv, tmp_path / "job", timeout=1.5)
    assert (ended.exit_code, ended.problem) == (None, "it had not ended after 1.5 s")
    assert are_gone(marks)
    assert not (tmp_path / "job" / process.PROCESS).exists()


def test_a_program_gets_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROJOINT_DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    show = "import os; print(sorted(n for n in os.environ if n.startswith(('NEURO', 'PYTHONPATH', 'MINE'))))"
    ended = process.run([sys.executable, "-c", show], tmp_path, 60, {"MINE": "1"})
    assert ended.tail == "['MINE']"


def test_what_a_killed_run_left_is_ended_by_the_next(tmp_path):
    """kill -9 of the pipeline leaves the program running; the next run finds it by number and time of its start."""
    marks, argv = hang(tmp_path)
    code = "import sys; from pathlib import Path; from ingest.programs.sorting import process; "
    code += "process.run(sys.argv[2:], Path(sys.argv[1]), 600)"
    ours = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "job"), *argv])
    wait_for(marks, ours)
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    first, child = map(int, marks.read_text().split())
    assert psutil.pid_exists(first)
    process.end_left_over(tmp_path / "job")
    assert are_gone(marks)
    noted = {"pid": os.getpid(), "created": 0.0}
    (tmp_path / "job" / process.PROCESS).write_text(json.dumps(noted))
    process.end_left_over(tmp_path / "job")  # a number that another process has by now: this one, which goes on
