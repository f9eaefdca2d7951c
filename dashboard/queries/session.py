"""Everything the page of one session shows, in a handful of queries that touch only this session and its mouse."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dashboard.queries import versions
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.entry import policy as rights
from pipeline.errors import NotFoundError
from pipeline.policy import policy
from pipeline.queries import timeline
from pipeline.schemas import (
    acquisition,
    action,
    behavior,
    behavior_analysis,
    data,
    ephys,
    lab,
    photostimulation,
    selection,
    task,
    task_analysis,
)
from pipeline.schemas.inputs import local_copies, wheel_trace
from pipeline.tasks import by_people
from pipeline.tasks.queue import Queue

Row = dict[str, Any]
KEY = ("lab", "subject", "session_date", "session_number")
TRIAL_COLUMNS = (
    "trial_id", "intervals_0", "intervals_1", "stim_on_times", "go_cue_times", "go_cue_trigger_times",
    "first_movement_times", "response_times", "feedback_times", "choice", "feedback_type", "contrast_left",
    "contrast_right", "probability_left", "reward_volume",
)  # fmt: skip
"""The columns of trials that the figures need."""


@dataclass
class Session:
    """One session; empty or None where there is nothing of a kind yet.

    Attributes
    ----------
    row : of `acquisition.Session`, with `time_zone`, and with `users`, `projects` and `procedures` as lists.
    tasks : all tasks: task_collection, protocol, and n_trials, trials_protocol, trials_qc where trials were read.
    trial_set, performance, fit, moves : of the task that is shown (see `behavior.task_of`), rows of `TrialSet`,
        `SessionPerformance`, `PsychometricFit` and `WheelMoveSet`.
    status : session_status after this session, by the latest version of the rules.
    blocks, trials : rows of `PsychometricFit.Block`, and of `TrialSet.Trial` in order.
    insertions : probe_label and insertion_qc.
    files : rel_path, dataset_id, file_size, dataset_qc, default_dataset, dataset_online, is_public; by path.
    objects : rows of `AlfObject`, with `accepted` as a set of columns.
    quarantine : open rows of `Quarantine`.
    jobs : table, status and error_message of what is not computed.
    notes : note_time (UTC), note_user, note_text.
    described : of a task that the lab describes, the row of `TaskPerformance` with `curves`, `levels` and `blocks`.
    light : rows of `StimulationEffect.Site`, `all` first, with `effect_missing`; None without light in the session.
    comparisons : rows of `TrialComparison` of the latest version of each comparison, with its conditions.
    before, after : session_date and session_number of the neighbours of the same mouse.
    """

    row: Row
    trial_set: Row | None
    performance: Row | None
    fit: Row | None
    moves: Row | None
    status: Row | None
    tasks: list[Row]
    blocks: pa.Table
    trials: pa.Table
    insertions: list[Row]
    files: list[Row]
    objects: list[Row]
    quarantine: list[Row]
    jobs: list[Row]
    notes: list[Row]
    described: Row | None = None
    light: list[Row] | None = None
    comparisons: list[Row] = field(default_factory=list)
    before: tuple[datetime.date, int] | None = None
    after: tuple[datetime.date, int] | None = None

    @property
    def has_wheel(self) -> bool:
        """Whether registration accepted what the trace of the wheel needs."""
        return any(
            row["object_name"] == "wheel" and {"position", "timestamps"} <= row["accepted"] for row in self.objects
        )


def version(key: Mapping[str, Any]) -> str:
    """A short text that changes when what the page shows of this session changes; one statement."""
    counted = (
        (acquisition.Session, "session_qc"),
        (behavior.TrialSet, "trials_fingerprint"),
        (behavior.WheelMoveSet, "wheel_fingerprint"),
        (behavior_analysis.SessionPerformance, "session_number"),
        (behavior_analysis.PsychometricFit, "session_number"),
        (behavior_analysis.SessionTrainingStatus, "session_status"),
        (task_analysis.TaskPerformance, "session_number"),
        (task_analysis.TrialComparison, "comparison_version"),
        (photostimulation.StimulationSet, "stimulation_fingerprint"),
        (photostimulation.StimulationEffect, "session_number"),
        (data.Dataset, "registered"),
        (data.AlfObject, "object_fingerprint"),
        (data.Quarantine, "last_seen"),
        (ephys.ProbeInsertion, "insertion_qc"),
        (task.Task, "task_changed"),
    )
    session = {name: key[name] for name in KEY}
    return versions.of_rows([(table, column, session) for table, column in counted])


def session(key: Mapping[str, Any], rules: str) -> Session | None:
    """A session; None where there is no such session.

    Parameters
    ----------
    key : its primary key.
    rules : name of the rule set by which training is judged; its latest version counts.
    """
    key = {name: key[name] for name in KEY}
    row = _one(acquisition.Session.proj(..., "-session_json") * lab.Lab.proj("time_zone") & key)
    if row is None:
        return None
    task = _task(key)
    trial_set = _one(behavior.TrialSet & task)
    judged = behavior_analysis.SessionTrainingStatus & task & {"criteria": rules}
    status = fetch_columns(judged, "session_status", order_by="criteria_version DESC").to_pylist()
    trials = fetch_columns(behavior.TrialSet.Trial & task, *TRIAL_COLUMNS, order_by="trial_id")
    before, after = _neighbours(key)
    return Session(
        row=row | {"extended_qc": _json(row["extended_qc"]) or {}} | _people(key),
        trial_set=trial_set and trial_set | {
            name: _json(trial_set[name]) or [] for name in ("columns_absent", "trials_checks")
        },
        performance=_one(behavior_analysis.SessionPerformance & task),
        fit=_one(behavior_analysis.PsychometricFit & task),
        moves=_one(behavior.WheelMoveSet & task),
        tasks=_tasks(key),
        status=status[0] if status else None,
        blocks=fetch_columns(behavior_analysis.PsychometricFit.Block & task, order_by="block"),
        trials=trials,
        insertions=fetch_columns(
            ephys.ProbeInsertion & key, "probe_label", "insertion_qc", order_by="probe_label").to_pylist(),
        files=_files(key),
        objects=[
            item | {"accepted": set(item["accepted_columns"].split(",")) - {""}}
            for item in fetch_columns(data.AlfObject & key, order_by="object_collection, object_name").to_pylist()
        ],
        quarantine=fetch_columns(
            data.Quarantine & key & "resolved IS NULL", "quarantine_path", "quarantine_column", "reason", "detail",
            "remedy", "last_seen", order_by="quarantine_path, quarantine_column").to_pylist(),
        jobs=_jobs(key),
        notes=fetch_columns(
            action.Note & {"note_object_id": row["eid"]}, "note_time", "note_user", "note_text",
            order_by="note_time").to_pylist(),
        described=_described(task),
        light=_light(key, task),
        comparisons=_comparisons(task),
        before=before,
        after=after,
    )  # fmt: skip


def timeline_of(key: Mapping[str, Any]) -> list[timeline.Step]:
    """Where a session is, from rig to tables; nothing where no lab server has reported it."""
    if not (task.SessionPlan & key) and not (task.Task & key):
        return []
    return timeline.of_session(key)


def change_task(name: str, task_uuid: str, user: str, role: str) -> str:
    """Hold, let go, abandon or restart a task for somebody who may, and write down who did; returns what was done.

    Raises
    ------
    NotFoundError : there is no such change, or no such task.
    PermissionDenied : the person may not change the tasks of its lab.
    """
    if name not in by_people.CHANGES:
        raise NotFoundError(f"tasks have no {name!r}", f"use {', '.join(by_people.CHANGES)}")
    queue = Queue()
    row = queue.get(task_uuid)
    n_changed = by_people.change(queue, name, [row], rights.person_of(user, role))
    return f"{row['task_name']}: {by_people.CHANGES[name].done if n_changed else 'nothing to change any more'}"


def trials(key: Mapping[str, Any], ids: Sequence[int]) -> pa.Table:
    """Some trials of a session, by `trial_id`."""
    numbers = ", ".join(str(int(id_)) for id_ in ids) or "-1"
    task = _task({name: key[name] for name in KEY})
    query = behavior.TrialSet.Trial & task & f"trial_id IN ({numbers})"
    return fetch_columns(query, *TRIAL_COLUMNS, order_by="trial_id")


def wheel_of(key: Mapping[str, Any]) -> tuple[int, str]:
    """How many trials a session has, and the fingerprint of its wheel files; 0 and empty where there are none."""
    key = {name: key[name] for name in KEY}
    n_trials = fetch_columns(behavior.TrialSet & _task(key), "n_trials")["n_trials"].to_pylist()
    wanted = data.AlfObject & key & {"object_name": "wheel"}
    fingerprints = fetch_columns(wanted, "object_fingerprint", order_by="object_collection")[
        "object_fingerprint"
    ].to_pylist()
    return (n_trials or [0])[0], "".join(fingerprints)


def wheel(key: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Times (s from session start) and position (rad, counter-clockwise positive) of the wheel, from the file.

    Raises
    ------
    InvalidData : the file is absent, refused, or not as it was registered.
    """
    trace = wheel_trace.read(_task(key))
    return trace.times, trace.turned.position


