"""Where a session is: one time line from rig to figure, with what is missing and who must act."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import NotFoundError, UserError
from pipeline.schemas import acquisition, action, behavior, behavior_analysis, data, ephys, task, transfer
from pipeline.tasks import hosts, states, submit
from pipeline.tasks.by_people import CHANGES
from pipeline.tasks.plan import filled, matching

SESSION = ("lab", "subject", "session_date", "session_number")
_FILTERS = {
    "lab": "lab", "subject": "subject", "date": "session_date", "kind": "kind_name", "name": "task_name",
    "host": "task_host", "exit": "task_exit",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One step of a session.

    Attributes
    ----------
    stage : rig, planned, task, files, transfer, quarantine, table, quality
    what : in words
    mark : `+` done, `>` under way, `.` to come, `!` somebody must act
    time : UTC, when it was done or changed last
    seconds : how long it took
    who : must act, and what to do; empty where nobody has to
    task : identifier of the task that it is about; empty where it is about none
    changes : what people may do to that task now: names of `pipeline.tasks.by_people.CHANGES`
    """

    stage: str
    what: str
    mark: str = "+"
    time: datetime.datetime | None = None
    seconds: float | None = None
    who: str = ""
    task: str = ""
    changes: tuple[str, ...] = ()


def session_key(text: str) -> dict[str, Any]:
    """The primary key of a session by its eid or its path; the lab may be left out.

    Raises
    ------
    NotFoundError : there is none, or several labs have it.
    """
    words = text.strip().strip("/")
    if re.fullmatch(r"[0-9a-fA-F-]{36}", words):
        query = acquisition.Session & {"eid": words.lower()}
    else:
        parts = [part for part in words.split("/") if part != "Subjects"]
        try:
            *lab, mouse, date, number = parts
            wanted: dict[str, Any] = {"subject": mouse, "session_date": datetime.date.fromisoformat(date),
                                      "session_number": int(number)}  # fmt: skip
        except ValueError:
            raise NotFoundError(f"{text!r} names no session", "write it as subject/YYYY-MM-DD/NNN") from None
        query = acquisition.Session & (wanted | ({"lab": lab[-1]} if lab else {}))
    keys = query.keys()
    if len(keys) != 1:
        why = "there is no session" if not keys else "several labs have a session"
        raise NotFoundError(f"{why} {text}", "write it as lab/Subjects/subject/YYYY-MM-DD/NNN")
    return keys[0]


