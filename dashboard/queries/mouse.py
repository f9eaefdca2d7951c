"""Everything the page of one mouse shows, in a handful of queries that touch only this mouse."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dashboard.queries import versions
from dashboard.queries.mouse_tasks import TaskOfMouse, tasks_of
from pipeline.database.bulk import fetch_columns, json_column
from pipeline.schemas import acquisition, action, behavior, behavior_analysis, data, ephys, lab, subject, task_analysis

Row = dict[str, Any]


@dataclass
class Mouse:
    """One mouse.

    Attributes
    ----------
    subject : its row of `subject.Subject`, with `projects` and `eids`.
    lab : time_zone, reference_weight_pct, zscore_weight_pct.
    training : its row of `SubjectTraining`, lists and dicts read; empty before there is one.
    rules : the rule set of that, as JSON text; None before there is one.
    statuses, days, performance, blocks, water : rows of `SessionTrainingStatus`, `DailySummary`, `SessionPerformance`,
        `PsychometricFit.Block` and `WaterStatus`, in order of date.
    waters : water_time (UTC), water_type, water_volume (mL), adlib, water_user.
    weighings : weighing_time (UTC), weight (g), weighing_user.
    probes : session_date, session_number, probe_label.
    forecast : its row of `TrainingTimeForecast.Mouse` with that of its lab; empty where nothing is told of it.
    tasks : its tasks, as their descriptions say.
    sessions : session_date, session_number, eid, start_time (UTC), task_protocol, rig, n_trials, performance_easy.
    """

    subject: Row
    lab: Row
    training: Row
    rules: str | None
    statuses: pa.Table
    days: pa.Table
    performance: pa.Table
    blocks: pa.Table
    water: pa.Table
    waters: pa.Table
    weighings: pa.Table
    restrictions: pa.Table
    implants: pa.Table
    sessions: pa.Table
    probes: pa.Table
    others: list[Row] = field(default_factory=list)
    forecast: Row = field(default_factory=dict)
    tasks: list[TaskOfMouse] = field(default_factory=list)

    @property
    def first_ephys_date(self) -> datetime.date | None:
        """The day of the first session with a probe."""
        return self.probes["session_date"][0].as_py() if self.probes.num_rows else None


def version(key: Row) -> str:
    """A short text that changes when anything that the page shows of this mouse changes; one statement."""
    counted = [
        (behavior_analysis.SubjectTraining, "training_fingerprint"),
        (behavior_analysis.BehaviorHistory, "history_fingerprint"),
        (action.WaterHistory, "water_fingerprint"),
        (behavior_analysis.TrainingTimeForecast.Mouse, "quartile_1"),
        (acquisition.Session, "session_date"),
        (behavior_analysis.SessionPerformance, "session_date"),
        (behavior_analysis.PsychometricFit, "session_date"),
        (behavior.TrialSet, "trials_fingerprint"),
        (task_analysis.TaskPerformance, "session_date"),
        (action.Weighing, "weighing_time"),
        (action.WaterAdministration, "administration_time"),
        (action.WaterRestriction, "restriction_start"),
        (action.Surgery, "surgery_start"),
        (action.OtherAction, "action_start"),
        (ephys.ProbeInsertion, "probe_label"),
        (subject.Housing, "housing_start"),
        (subject.Cull, "cull_date"),
    ]
    mouse = {"lab": key["lab"], "subject": key["subject"]}
    notes = (action.Note, "note_time", {"note_object_id": key["subject_uuid"]})
    return versions.of_rows([*((table, column, mouse) for table, column in counted), notes])


def find(name: str, at: str) -> Row | None:
    """The key of a mouse with its subject_uuid; None where there is none."""
    keys = fetch_columns(subject.Subject & {"lab": at, "subject": name}, "lab", "subject", "subject_uuid").to_pylist()
    return keys[0] if keys else None


def neighbours(key: Row) -> tuple[str | None, str | None]:
    """The names before and after this one in its lab: among the living for a living mouse, else among the dead."""
    same = {"lab": key["lab"]}
    alive = fetch_columns(subject.Subject & same & {"subject": key["subject"]}, "death_date")["death_date"][0].as_py()
    state = "death_date IS NULL" if alive is None else "death_date IS NOT NULL"
    names = fetch_columns(subject.Subject & same & state, "subject")["subject"].to_pylist()
    names.sort(key=str.casefold)
    place = names.index(key["subject"])
    return (names[place - 1] if place else None), (names[place + 1] if place + 1 < len(names) else None)


def mouse(key: Row, rules: str) -> Mouse:
    """All of one mouse.

    Parameters
    ----------
    key : lab, subject.
    rules : name of the rule set by which training is judged; its latest version counts.
    """
    key = {"lab": key["lab"], "subject": key["subject"]}
    row = fetch_columns(subject.Subject.proj(..., "-subject_json") & key).to_pylist()[0]
    row["projects"] = fetch_columns(subject.SubjectProject & key, "project", order_by="project")["project"].to_pylist()
    judged = _training(key, rules)
    statuses = behavior_analysis.SessionTrainingStatus & (judged or key | {"criteria": rules})
    order = "session_date, session_number"
    return Mouse(
        subject=row,
        lab=fetch_columns(lab.Lab & key, "time_zone", "reference_weight_pct", "zscore_weight_pct").to_pylist()[0],
        training=judged or {},
        rules=judged["rules"] if judged else None,
        statuses=fetch_columns(
            statuses, *order.split(", "), "session_status", "window_sessions", "window_bias", "window_threshold",
            "window_lapse_low", "window_lapse_high", order_by=order,
        ),
        days=fetch_columns(behavior_analysis.DailySummary & key, order_by="session_date"),
        performance=fetch_columns(
            behavior_analysis.SessionPerformance & key, *order.split(", "), "performance_easy", "response_time",
            "contrasts", "contrast_n", "contrast_n_right", order_by=order,
        ),
        blocks=fetch_columns(behavior_analysis.PsychometricFit.Block & key, order_by=f"{order}, block"),
        water=fetch_columns(action.WaterStatus & key, order_by="session_date"),
        waters=fetch_columns(action.WaterAdministration & key, order_by="administration_time"),
        weighings=fetch_columns(action.Weighing & key, order_by="weighing_time"),
        restrictions=fetch_columns(action.WaterRestriction & key, order_by="restriction_start"),
        implants=fetch_columns(subject.Implant & key, order_by="implant_date"),
        sessions=_sessions(key, order),
        probes=fetch_columns(
            ephys.ProbeInsertion & key, *order.split(", "), "probe_label", order_by=f"{order}, probe_label"
        ),
        others=_others(key, row["subject_uuid"]),
        forecast=_forecast(key),
        tasks=tasks_of(key),
    )  # fmt: skip


def _forecast(key: Row) -> Row:
    """What is told of its training time."""
    told = behavior_analysis.TrainingTimeForecast.Mouse * behavior_analysis.TrainingTimeForecast.proj(
        "forecast_mice", "forecast_edges", "forecast_f1"
    )
    return next(iter((told & {"lab": key["lab"], "subject": key["subject"]}).to_dicts()), {})


def _training(key: Row, rules: str) -> Row | None:
    """How far the training is, by the latest version of the rules."""
    table = fetch_columns(
        behavior_analysis.SubjectTraining * behavior_analysis.TrainingCriteria & key & {"criteria": rules},
        order_by="criteria_version DESC",
    )
    if not table.num_rows:
        return None
    row = table.slice(0, 1).to_pylist()[0]
    return row | {name: json.loads(row[name]) for name in ("first_dates", "days_to_status", "missing_for_next")}


def _sessions(key: Row, order: str) -> pa.Table:
    """All sessions, with the trials where they were read."""
    names = ("session_date", "session_number", "eid", "start_time", "task_protocol", "rig", "session_qc")
    sessions = fetch_columns(acquisition.Session.proj(*names[2:]) & key, *names, order_by=order)
    counts: dict[tuple, int] = {}
    for row in fetch_columns(behavior.TrialSet & key, *names[:2], "n_trials").to_pylist():
        counts[tuple(row.values())[:2]] = counts.get(tuple(row.values())[:2], 0) + row["n_trials"]
    keys = zip(sessions["session_date"].to_pylist(), sessions["session_number"].to_pylist(), strict=True)
    return sessions.append_column("n_trials", pa.array([counts.get(item) for item in keys], pa.int32()))


def _others(key: Row, subject_uuid: str) -> list[Row]:
    """What was done to the mouse beside weighing and water: when, kind, words, who; with times in UTC or as dates."""
    events: list[Row] = []

    def add(kind: str, when: Any, *words: str | None, who: str | None = None, is_note: bool = False) -> None:
        text = "; ".join(word for word in words if word)
        events.append({"kind": kind, "when": when, "text": text, "who": who, "is_note": is_note})

    surgeries = fetch_columns(action.Surgery & key).to_pylist()
    if surgeries:
        done: dict[Any, list[str]] = {}
        for part in fetch_columns(action.Surgery.Procedure & key).to_pylist():
            done.setdefault(part["surgery_start"], []).append(part["procedure_type"])
        for row in surgeries:
            procedures = ", ".join(done.get(row["surgery_start"], []))
            add("surgery", row["surgery_start"], procedures, row["surgery_outcome"])
            if row["surgery_narrative"]:
                add("surgery", row["surgery_start"], row["surgery_narrative"], is_note=True)
    for row in fetch_columns(action.VirusInjection & key).to_pylist():
        volume = f"{row['injection_volume']:g} nL" if row["injection_volume"] is not None else ""
        add("injection", row["injection_time"], row["virus_name"], volume)
    for row in fetch_columns(action.OtherAction & key).to_pylist():
        add("other", row["action_start"], row["action_description"], who=row["action_user"], is_note=True)
    for row in fetch_columns(subject.Implant & key).to_pylist():
        add("implant", row["implant_date"], f"{row['implant_weight']:g} g")
        if row["implant_description"]:
            add("implant", row["implant_date"], row["implant_description"], is_note=True)
    for row in fetch_columns(subject.Housing & key).to_pylist():
        add("housing", row["housing_start"], row["cage_name"], row["cage_type"], row["housing_food"], is_note=True)
    for row in fetch_columns(subject.Cull & key).to_pylist():
        add("death", row["cull_date"], row["cull_reason"], row["cull_method"], who=row["cull_user"])
    names = ("note_time", "note_user", "note_text", "note_object")
    of_subject = fetch_columns(action.Note & {"note_object_id": subject_uuid}, *names).to_pylist()
    sessions = acquisition.Session.proj(note_object_id="eid") & key
    noted = action.Note().join(sessions, semantic_check=False)  # an id of any object: no foreign key says of which
    of_sessions = fetch_columns(noted, *names).to_pylist()
    for row in of_subject + of_sessions:
        add("note", row["note_time"], row["note_text"], who=row["note_user"], is_note=True)
    refused = data.Quarantine.proj("lab", "subject", "session_date", "session_number", "reason", "resolved")
    for row in fetch_columns(refused & key & "resolved IS NULL").to_pylist():
        words = f"session {row['session_number']}" if row["session_number"] else ""
        add("refused file", row["session_date"], row["reason"].replace("_", " "), words)
    return events


def chosen_blocks(record: Mouse, sessions: list[tuple[datetime.date, int]]) -> pa.Table:
    """The rows of `blocks` of some sessions."""
    wanted = set(sessions)
    dates, numbers = (record.blocks[name].to_pylist() for name in ("session_date", "session_number"))
    return record.blocks.filter(pa.array([pair in wanted for pair in zip(dates, numbers, strict=True)], pa.bool_()))


__all__ = ["Mouse", "chosen_blocks", "find", "json_column", "mouse", "neighbours", "version"]