def _task(key: Mapping[str, Any]) -> Row:
    """The key of the task that the page shows; that of the session where it has no trials."""
    session = {name: key[name] for name in KEY}
    return behavior.task_of(session) if behavior.TrialSet & session else session


def _light(key: Row, task: Row) -> list[Row] | None:
    """What light did in the trials of a task, a row a site; None without light in the session."""
    if not photostimulation.StimulationSet & key:
        return None
    effect = photostimulation.StimulationEffect.proj("effect_missing") * photostimulation.StimulationEffect.Site & task
    return sorted(fetch_columns(effect).to_pylist(), key=lambda row: (row["effect_site"] != "all", row["effect_site"]))


def _comparisons(task: Row) -> list[Row]:
    """The comparisons of the trials of a task, each by its latest version."""
    rows = fetch_columns(task_analysis.TrialComparison * selection.Comparison & task, order_by="comparison_version")
    latest = {row["comparison_name"]: row for row in rows.to_pylist()}
    return [latest[name] for name in sorted(latest)]


def _tasks(key: Mapping[str, Any]) -> list[Row]:
    """All tasks of a session, with the trials of those that were read."""
    tasks = fetch_columns(
        acquisition.SessionTask & key, "task_collection", "protocol", "task_number", order_by="task_number"
    ).to_pylist()
    names = ("task_collection", "n_trials", "trials_protocol", "trials_qc")
    read = {row["task_collection"]: row for row in fetch_columns(behavior.TrialSet & key, *names).to_pylist()}
    return [dict.fromkeys(names[1:]) | item | read.get(item["task_collection"], {}) for item in tasks]


