"""A database of the size of a collaboration for the measurements of the dashboard: simulated mice of several labs, from
their trials through the analyses, without any file. 16,000 sessions of 300 mice in less than two minutes.

`fill(n_mice, n_sessions)` writes every row that registration and the workers would have written, with the fingerprints
that they would have (so nothing is stale); rows of single trials for the latest mice of each lab only. A few sessions
wait to be read, failed or are in quarantine. `python -m benchmarks.dashboard_lab HOME` makes such a home to look at.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dashboard_life import LABS, LINES, PROJECTS, Plan, make_plans, simulate

SPACE = uuid.UUID("22222222-2222-3333-8444-666666666666")
FILES = (
    "alf/_ibl_trials.table.pqt", "alf/_ibl_trials.stimOff_times.npy", "alf/_ibl_wheel.position.npy",
    "alf/_ibl_wheel.timestamps.npy", "raw_behavior_data/_iblrig_taskData.raw.jsonable",
    "raw_behavior_data/_iblrig_taskSettings.raw.json", "raw_video_data/_iblrig_leftCamera.raw.mp4",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, help="NEUROJOINT_HOME of the database to make")
    parser.add_argument("--mice", type=int, default=300)
    parser.add_argument("--sessions", type=int, default=16_000)
    options = parser.parse_args()
    options.home.mkdir(mode=0o711, parents=True, exist_ok=True)
    options.home.chmod(0o711)
    os.environ["NEUROJOINT_HOME"] = str(options.home)
    began = time.perf_counter()
    counts = fill(options.mice, options.sessions)
    print(f"{sum(counts.values()):,} rows in {time.perf_counter() - began:.0f} s")


def fill(
    n_mice: int = 300,
    n_sessions: int = 16_000,
    labs: Sequence[str] = tuple(LABS),
    today: datetime.date | None = None,
    seed: int = 0,
    processes: int = 3,
) -> dict[str, int]:
    """Connect and write the lab; table -> rows.

    Parameters
    ----------
    today : the last day, with sessions on it if it is a working day.
    """
    plans = make_plans(n_mice, n_sessions, labs, today or datetime.date.today(), seed)
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            lives = list(pool.map(simulate, plans, chunksize=4))
    else:
        lives = [simulate(plan) for plan in plans]
    import pipeline

    connection = pipeline.connect()
    writer = _Writer()
    with connection.transaction:
        _write_people(writer, plans, labs)
        _write_mice(writer, plans, lives)
        _write_sessions(writer, plans, lives)
        _write_analyses(writer, plans, lives)
    _write_jobs(plans, lives)
    connection.query("ANALYZE")
    return writer.counts


class _Writer:
    """Inserts columns or rows, into populated tables too, and counts them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __call__(self, table: Any, rows: Any) -> None:
        from pipeline.database import registry
        from pipeline.database.bulk import insert_many

        if isinstance(rows, list):
            if not rows:
                return
            rows = {name: [row[name] for row in rows] for name in rows[0]}
        one = table()
        one._allow_insert = True
        label = registry.label(table)
        self.counts[label] = self.counts.get(label, 0) + insert_many(one, rows)


def _write_people(write: _Writer, plans: list[Plan], labs: Sequence[str]) -> None:
    from pipeline.database.bulk import insert_many
    from pipeline.schemas import action, data, lab, subject

    users = sorted({plan.user for plan in plans})
    zones = [LABS.get(name, "UTC") for name in labs]
    write(lab.Lab, {"lab": list(labs), "lab_name": [f"{name.title()} laboratory" for name in labs], "time_zone": zones})
    write(lab.LabMember, {"user_name": users, "full_name": [user.title() for user in users]})
    write(lab.Project, {"project": sorted(set(PROJECTS))})
    write(subject.Line, {"line": sorted(set(LINES))})
    insert_many(action.WaterType, {"water_type": ["Water 10% Sucrose", "Hydrogel"]}, on_duplicate="skip")
    write(data.Repository, {"repository": "local", "repository_kind": "local", "repository_root": "/data/alf"})


