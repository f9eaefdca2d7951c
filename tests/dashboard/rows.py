"""Rows as registration and the workers would write them, for tests of queries without any file."""

from __future__ import annotations

import datetime
import importlib
import uuid

from pipeline.database.bulk import insert_many

DAY = datetime.date(2026, 3, 11)
"""The day on which sessions are, where nothing else is said."""
NAMES = ("lab", "subject", "session_date", "session_number")
RULES = {"criteria": "ibl_pipeline_2021", "criteria_version": 1}


def mice(*names: str, at: str = "here", **columns: object) -> None:
    """Animals of a lab."""
    from pipeline.schemas import subject

    for name in names:
        row = {"lab": at, "subject": name, "sex": "F", "subject_uuid": str(uuid.uuid4())} | columns
        insert_many(subject.Subject, {key: [value] for key, value in row.items()})


def session(
    mouse: str, date: datetime.date = DAY, number: int = 1, protocol: str = "training", **trials: object
) -> dict:
    """A session; with `n_trials` its trials are there too."""
    from pipeline.schemas import acquisition

    key = dict(zip(NAMES, ("here", mouse, date, number), strict=True))
    start = datetime.datetime.combine(date, datetime.time(1, 30))
    acquisition.Session.insert1(key | {"eid": str(uuid.uuid4()), "start_time": start, "task_protocol": protocol})
    if trials:
        task = {"task_collection": "alf"}
        acquisition.SessionTask.insert1(key | task | {"task_number": 0})
        write("behavior.TrialSet", key | task | {
            "trials_fingerprint": "0" * 32, "trials_start": 0.0, "trials_end": 600.0,
            "trials_complete": True, "columns_present": [], "columns_absent": [], "columns_refused": {},
            "columns_other": [],
        } | trials)  # fmt: skip
    return key


def write(label: str, row: dict) -> None:
    """A row of a populated table, as a worker would insert it."""
    schema, _, name = label.partition(".")
    one = getattr(importlib.import_module(f"pipeline.schemas.{schema}"), name)()
    one._allow_insert = True
    one.insert1(row)


def compute(key: dict, n_easy: int, n_correct: int, days: dict | None = None, **window: float) -> None:
    """Everything that the pages need of a session with trials."""
    mouse = {name: key[name] for name in ("lab", "subject")}
    key = key | {"task_collection": "alf"}
    write("behavior_analysis.SessionPerformance", key | {"n_easy": n_easy, "n_easy_correct": n_correct})
    write("behavior_analysis.PsychometricFit", key | {"n_blocks": 0})
    write("behavior_analysis.SubjectTraining", mouse | RULES | {
        "training_fingerprint": "0" * 32, "training_status": "trained_1a", "n_training_sessions": 1,
        "first_dates": {}, "days_to_status": days or {}, "missing_for_next": [],
    })  # fmt: skip
    write("behavior_analysis.SessionTrainingStatus", key | RULES | {"session_status": "trained_1a"} | window)
    write("behavior_analysis.BehaviorHistory", mouse | {"history_fingerprint": "0" * 32, "n_training_days": 1})
    write("behavior_analysis.DailySummary", mouse | {
        "session_date": key["session_date"], "day_sessions": 1, "day_trials": 1, "training_day": 1, "training_week": 0,
    })  # fmt: skip
