"""The computers that work off tasks, and why none of them takes one that waits."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.schemas import task
from pipeline.tasks.queue import Queue

SILENT_S = 600.0
"""A computer that has not reported itself for so long is off."""
EQUIPMENT = 3
"""The first so many of what is asked are equipment: kinds, programs, graphics processors."""


@dataclass(frozen=True)
class Host:
    """A computer, as its agent reported it last.

    Attributes
    ----------
    labs : whose tasks it may have; None: all
    memory : MiB that tasks may use
    is_on : it was heard of a moment ago
    """

    name: str
    repository: str
    labs: tuple[str, ...] | None
    kinds: frozenset[str]
    environments: frozenset[str]
    memory: int
    gpus: int
    is_on: bool


@dataclass(frozen=True)
class Lacking:
    """What no computer has that a task needs, and who can change that.

    Attributes
    ----------
    is_equipment : a program or device that a lab may never have had, and need not have
    """

    what: str
    remedy: str
    is_equipment: bool = False


def known() -> list[Host]:
    """All computers that have ever reported themselves."""
    rows = task.TaskHost().to_dicts()
    last = (Queue().now() if rows else datetime.datetime.min) - datetime.timedelta(seconds=SILENT_S if rows else 0)
    return [
        Host(
            row["host_name"], row["host_repository"],
            tuple(row["host_labs"].split(",")) if row["host_labs"] else None,
            _names(row["host_kinds"]), _names(row["host_environments"]),
            row["host_memory"], row["host_gpus"], row["host_seen"] >= last,
        )
        for row in rows
    ]  # fmt: skip


def why_not(row: Mapping[str, Any], hosts: Sequence[Host]) -> Lacking | None:
    """Why no computer takes a task, however long it waits; None where one does once it is free.

    Parameters
    ----------
    row : of `task.Task`.

    Examples
    --------
    >>> row = {"task_repository": "", "lab": "a", "kind_name": "pose", "task_environment": "pose", "task_memory": 900,
    ...        "task_gpus": 0}
    >>> why_not(row, [Host("pc", "", None, frozenset({"pose"}), frozenset(), 800, 0, True)]).what
    'pc has no environment `pose`'
    """
    if not row["kind_name"]:
        return None  # of a client that brings its own programs, whose computers are not known
    administrator = "the administrator: "
    place = row["task_repository"]
    near = [host for host in hosts if host.repository == place and (host.labs is None or row["lab"] in host.labs)]
    if not near:
        where = f"the files of {place}" if place else "the data root of the central machine"
        command = f"neurojoint agent --repository {place} --server … --root …" if place else "neurojoint agent --root …"
        return Lacking(f"none works on {where} for {row['lab']}", administrator + command)
    environment, memory, gpus = row["task_environment"], row["task_memory"], row["task_gpus"]
    asked = [
        (lambda one: row["kind_name"] in one.kinds, f"does not know the kind {row['kind_name']}",
         "install the module that registers it, and name it with --module"),
        (lambda one: not environment or environment in one.environments, f"has no environment `{environment}`",
         f"neurojoint agent --env {environment}='PROGRAM …'"),
        (lambda one: one.gpus >= gpus, f"has fewer than {gpus} graphics processors", "neurojoint agent --gpu N"),
        (lambda one: one.memory >= memory, f"lets tasks have less than {memory:,} MiB of memory",
         f"neurojoint agent --memory {memory}, or ask for less ([task_needs.{row['kind_name']}] in neurojoint.toml)"),
        (lambda one: one.is_on, "has not been heard of for ten minutes", "see whether its agent runs"),
    ]  # fmt: skip
    for number, (fits, what, remedy) in enumerate(asked):
        left = [item for item in near if fits(item)]
        if not left:
            names = " and ".join(sorted(item.name for item in near)[:3])
            return Lacking(f"{names} {what}", administrator + remedy, number < EQUIPMENT)
        near = left
    return None


def _names(value: Any) -> frozenset[str]:
    names = json.loads(value) if isinstance(value, str) else value
    return frozenset(names or ())
