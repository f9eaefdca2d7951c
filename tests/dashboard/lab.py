"""The simulated lab that all tests of pages look at: mice that learn, and mice of which little or nothing is known.

`python -m tests.dashboard.lab ROOT` writes, registers and populates it in the database of the environment; with the
numbers of mice, sessions of each and sessions with probes of each, a lab without odd mice, for pictures.
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


def build(root: Path) -> None:
    """Write the files, register them, populate the tables; the last sessions are of the last weekday before today."""
    from ingest import simulate
    from pipeline.settings import settings

    today = datetime.datetime.now(datetime.UTC).date()
    n_days = N_SESSIONS - 1  # one day has two sessions
    last = np.busday_offset(today - datetime.timedelta(days=1), 0, roll="backward").item()
    start = np.busday_offset(last, 1 - n_days).item()
    simulate.write_lab(root, N_MICE, N_SESSIONS, lab=LAB, start=start, wheel=False)
    _add_odd_mice(root, last)
    probes.write(root, LAB, LONG, NO_TIMES)
    _ingest(root)
    probes.lose(root, settings().home / "cache", LAB, LONG)


def build_for_pictures(root: Path, n_mice: int, n_sessions: int, n_ephys: int) -> None:
    """The same of a lab in which everything is known."""
    from ingest import simulate

    today = datetime.datetime.now(datetime.UTC).date()
    simulate.write_lab(root, n_mice, n_sessions, lab=LAB, last=today, ephys=n_ephys, n_units=80)
    _ingest(root)


def _ingest(root: Path) -> None:
    import ingest
    import pipeline
    from pipeline import worker

    pipeline.connect()
    metadata = [path for path in sorted(root.glob("*.csv")) + [root / "sessions.json"] if path.exists()]
    ingest.register(root, metadata=metadata, processes=2)
    _add_what_people_enter()
    worker.work(once=True, processes=2)


def add_session(root: Path, subject: str, date: datetime.date, number: int = 1) -> None:
    """Write one more session of a mouse as files."""
    from ingest.simulate import SessionParams, files, simulate_trials

    rng = np.random.default_rng([date.toordinal(), number])
    trials = simulate_trials(SessionParams(n_trials=240), rng)
    files.write_trials(root / LAB / "Subjects" / subject / str(date) / f"{number:03d}" / "alf", trials, "npy")


def _add_odd_mice(root: Path, last: datetime.date) -> None:
    """On the last weekday, as all others, and the day before: the same on every day of the week."""
    add_session(root, ONE_SESSION, last)
    alf = root / LAB / "Subjects" / NO_TIMES / str(last - datetime.timedelta(days=1)) / "001" / "alf"
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
    if sys.argv[2:]:
        build_for_pictures(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    else:
        build(Path(sys.argv[1]))
