"""Plans become rows: the tasks that a session needs are added to the queue, once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pipeline.alf import identity
from pipeline.schemas import task
from pipeline.settings import settings
from pipeline.tasks import description as descriptions
from pipeline.tasks.kinds import Kind, Needs
from pipeline.tasks.plan import Planned, matching, plan, unique
from pipeline.tasks.queue import New, Queue

SESSION = ("lab", "subject", "session_date", "session_number")
GRAPH = "neurojoint"


def submit(
    queue: Queue,
    session: Mapping[str, Any],
    description: Mapping[str, Any] | None,
    files: Mapping[str, int],
    *,
    protocol: str = "",
    host: str = "",
    repository: str = "",
) -> dict[str, str]:
    """Plan a session and add the tasks that are not there yet; returns task name -> identifier.

    Tasks that the plan does not have any more, and that have not begun, are abandoned.

    Parameters
    ----------
    session : the primary key of a session in the tables.
    description : content of the experiment description; None: what the files say.
    files : path below the session folder -> size (byte).
    repository : where the files are; empty: the data root of the server.
    """
    told = descriptions.read(description) if description else descriptions.infer(files)
    planned = plan(told, files, protocol)
    key = {name: session[name] for name in SESSION}
    path = identity.session_path(*(key[name] for name in SESSION))
    with queue.transaction():
        now = queue.now()
        first = (task.SessionPlan & key).to_arrays("plan_first")
        row = {
            "plan_description": dict(description or {}), "plan_files": dict(files), "plan_protocol": protocol[:255],
            "plan_host": host[:64], "plan_repository": repository, "plan_time": now,
        }  # fmt: skip
        if len(first):
            task.SessionPlan.update1(key | row)
        else:
            task.SessionPlan.insert1(key | row | {"plan_first": now})
        identifiers = queue.add([_new(item, path, files, repository) for item in planned], key)
        _abandon_others(queue, key, set(identifiers.values()))
    return identifiers


def _new(one: Planned, path: str, files: Mapping[str, int], repository: str) -> New:
    needs = needs_of(one.kind)
    inputs = {name for pattern in one.kind.inputs for name in matching(pattern, one.arguments, files)}
    size = sum(files[name] for name in inputs)
    return New(
        one.name, one.kind.name, one.arguments, one.parents, unique(path, one.name, one.arguments),
        one.kind.priority, one.level,
        {
            "task_version": one.kind.version, "task_environment": needs.environment, "task_cores": needs.cores,
            "task_memory": needs.memory, "task_gpus": needs.gpus, "task_io": needs.io,
            "task_scratch": int(size * needs.scratch), "task_time_limit": needs.seconds,
            "task_most_attempts": one.kind.attempts, "task_graph": GRAPH, "task_repository": repository,
        },
    )  # fmt: skip


def needs_of(kind: Kind) -> Needs:
    """What a kind needs of a computer: what it says itself, with the changes of the settings."""
    told = settings().task_needs.get(kind.name)
    return dataclasses.replace(kind.needs, **told.model_dump(exclude_none=True)) if told else kind.needs


def _abandon_others(queue: Queue, key: Mapping[str, Any], wanted: set[str]) -> None:
    waiting = task.Task & key & {"task_graph": GRAPH, "task_state": "Waiting"}
    queue.abandon(set(waiting.to_arrays("task_uuid").tolist()) - wanted)


def planned_of(session: Mapping[str, Any]) -> list[Planned] | None:
    """The plan of a session as it was reported, made again with the kinds of today; None where nobody reported it."""
    rows = (task.SessionPlan & {name: session[name] for name in SESSION}).to_dicts()
    if not rows:
        return None
    row = rows[0]
    content, files = _loaded(row["plan_description"]), _loaded(row["plan_files"])
    told = descriptions.read(content) if content else descriptions.infer(files)
    return plan(told, files, row["plan_protocol"])


def _loaded(value: Any) -> dict[str, Any]:
    return json.loads(value) if isinstance(value, str) else dict(value or {})
