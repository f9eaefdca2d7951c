"""The tasks that a mouse has had, as their descriptions say: what it did in each over its sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.analysis import protocols
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import behavior, task_analysis

Row = dict[str, Any]
_SESSION = ("session_date", "session_number")


@dataclass
class TaskOfMouse:
    """A task with its sessions.

    Attributes
    ----------
    paradigm : name of its description; empty: the program's own task, or one that nobody describes.
    protocol : of its last session.
    is_described : the program's own task, or one that the lab describes.
    n_sessions : with trials.
    sessions : rows of `TaskPerformance` in order, with session_date, session_number, `measures` as a dict, and
        `curves`: rows of `TaskPerformance.Curve`, with lists. Empty for the program's own task.
    """

    paradigm: str
    protocol: str
    is_described: bool
    n_sessions: int = 0
    sessions: list[Row] = field(default_factory=list)


def tasks_of(key: Mapping[str, Any]) -> list[TaskOfMouse]:
    """The tasks of a mouse, in the order of their first sessions; passive ones are left out.

    Parameters
    ----------
    key : lab, subject.
    """
    names = (*_SESSION, "task_collection", "paradigm", "task_kind", "trials_protocol")
    rows = fetch_columns(behavior.TrialSet & dict(key), *names, order_by=", ".join(_SESSION)).to_pylist()
    tasks: dict[str, TaskOfMouse] = {}
    of_set: dict[tuple, TaskOfMouse] = {}
    for row in rows:
        if row["task_kind"] == "passive":
            continue
        is_unknown = not row["paradigm"] and row["task_kind"] == protocols.OTHER
        name = row["paradigm"] or (f"protocol {row['trials_protocol']}" if is_unknown else "")
        made = tasks.setdefault(name, TaskOfMouse(row["paradigm"], "", not is_unknown))
        made.protocol, made.n_sessions = row["trials_protocol"], made.n_sessions + 1
        of_set[tuple(row[item] for item in names[:3])] = made
    if any(task.paradigm for task in tasks.values()):
        table = task_analysis.TaskPerformance
        order = ", ".join(names[:3])
        curves: dict[tuple, list[Row]] = {}
        for row in (table.Curve & dict(key)).to_dicts(order_by=f"{order}, curve_block"):
            curves.setdefault(tuple(row[item] for item in names[:3]), []).append(row)
        for row in (table & dict(key)).to_dicts(order_by=order):
            place = tuple(row[item] for item in names[:3])
            measures = row["measures"]
            row["measures"] = json.loads(measures) if isinstance(measures, str) else measures
            if place in of_set:
                of_set[place].sessions.append(row | {"curves": curves.get(place, [])})
    return list(tasks.values())
