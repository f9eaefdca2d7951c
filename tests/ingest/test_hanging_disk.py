"""A disk that begins to hang while files on it are read: commands end with a sentence, workers go on with others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline import worker
from pipeline.alf import disks
from pipeline.schemas import behavior, data
from pipeline.worker import process
from tests.hanging_disk import hanging_disk
from tests.ingest.tree import ingest, write

IMPATIENT = "from pipeline.alf import disks\ndisks.PATIENCE, disks.IDLE, disks.PERIOD = 1.0, 2.0, 0.5\n"
COMMAND = f"{IMPATIENT}from neurojoint.command import run; run()"
pytestmark = [pytest.mark.slow, pytest.mark.one_database]


@pytest.fixture
def disk(tmp_path):
    write(tmp_path / "source", "lab/Subjects/m1/2020-01-01/001")
    with hanging_disk(tmp_path / "source", tmp_path / "away", "trials.choice") as made:
        yield made


def open_impatiently() -> list:
    """As `process.open_tables`, in a process that soon takes a disk for one that hangs."""
    disks.PATIENCE, disks.IDLE, disks.PERIOD = 1.0, 2.0, 0.5
    return [table for table in process.open_tables() if table is behavior.TrialSet]


def test_a_folder_that_hangs_is_named_and_not_waited_for(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "PATIENCE", 0.5)
    monkeypatch.setattr(disks, "_mounts", (0.0, ()))  # what this process saw before the disk was mounted
    inside = f"{disk.mount.name}/lab/Subjects"
    assert disks.is_there(tmp_path) and disks.is_there(disk.mount) and not disks.is_cut_off(tmp_path, inside)
    disk.hang()
    assert disks.is_there(tmp_path) and disks.is_cut_off(tmp_path, inside) and not disks.is_cut_off(tmp_path, "source")
    assert disks.hanging() == [disk.mount]
    disk.answer()
    end = time.monotonic() + 30
    while disks.hanging() and time.monotonic() < end:
        time.sleep(0.05)
    assert disks.is_there(disk.mount)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_an_ingest_whose_disk_begins_to_hang_ends_with_a_sentence(database, server, disk):
    home = {f"NEUROJOINT_{name.upper()}": str(value) for name, value in server.items()}

    def run() -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", COMMAND, "ingest", str(disk.mount)], env=os.environ | home, capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip

    disk.hang_when_opened()
    result = run()
    assert disk.is_hanging
    assert result.returncode == 1 and f"{disk.mount} does not answer any more" in result.stderr, result.stderr
    assert "Traceback" not in result.stderr and not data.Dataset()
    disk.answer()
    result = run()
    assert result.returncode == 0 and len(data.Dataset()) == 4, result.stderr


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_workers_go_on_with_other_roots_than_the_one_that_hangs(database, server, disk, tmp_path):
    write(tmp_path / "here", "lab/Subjects/m1/2020-01-02/001")
    ingest(disk.mount)
    ingest(tmp_path / "here")
    told: list[str] = []
    disk.hang_when_opened()
    summary = worker.work(once=True, processes=1, tables=[behavior.TrialSet], tell=told.append,
                          open_tables=open_impatiently)  # fmt: skip
    assert disk.is_hanging and len(behavior.TrialSet()) == 1, (summary, told)
    assert summary.restarts == 1 and f"waited for a disk ({disk.mount} does not answer)" in told[0], told
    (failed,) = (behavior.TrialSet().jobs & {"status": "error"}).to_dicts()
    assert "online here" in failed["error_message"]
    disk.answer()
    assert process.TableJobs(behavior.TrialSet).give_back_away(at_once=True) == 1
    worker.drain([behavior.TrialSet])
    assert len(behavior.TrialSet()) == 2


def test_a_watch_ends_nobody_who_computes(disk, monkeypatch):
    for name, value in {"PATIENCE": 0.2, "IDLE": 0.5, "PERIOD": 0.1}.items():
        monkeypatch.setattr(disks, name, value)
    called, computed = threading.Event(), 0.0
    monkeypatch.setattr(disks, "_act", None)
    monkeypatch.setattr(disks, "_watch", None)
    monkeypatch.setattr(disks, "_open", {Path(disk.mount): disks._Question(disk.mount)})
    monkeypatch.setattr(disks, "_used", set())
    monkeypatch.setattr(disks, "_processor_seconds", lambda: computed)  # servers of other tests compute, too
    disks.watch(lambda folder: called.set())
    disk.hang()
    time.sleep(1.5)
    assert not called.is_set()  # nobody reads it
    computed = 1.0
    disks.use(disk.mount)
    for _ in range(30):
        computed += 1.0
        time.sleep(0.05)
    assert not called.is_set()
    assert called.wait(60)
    disk.answer()
