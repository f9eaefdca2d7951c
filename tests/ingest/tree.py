"""Small ALF trees for the tests of the registration, and the tables as plain values to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ingest import register
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition, action, data, lab, subject

N_TRIALS = 6


def write(root: Path, session: str, **attributes: Any) -> Path:
    """Write a session with a few trials; keyword arguments replace attributes of trials, None leaves one out."""
    folder = root / session
    alf = folder / "alf"
    alf.mkdir(parents=True, exist_ok=True)
    trials: dict[str, Any] = {
        "choice": np.array([1, -1, 1, 1, -1, 0]),
        "feedbackType": np.array([1, 1, -1, 1, 1, -1]),
        "contrastLeft": np.array([1, np.nan, 0.25, 0.5, np.nan, 0]),
        "contrastRight": np.array([np.nan, 1, np.nan, np.nan, 0.5, np.nan]),
    }
    for name, values in (trials | attributes).items():
        if values is not None:
            np.save(alf / f"_ibl_trials.{name}.npy", values)
    return folder


def ingest(root: Path, **options: Any):
    """Register in this process."""
    return register(root, **{"processes": 1, **options})


def rows(query: Any, *names: str) -> list[tuple]:
    """Sorted rows as tuples."""
    table = fetch_columns(query, *names)
    return sorted(zip(*(table[name].to_pylist() for name in table.column_names), strict=True), key=repr)


UNLIKE = {
    "IngestRun": None,  # None: the whole table
    "Dataset": {"registered"},
    "FileRecord": {"verified"},
    "SessionScan": {"scanned"},
    "Quarantine": {"first_seen", "last_seen", "resolved"},
    "Change": None,
}
"""What differs between two runs with one outcome: times and identifiers of runs."""


def content() -> dict[str, list[tuple]]:
    """All that registration writes, without times of the run."""
    tables = [
        lab.Lab, lab.LabMember, lab.Project, lab.LabLocation, subject.Subject, subject.SubjectProject, subject.Implant,
        action.Weighing, action.WaterType, action.WaterAdministration, action.WaterRestriction, acquisition.Session,
        acquisition.SessionUser, acquisition.SessionProject, acquisition.SessionProcedure, acquisition.SessionWater,
        data.Repository, data.Revision, data.Dataset, data.FileRecord, data.AlfObject, data.SessionScan,
        data.Quarantine,
    ]  # fmt: skip
    recorded = {}
    for table in tables:
        unlike = UNLIKE.get(table.__name__, set())
        recorded[table.__name__] = rows(table, *(name for name in table.heading.names if name not in unlike))
    return recorded