def tasks(key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tasks of a session with `status`, as people see it, and `waits_for`, in order of level and name."""
    rows = (task.Task & {name: key[name] for name in SESSION}).to_dicts()
    return sorted(_with_status(rows), key=lambda row: (row["task_level"], row["task_name"]))


def find_tasks(wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tasks by name=value: status, lab, subject, date, kind, name, host, exit; those changed last first.

    Raises
    ------
    UserError : there is no such name, or no such status.
    """
    unknown = set(wanted) - {"status", *_FILTERS}
    if unknown:
        raise UserError(f"tasks have no {sorted(unknown)[0]!r}", f"use {', '.join(['status', *_FILTERS])}")
    rows = (task.Task & {_FILTERS[name]: value for name, value in wanted.items() if name != "status"}).to_dicts()
    with_status = _with_status(rows)
    if "status" in wanted:
        try:
            status = states.parse(wanted["status"])
        except ValueError as error:
            raise UserError(str(error)) from None
        with_status = [row for row in with_status if row["status"] == status]
    return sorted(with_status, key=lambda row: row["task_changed"], reverse=True)


def of_session(key: Mapping[str, Any]) -> list[Step]:
    """The time line of a session: what was done, in order, then what is to come."""
    key = {name: key[name] for name in SESSION}
    session = (acquisition.Session & key).fetch1()
    steps = [Step("rig", "recorded", time=session["start_time"],
                  seconds=_between(session["start_time"], session["end_time"]))]  # fmt: skip
    plans = (task.SessionPlan & key).to_dicts()
    rows = tasks(key)
    names = {row["task_uuid"]: row["task_name"] for row in rows}
    if plans:
        plan = plans[0]
        steps.append(Step("planned", f"{len(rows)} tasks, reported by {plan['plan_host'] or 'a lab server'}",
                          time=plan["plan_first"]))  # fmt: skip
        steps += _missing(key, plan)
    computers = hosts.known() if any(row["task_state"] == "Waiting" for row in rows) else []
    for row in rows:
        offered = tuple(name for name, one in CHANGES.items() if one.fits(row["status"], row["task_held"]))
        steps.append(dataclasses.replace(_of_task(row, names, computers), task=row["task_uuid"], changes=offered))
    steps += _of_files(key)
    steps += _of_tables(key)
    if session["session_qc"] not in ("NOT_SET", "PASS"):
        steps.append(Step("quality", f"QC of the session is {session['session_qc']}", "!",
                          who="the experimenter: see the session's page"))  # fmt: skip
    return sorted(steps, key=lambda one: (one.time is None, one.time or datetime.datetime.max))


def to_do(sessions: Any) -> dict[tuple, list[Step]]:
    """What somebody must do about the preprocessing of sessions; by session key, of those where there is something.

    That no computer of a lab has a program, e.g. for pose, is no reason: the time line of a session says it.

    Parameters
    ----------
    sessions : a restriction of sessions, by the columns of their key or as a table.
    """
    open_states = "task_state IN ('Waiting', 'Errored', 'Abandoned') AND kind_name <> ''"
    rows = [row for row in _with_status((task.Task & sessions & open_states).to_dicts()) if row["lab"]]
    computers = hosts.known() if any(row["status"] == "Waiting" for row in rows) else []
    names = {row["task_uuid"]: row["task_name"] for row in rows}
    steps: dict[tuple, list[Step]] = {}
    for row in sorted(rows, key=lambda row: (row["task_level"], row["task_name"])):
        lacking = hosts.why_not(row, computers) if row["status"] == "Waiting" else None
        if row["status"] == "Abandoned" or (lacking and lacking.is_equipment):
            continue  # a person has decided that; or the lab does not do this at all
        step = dataclasses.replace(_of_task(row, names, computers), task=row["task_uuid"])
        if step.who:
            steps.setdefault(tuple(row[name] for name in SESSION), []).append(step)
    return steps


def _with_status(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = [{"task_uuid": row["task_uuid"]} for row in rows]
    edges = (task.TaskEdge & ids).to_dicts() if ids else []
    parents = [{"task_uuid": edge["parent_id"]} for edge in edges]
    done = {
        row["task_uuid"]: row["task_state"] in states.DONE
        for row in ((task.Task & parents).proj("task_state").to_dicts() if parents else [])
    }
    waits: dict[str, list[str]] = {}
    for edge in edges:
        if not done.get(edge["parent_id"], True):
            waits.setdefault(edge["task_uuid"], []).append(edge["parent_id"])
    for row in rows:
        row["waits_for"] = waits.get(row["task_uuid"], [])
        is_held = row["task_state"] == "Waiting" and (row["task_held"] or row["waits_for"])
        row["status"] = "Held" if is_held else row["task_state"]
    return rows


def _of_task(row: Mapping[str, Any], names: Mapping[str, str], computers: Sequence[hosts.Host]) -> Step:
    name, state = row["task_name"], row["status"]
    if state in states.DONE:
        words = {"Complete": "", "Incomplete": " (in part)", "Empty": " (nothing to do)"}[state]
        words += f" ({row['task_message']})" if row["task_message"] and state != "Empty" else ""
        return Step("task", f"{name}{words} on {row['task_host']}", "+", row["task_ended"], row["task_elapsed"])
    if state in states.FAILED:
        cause = {"data": "the experimenter", "resource": "the administrator"}.get(row["task_exit"], "the administrator")
        return Step("task", f"{name}: {row['task_message'] or state}", "!", row["task_ended"], row["task_elapsed"],
                    f"{cause}: then neurojoint task restart {row['task_uuid'][:8]}")  # fmt: skip
    if state == "Started":
        done = f", {row['task_progress']:.0%}" if row["task_progress"] is not None else ""
        return Step("task", f"{name} runs on {row['task_host']}{done}", ">", row["task_started"])
    if row["task_held"]:
        return Step("task", f"{name} is held back", "!", None, None,
                    f"whoever holds it: neurojoint task unhold {row['task_uuid'][:8]}")  # fmt: skip
    if row["waits_for"]:
        return Step(
            "task",
            f"{name} waits for {', '.join(names.get(waits_for, waits_for) for waits_for in row['waits_for'])}",
            ".",
        )
    again = f" again after {row['task_not_before']:%H:%M} UTC ({row['task_message']})" if row["task_not_before"] else ""
    if lacking := hosts.why_not(row, computers):
        return Step("task", f"{name} waits, and no computer takes it: {lacking.what}", "!", who=lacking.remedy)
    return Step("task", f"{name} waits for a computer{again}", ".")


def _missing(key: Mapping[str, Any], plan: Mapping[str, Any]) -> list[Step]:
    """Files that the description promises and that nobody has."""
    files = submit._loaded(plan["plan_files"])
    there = set(files) | set((data.Dataset & key).to_arrays("rel_path").tolist())
    made = {row["output_path"] for row in (task.TaskOutput & (task.Task & key).proj()).to_dicts()}
    missing = sorted(
        {
            " or ".join(filled(pattern, item.arguments))
            for item in submit.planned_of(key) or ()
            if not item.parents
            for pattern in item.kind.inputs
            if not matching(pattern, item.arguments, there | made)
        }
    )
    return [
        Step("files", f"{path} is expected by the description and not there", "!",
             who="the experimenter: copy it from the rig, or correct the description")
        for path in missing
    ]  # fmt: skip


def _of_files(key: Mapping[str, Any]) -> list[Step]:
    steps = []
    rows = (data.Dataset & key).proj("registered", "dataset_online").to_dicts()
    if rows:
        online = sum(bool(row["dataset_online"]) for row in rows)
        whole = online == len(rows)
        words, last = f"{len(rows)} datasets registered, {online} online", max(row["registered"] for row in rows)
        who = "" if whole else "the administrator: neurojoint verify"
        steps.append(Step("files", words, "+" if whole else "!", last, who=who))
    steps += [
        Step("quarantine", f"{row['quarantine_path']}: {row['detail']}", "!", row["first_seen"],
             who=f"the experimenter: {row['remedy']}")
        for row in (data.Quarantine & key & "resolved IS NULL").to_dicts()
    ]  # fmt: skip
    items = (transfer.Transfer.Item & (data.Dataset & key).proj()).to_dicts()
    for state in ("planned", "submitted", "arrived", "failed"):
        count = sum(row["item_state"] == state for row in items)
        if count:
            failed = state == "failed"
            who = "the administrator: neurojoint transfer status" if failed else ""
            steps.append(Step("transfer", f"{count} files {state}", "!" if failed else ">", who=who))
    return steps


def _of_tables(key: Mapping[str, Any]) -> list[Step]:
    watched = (behavior.TrialSet, behavior.WheelMoveSet, behavior_analysis.SessionPerformance,
               behavior_analysis.SessionTrainingStatus, action.WaterStatus, behavior.Camera, behavior.Pupil,
               ephys.Recording, ephys.ClusterSet)  # fmt: skip
    steps = []
    for table in watched:
        name = f"{table.__module__.rpartition('.')[2]}.{table.__name__}"
        if "lab" in table().primary_key and (count := len(table & key)):
            steps.append(Step("table", f"{name}: {count} row{'s' * (count != 1)}"))
        jobs = getattr(table(), "jobs", None)
        if jobs is not None and "lab" in table().primary_key:
            steps += [
                Step("table", f"{name}: {row['error_message'][:200]}", "!", who="the administrator: neurojoint retry")
                for row in (jobs & "status = 'error'" & key).to_dicts()
            ]
    return steps


def _between(first: datetime.datetime | None, last: datetime.datetime | None) -> float | None:
    return (last - first).total_seconds() if first and last else None