def _write_mice(write: _Writer, plans: list[Plan], lives: list[dict]) -> None:
    from pipeline.schemas import action, subject

    pairs = list(zip(plans, lives, strict=True))
    write(subject.Subject, [
        {"lab": plan.lab, "subject": plan.mouse.subject, "subject_uuid": str(uuid.uuid3(SPACE, plan.mouse.subject)),
         "sex": plan.mouse.sex, "birth_date": plan.mouse.birth_date, "death_date": life["death"],
         "species": "Mus musculus", "line": plan.line, "strain": "C57BL/6J", "responsible_user": plan.user,
         "cage": f"cage{plan.index // 3:02d}", "subject_description": f"simulated, {plan.mouse.kind}"}
        for plan, life in pairs
    ])  # fmt: skip
    write(subject.SubjectProject, [_key(plan) | {"project": plan.project} for plan, _ in pairs])
    write(
        action.Weighing, [_key(p) | row | {"weighing_user": p.user} for p, life in pairs for row in life["weighings"]]
    )
    names = ("administration_time", "water_volume", "water_type", "adlib")
    write(
        action.WaterAdministration,
        [_key(p) | {name: row[name] for name in names} for p, life in pairs for row in life["waters"]],
    )
    write(action.WaterRestriction, [_key(plan) | row for plan, life in pairs for row in life["restrictions"]])
    before = datetime.timedelta(days=21)
    surgery = [
        _key(plan)
        | {"surgery_start": datetime.datetime.combine(plan.start, datetime.time(10)) - before}
        | {"surgery_narrative": "headplate"}
        for plan in plans
    ]
    write(action.Surgery, surgery)
    write(action.Surgery.Procedure, [
        {name: row[name] for name in ("lab", "subject", "surgery_start")} | {"procedure_type": "Headplate implant"}
        for row in surgery
    ])  # fmt: skip


def _write_sessions(write: _Writer, plans: list[Plan], lives: list[dict]) -> None:
    from pipeline.schemas import acquisition, data

    sessions, users, projects, in_session, objects = [], [], [], [], []
    for plan, life in zip(plans, lives, strict=True):
        for number, row in enumerate(life["sessions"]):
            key = _key(plan) | {name: row[name] for name in ("session_date", "session_number")}
            path = "/".join(map(str, key.values()))
            sessions.append(row | key | {"eid": str(uuid.uuid3(SPACE, path))})
            users.append(key | {"user_name": plan.user})
            projects.append(key | {"project": plan.project})
            is_last = number == len(life["sessions"]) - 1
            if not (is_last and plan.unread in ("absent", "refused")):
                digest = uuid.uuid3(SPACE, f"trials {path}").hex
                objects.append(key | {"object_collection": "alf", "object_name": "trials", "object_fingerprint": digest,
                                      "accepted_columns": ",choice,", "refused_columns": {}})  # fmt: skip
        ends = iter(life["sessions"])
        for row in life["waters"]:
            if row["session_number"]:
                session = next(ends)
                in_session.append(_key(plan) | {name: session[name] for name in ("session_date", "session_number")}
                                  | {"administration_time": row["administration_time"]})  # fmt: skip
    for row in sessions:
        row.pop("water")
    write(acquisition.Session, sessions)
    write(acquisition.SessionUser, users)
    write(acquisition.SessionProject, projects)
    write(acquisition.SessionWater, in_session)
    write(data.AlfObject, objects)
    _write_datasets(write, sessions)


def _write_datasets(write: _Writer, sessions: list[dict]) -> None:
    """The files of each session, of which only the records exist."""
    from pipeline.schemas import data

    n = len(FILES)
    own = {
        name: [row[name] for row in sessions for _ in FILES]
        for name in ("lab", "subject", "session_date", "session_number")
    }
    ids = [str(uuid.uuid3(SPACE, f"{row['eid']}/{name}")) for row in sessions for name in FILES]
    parts = [name.rpartition("/")[2].split(".", 2) for name in FILES]
    hashes, now = [id_.replace("-", "") for id_ in ids], datetime.datetime(2026, 1, 1)
    sizes = [8128 + 4096 * (i % n) for i in range(len(ids))]
    write(data.Dataset, own | {
        "dataset_id": ids, "rel_path": list(FILES) * len(sessions),
        "collection": [name.rpartition("/")[0] for name in FILES] * len(sessions),
        "alf_object": [part[0].rpartition("_")[2] for part in parts] * len(sessions),
        "alf_attribute": [part[1] for part in parts] * len(sessions),
        "extension": [part[2] for part in parts] * len(sessions), "dataset_hash": hashes, "file_size": sizes,
        "default_dataset": True, "registered": now,
    })  # fmt: skip
    write(data.FileRecord, {
        "dataset_id": ids, "repository": "local",
        "file_path": [f"{row['lab']}/Subjects/{row['subject']}/{row['session_date']}/{row['session_number']:03d}/{name}"
                      for row in sessions for name in FILES],
        "file_state": "online", "record_size": sizes, "record_hash": hashes, "modified_ns": 0, "verified": now,
    })  # fmt: skip


