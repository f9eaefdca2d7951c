"""A small lab for the page of a session: wheels, files that are refused, lost or changed; and real recordings.

`python -m tests.dashboard.sessions ROOT [REAL]` writes (and copies), registers and populates it in the database of the
environment.
"""

from __future__ import annotations

import datetime
import shutil
import sys
from pathlib import Path

import numpy as np

LAB, TURNER = "sessionlab", "turner"
N_TRIALS = 260
FIRST, DAMAGED, LOST = (datetime.date(2026, 1, day) for day in (5, 6, 7))
"""All is there; a column is cut off; the wheel was taken away after it was registered."""
NO_TRIALS = datetime.date(2026, 1, 8)
NARRATIVE = "The spout was loose for a while."
REAL = (
    "ibllib_fixtures/Subjects/trials_test/2020-09-04/001",
    "ibl_KS014/Subjects/KS014/2019-08-22/001",
    "ibllib_fixtures/Subjects/wheel_test/2020-01-01/001",
)
"""Sessions with a biased task, without any time, and with nothing but a wheel."""


def folder(root: Path, date: datetime.date) -> Path:
    """The folder of a session."""
    return root / LAB / "Subjects" / TURNER / str(date) / "001"


def write(root: Path) -> None:
    """Write the sessions of the mouse."""
    from ingest.simulate import Psychometric, SessionParams, files, simulate_trials, simulate_wheel

    blocks = {0.5: Psychometric(), 0.2: Psychometric(bias=-10), 0.8: Psychometric(bias=10)}
    for number, date in enumerate((FIRST, DAMAGED, LOST)):
        trials = simulate_trials(SessionParams(n_trials=N_TRIALS, blocks=blocks), number)
        alf = folder(root, date) / "alf"
        files.write_trials(alf, trials, "npy")
        files.write_wheel(alf, simulate_wheel(trials, number))
    cut = folder(root, DAMAGED) / "alf" / "_ibl_trials.rewardVolume.npy"
    cut.write_bytes(cut.read_bytes()[:200])
    (folder(root, NO_TRIALS) / "alf").mkdir(parents=True)
    np.save(folder(root, NO_TRIALS) / "alf" / "licks.times.npy", np.arange(10.0))


def build(root: Path, real: Path | None = None) -> None:
    """Write it all, register it, populate the tables, and take a file away."""
    import ingest
    import pipeline
    from pipeline import acquisition, worker

    write(root)
    for path in REAL if real else ():
        shutil.copytree(real / path, root / path)
    pipeline.connect()
    ingest.register(root, processes=1)
    key = {"lab": LAB, "subject": TURNER, "session_date": FIRST, "session_number": 1}
    qc = {"_task_goCue_delays": 0.98, "_task_stimulus": "PASS", "camera": None}
    acquisition.Session.update1(
        key | {"session_qc": "WARNING", "extended_qc": qc, "session_narrative": NARRATIVE,
               "task_protocol": "_iblrig_tasks_biasedChoiceWorld6.5.3"}
    )  # fmt: skip
    worker.work(once=True, processes=1)
    (folder(root, LOST) / "alf" / "_ibl_wheel.position.npy").unlink()


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:]))
