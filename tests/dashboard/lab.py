"""The simulated lab that all tests of pages look at: mice that learn, and mice of which little or nothing is known.

`python -m tests.dashboard.lab ROOT` writes, registers and populates it in the database of the environment; more
numbers behind it are those of mice, sessions of each, and sessions with probes of each.
"""

from __future__ import annotations

import csv
import datetime
import sys
from pathlib import Path

import numpy as np

from tests.dashboard import probes

LAB = "simlab"
N_MICE, N_SESSIONS = 4, 14
LONG, ONE_SESSION, NO_TIMES, NO_SESSION = "fast_001", "young_101", "timeless_102", "untouched_103"
"""A mouse with everything, one with a single session, one whose files have no times, one without any session."""


def build(root: Path, n_mice: int = N_MICE, n_sessions: int = N_SESSIONS, n_ephys: int = 0) -> None:
    """Write the files, register them, populate the tables; the last sessions are of yesterday or shortly before.

    Parameters
    ----------
    n_ephys : sessions with probes, and with wheel traces, of each mouse that comes so far.
    """
    import ingest
    import pipeline
    from ingest import simulate
    from pipeline import worker
    from pipeline.settings import settings

    today = datetime.datetime.now(datetime.UTC).date()
    start = today - datetime.timedelta(days=1 + 7 * (n_sessions // 5))
    simulate.write_lab(root, n_mice, n_sessions, lab=LAB, start=start, wheel=n_ephys > 0, ephys=n_ephys)
    _add_odd_mice(root, today)
    probes.write(root, LAB, LONG, NO_TIMES)
    pipeline.connect()
    metadata = [path for path in sorted(root.glob("*.csv")) + [root / "sessions.json"] if path.exists()]
    ingest.register(root, metadata=metadata, processes=2)
    _add_what_people_enter()
    worker.work(once=True, processes=2)
    probes.lose(root, settings().home / "cache", LAB, LONG)


def add_session(root: Path, subject: str, date: datetime.date, number: int = 1) -> None:
    """Write one more session of a mouse as files."""
    from ingest.simulate import SessionParams, files, simulate_trials

    rng = np.random.default_rng([date.toordinal(), number])
    trials = simulate_trials(SessionParams(n_trials=240), rng)
    files.write_trials(root / LAB / "Subjects" / subject / str(date) / f"{number:03d}" / "alf", trials, "npy")


def _add_odd_mice(root: Path, today: datetime.date) -> None:
    add_session(root, ONE_SESSION, today - datetime.timedelta(days=1))
    alf = root / LAB / "Subjects" / NO_TIMES / str(today - datetime.timedelta(days=2)) / "001" / "alf"
    alf.mkdir(parents=True)
    n = 40
    columns = {
        "choice": np.where(np.arange(n) % 2, 1, -1), "feedbackType": np.ones(n, int),
        "contrastLeft": np.where(np.arange(n) % 2, 1.0, np.nan),
        "contrastRight": np.where(np.arange(n) % 2, np.nan, 1.0),
        "probabilityLeft": np.full(n, 0.5),
    }  # fmt: skip
    for name, values in columns.items():
        np.save(alf / f"_ibl_trials.{name}.npy", values)
    with (root / "subjects.csv").open(newline="", encoding="utf-8") as lines:
        header = next(csv.reader(lines))
    with (root / "subjects.csv").open("a", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
        for subject in (ONE_SESSION, NO_TIMES, NO_SESSION):
            writer.writerow({"lab": LAB, "subject": subject, "sex": "F", "responsible_user": "ada"})


def _add_what_people_enter() -> None:
    from pipeline import action, subject

    key = {"lab": LAB, "subject": LONG}
    mouse = (subject.Subject & key).fetch1()
    when = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0) - datetime.timedelta(days=20)
    action.Surgery.insert1(key | {"surgery_start": when, "surgery_narrative": "Headplate, no complications."})
    action.Surgery.Procedure.insert1(key | {"surgery_start": when, "procedure_type": "Headplate implant"})
    action.Note.insert1(
        {"note_id": "5e6f0b0e-2f5e-4a53-9a0f-2f0f6f6c0a01", "note_time": when, "note_object": "subject.Subject",
         "note_object_id": mouse["subject_uuid"], "note_text": "Left whiskers trimmed by a cage mate."}
    )  # fmt: skip


if __name__ == "__main__":
    build(Path(sys.argv[1]), *map(int, sys.argv[2:]))