def _write_analyses(write: _Writer, plans: list[Plan], lives: list[dict]) -> None:
    """What the workers compute, from what `simulate` returned."""
    from pipeline.analysis import behavior_columns
    from pipeline.schemas import acquisition, action, behavior, behavior_analysis

    def rows(name: str) -> list[dict]:
        return [_key(plan) | row for plan, life in zip(plans, lives, strict=True) for row in life[name]]

    read = rows("read")
    task = {"task_collection": "alf"}
    names = ("lab", "subject", "session_date", "session_number")
    tasks = [{name: row[name] for name in names} | task | {"task_number": 0} for row in read]
    write(acquisition.SessionTask, tasks)
    current = _fingerprints(behavior.TrialSet())
    for row in read:
        key = tuple((row | task)[name] for name in (*names, "task_collection"))
        row |= task | {"trials_fingerprint": current[key], "trials_complete": True,
                "columns_absent": [], "columns_refused": {}, "columns_other": []}  # fmt: skip
    write(behavior.TrialSet, read)
    for plan, life in zip(plans, lives, strict=True):
        if life["trials"]:
            write(behavior.TrialSet.Trial, _key(plan) | task | _stacked(life["trials"]))
    write(behavior_analysis.SessionPerformance, [row | task for row in rows("performance")])
    write(behavior_analysis.PsychometricFit, [row | task for row in rows("fits")])
    write(behavior_analysis.PsychometricFit.Block, [row | task for row in rows("blocks")])
    current = _fingerprints(behavior_analysis.SubjectTraining())
    training, statuses, versions = [], [], dict(_versions())
    for plan, life in zip(plans, lives, strict=True):
        for name, course in life["training"].items():
            if course.sessions:
                key = _key(plan) | {"criteria": name, "criteria_version": versions[name]}
                training.append(key | {"training_fingerprint": current[tuple(key.values())]} | _course_row(course))
                statuses += [key | behavior_columns.of_status(session) for session in course.sessions]
    write(behavior_analysis.SubjectTraining, training)
    write(behavior_analysis.SessionTrainingStatus, statuses)
    current = _fingerprints(behavior_analysis.BehaviorHistory())
    histories, days = [], []
    for plan, life in zip(plans, lives, strict=True):
        if life["read"]:
            fingerprint = {"history_fingerprint": current[tuple(_key(plan).values())]}
            histories.append(_key(plan) | fingerprint | _history_row(life["days"]))
            days.append(_key(plan) | _day_columns(life["days"]))
    write(behavior_analysis.BehaviorHistory, histories)
    for columns in days:
        write(behavior_analysis.DailySummary, columns)
    _write_water(write, plans, _fingerprints(action.WaterHistory()))


def _write_water(write: _Writer, plans: list[Plan], current: dict[tuple, str]) -> None:
    """The water history from the rows just written, by the code of the table itself."""
    from pipeline.analysis import water
    from pipeline.schemas import action
    from pipeline.schemas.inputs import water_history

    for plan in plans:
        key = _key(plan)
        days = water.water_days(**water_history.water_arguments(key))
        weighings = days.dates[days.weighed].tolist()
        write(action.WaterHistory, [key | {
            "water_fingerprint": current[tuple(key.values())], "n_restriction_days": int(days.restricted.sum()),
            "last_weighing_date": weighings[-1] if weighings else None,
        }])  # fmt: skip
        names = {"dates": "session_date", "weight": "day_weight", "reference_weight": "day_reference_weight",
                 "adlib": "day_adlib"}  # fmt: skip
        write(action.WaterStatus, key | {names.get(name, name): values for name, values in vars(days).items()})