@dataclass(frozen=True)
class File:
    """A registered file that may be sent."""

    path: Path
    name: str


def has_session(eid: str) -> bool:
    """Whether there is a session of this eid."""
    return bool(len(acquisition.Session & {"eid": eid}))


def file(dataset_id: str, public: bool) -> File | None:
    """The file of a dataset on this computer, as it was registered.

    Parameters
    ----------
    public : only if a tag says that the dataset is for everyone.

    Returns
    -------
    None where there is no such dataset, or where it may not be sent.

    Raises
    ------
    InvalidData : no copy is here, it leads out of its root, or it has changed since it was registered.
    """
    names = (*KEY, "rel_path", "dataset_hash")
    rows = fetch_columns(data.Dataset & {"dataset_id": dataset_id}, *names).to_pylist()
    if not rows or (public and not _public({"dataset_id": dataset_id})):
        return None
    if public and policy.hidden(rows, policy.current().embargoed) == []:
        return None
    path = rows[0]["rel_path"]
    paths = local_copies.paths_of(rows[0], {path: rows[0]["dataset_hash"]})
    return File(paths[path], path.rpartition("/")[2])


def _one(query: Any) -> Row | None:
    rows = fetch_columns(query).to_pylist()
    return rows[0] if rows else None


def _described(task: Row) -> Row | None:
    """The summary of a task that the lab describes, with its parts."""
    table = task_analysis.TaskPerformance
    rows = (table & task).to_dicts()
    if not rows:
        return None
    parts = {
        "curves": (table.Curve, "curve_block"),
        "levels": (table.Level, "level_id"),
        "blocks": (table.Block, "block_id"),
    }
    return rows[0] | {name: (part & task).to_dicts(order_by=order) for name, (part, order) in parts.items()}


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _values(key: Mapping[str, Any]) -> tuple:
    return tuple(key[name] for name in KEY)


