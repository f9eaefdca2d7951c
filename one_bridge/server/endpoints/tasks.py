"""Tasks as Alyx shows them, with what the queue knows besides. `one_bridge.server.task_routes` writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import datajoint as dj

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Many, Relation, table
from one_bridge.server.endpoints.fields import SESSION, field
from pipeline.tasks import states


def status(row: Mapping[str, Any]) -> str:
    """The status that people see: a waiting task that a person holds, or with a parent that is not done, is Held."""
    waits = row["task_state"] == "Waiting" and (row["task_held"] or row["_unfinished"])
    return "Held" if waits else row["task_state"]


def _unfinished() -> Any:
    """The edges to parents that are not done."""
    done = ", ".join(f"'{item}'" for item in states.DONE)
    parents = (table("task.Task") & f"task_state NOT IN ({done})").proj(parent_id="task_uuid")
    return table("task.TaskEdge") & parents.proj()


def _of_status(text: str, backend: str) -> Any:
    """Tasks of one status, by name in any case or by number."""
    try:
        wanted = states.parse(text)
    except ValueError as error:
        raise BadInput("status", str(error)) from None
    if wanted == "Held":
        return dj.AndList(["task_state = 'Waiting'", ["task_held", _unfinished().proj()]])
    if wanted == "Waiting":
        return dj.AndList(["task_state = 'Waiting'", "NOT task_held", dj.Not(_unfinished().proj())])
    return f"task_state = {values.literal(wanted, backend)}"


def _ram(row: Mapping[str, Any]) -> int:
    return math.ceil(row["task_memory"] / 1024)


TASKS = Endpoint(
    "tasks",
    "Task",
    "task.Task",
    ("task_uuid",),
    (
        field("id", "task_uuid", "uuid", write=False),
        field("name", "task_name", filter="exact", required=True),
        Field("status", "task_state", getter=status, needs=("task_state", "task_held"), restrict=_of_status),
        field("session", "eid", "uuid", "exact"),
        field("graph", "task_graph", filter="exact"),
        field("executable", "task_executable", filter="exact"),
        field("version", "task_version", filter="exact"),
        field("level", "task_level", "int", "exact"),
        field("priority", "task_priority", "int", "exact"),
        field("gpu", "task_gpus", "int", "exact"),
        field("cpu", "task_cores", "int", "exact"),
        Field("ram", "task_memory", "int", "exact", getter=_ram, needs=("task_memory",),
              sql=lambda _: "CEIL(task_memory / 1024.0)"),
        field("io_charge", "task_io", "int", "exact"),
        field("time_out_secs", "task_time_limit", "int", "exact"),
        field("time_elapsed_secs", "task_elapsed", "float", "exact"),
        Field("log", "task_log", "text", "icontains", getter=lambda row: row["task_log"] or None, needs=("task_log",)),
        field("arguments", "task_arguments", "json", "json"),
        field("datetime", "task_changed", "time", write=False),
        Field("data_repository", "task_repository", "text", "iexact", to=("data.Repository", "name"),
              getter=lambda row: row["task_repository"] or None, needs=("task_repository",)),
        field("kind", "kind_name", filter="exact", write=False),
        field("held", "task_held", "bool", "exact", write=False),
        field("host", "task_host", filter="exact", write=False),
        field("attempts", "task_attempts", "int", write=False),
        field("progress", "task_progress", "float", write=False),
        field("activity", "task_activity", write=False),
        field("exit", "task_exit", filter="exact", write=False),
        field("message", "task_message", filter="icontains", write=False),
        field("started", "task_started", "time", write=False),
        field("ended", "task_ended", "time", write=False),
        field("not_before", "task_not_before", "time", write=False),
        field("lab", "lab", filter="exact", write=False),
    ),
    rows=lambda rows: rows.join(table("acquisition.Session").proj("eid", "start_time"), left=True),
    many=(
        Many("parents", "task.TaskEdge", "parent_id", filter="exact"),
        Many("_unfinished", "task.TaskEdge", "parent_id", write=False, rows=_unfinished),
    ),
    relations={"session": Relation("sessions", SESSION), "data_repository": Relation(
        "data-repository", ("task_repository",), ("repository",))},
    order=("task_level", "task_priority DESC", "start_time DESC", "task_name", "task_uuid"),
    verbs=("list", "read"),
    own_verbs=("create", "update", "delete"),
    kept=False,
)  # fmt: skip