def _write_jobs(plans: list[Plan], lives: list[dict]) -> None:
    """The queue as workers leave it: some sessions wait, some failed; what was refused is in quarantine."""
    from pipeline.alf.reasons import REASONS
    from pipeline.database import registry
    from pipeline.database.bulk import insert_many
    from pipeline.schemas import behavior, data
    from pipeline.worker import Queue

    Queue(registry.populated_tables()).schedule()
    jobs, now, turn = behavior.TrialSet().jobs, datetime.datetime.now(datetime.UTC).replace(tzinfo=None), 0
    for plan, life in zip(plans, lives, strict=True):
        session = life["sessions"][-1]
        key = _key(plan) | {name: session[name] for name in ("session_date", "session_number")}
        path = f"{plan.lab}/Subjects/{plan.mouse.subject}/{session['session_date']}/{session['session_number']:03d}/alf"
        if plan.unread == "failed":
            turn += 1
            message = "MemoryError: there is not enough memory: use fewer processes"
            if turn % 3:
                message = f"InvalidData: {path}/_ibl_trials.table.pqt: changed since it was registered: ingest again"
            jobs.error(key, message, f"Traceback (most recent call last):\n  …\n{message}")
        elif plan.unread == "refused":
            reason = ("truncated", "unequal_length", "time_backwards")[plan.index % 3]
            name = f"{path}/_ibl_trials.table.pqt"
            insert_many(data.Quarantine, key | {
                "quarantine_id": uuid.uuid3(SPACE, name).hex, "repository": "local", "quarantine_path": name,
                "reason": reason, "detail": REASONS[reason][0], "remedy": REASONS[reason][1], "first_seen": now,
                "last_seen": now,
            })  # fmt: skip


def _stacked(sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """The columns of several sessions one after the other; NaN where a session lacks a column."""
    names = dict.fromkeys(name for session in sessions for name in session)
    sizes = [len(session["trial_id"]) for session in sessions]
    columns: dict[str, Any] = {}
    for name in names:
        parts = [session.get(name, np.nan) for session in sessions]
        if name in ("session_date", "session_number"):
            columns[name] = [value for value, size in zip(parts, sizes, strict=True) for _ in range(size)]
        else:
            full = [np.broadcast_to(part, size) for part, size in zip(parts, sizes, strict=True)]
            columns[name] = np.concatenate(full)
    return columns


def _fingerprints(table: Any) -> dict[tuple, str]:
    """Primary key -> the fingerprint that its row has when it is up to date."""
    current = table.current_fingerprints().select([*table.primary_key, "fingerprint"])
    return {row[:-1]: row[-1] for row in zip(*(column.to_pylist() for column in current.columns), strict=True)}


def _course_row(course: Any) -> dict[str, Any]:
    return {
        "training_status": course.status,
        "n_training_sessions": sum(session.level is not None for session in course.sessions),
        "first_dates": {step.status: str(step.session_date) for step in course.milestones},
        "days_to_status": {step.status: step.training_day for step in course.milestones},
        "next_status": course.next_status or "",
        "missing_for_next": [item.words for item in course.missing],
    }


def _history_row(days: Any) -> dict[str, Any]:
    trained = days.dates[days.training_day > 0].tolist()
    first, last = (trained[0], trained[-1]) if trained else (None, None)
    count = int(days.training_day[-1])
    return {"n_training_days": count, "first_training_date": first, "last_training_date": last}


def _day_columns(days: Any) -> dict[str, Any]:
    names = {"dates": "session_date", "training_day": "training_day", "training_week": "training_week"}
    names |= {"n_sessions": "day_sessions", "n_trials": "day_trials"}
    return {names.get(name, f"day_{name}"): values for name, values in vars(days).items()}


def _versions() -> list[tuple[str, int]]:
    from pipeline.analysis import criteria

    return [(name, rules.version) for name, rules in criteria.RULE_SETS.items()]


def _key(plan: Plan) -> dict[str, str]:
    return {"lab": plan.lab, "subject": plan.mouse.subject}


if __name__ == "__main__":
    main()