def _people(key: Row) -> dict[str, list[str]]:
    """Who ran the session, for which projects, with which procedures; one statement."""
    asked = {
        "users": (acquisition.SessionUser, "user_name"),
        "projects": (acquisition.SessionProject, "project"),
        "procedures": (acquisition.SessionProcedure, "procedure_type"),
    }
    connection = acquisition.Session().connection
    quote = connection.adapter.quote_identifier
    where = " AND ".join(f"{quote(name)} = %s" for name in KEY)
    selects = [
        f"SELECT '{kind}', {quote(name)} FROM {table().full_table_name} WHERE {where}"
        for kind, (table, name) in asked.items()
    ]
    rows = connection.query(" UNION ALL ".join(selects), _values(key) * len(asked)).fetchall()
    return {kind: sorted(value for one, value in rows if one == kind) for kind in asked}


def _neighbours(key: Row) -> tuple[tuple | None, tuple | None]:
    """The sessions before and after this one of the same mouse."""
    mouse = {"lab": key["lab"], "subject": key["subject"]}
    table = fetch_columns(acquisition.Session & mouse, *KEY[2:], order_by=", ".join(KEY[2:]))
    places = list(zip(*(table[name].to_pylist() for name in KEY[2:]), strict=True))
    at = places.index((key["session_date"], key["session_number"]))
    return (places[at - 1] if at else None), (places[at + 1] if at + 1 < len(places) else None)


def _files(key: Row) -> list[Row]:
    names = ("rel_path", "dataset_id", "file_size", "dataset_qc", "default_dataset", "dataset_online", "registered")
    rows = fetch_columns(data.Dataset & key, *names, order_by="rel_path").to_pylist()
    public = _public(key)
    return [row | {"is_public": row["dataset_id"] in public} for row in rows]


def _public(chosen: Row) -> set[str]:
    """The datasets that a tag makes public, among some."""
    query = data.Dataset * data.DatasetTag * (data.Tag & {"tag_public": True}) & chosen
    return set(fetch_columns(query, "dataset_id")["dataset_id"].to_pylist())


def _jobs(key: Row) -> list[Row]:
    """What is to be computed of this session and is not, or could not be; one statement over all tables."""
    session_table = acquisition.Session()
    labels, sql = _jobs_sql(session_table.full_table_name)
    rows = session_table.connection.query(sql, _values(key) * len(labels)).fetchall()
    return [
        {"table": labels[number], "status": status, "error_message": message or ""}
        for number, status, message in sorted(rows)
    ]


@functools.lru_cache(maxsize=8)
def _jobs_sql(_: str) -> tuple[list[str], str]:
    """The tables whose jobs are of one session each, and the SQL that asks for those; slow to find out, so kept.

    Parameters
    ----------
    _ : the table of sessions, which says in which database this is.
    """
    quote = acquisition.Session().connection.adapter.quote_identifier
    where = " AND ".join(f"{quote(name)} = %s" for name in KEY)
    tables = [
        populated_table
        for populated_table in registry.populated_tables()
        if set(KEY) <= set(populated_table().primary_key)
    ]
    selects = [
        f"SELECT {number}, concat(status, ''), error_message FROM {registry.jobs_name(one())} WHERE {where} "
        "AND status IN ('pending', 'reserved', 'error')"
        for number, one in enumerate(tables)
    ]
    return [registry.label(table) for table in tables], " UNION ALL ".join(selects)
