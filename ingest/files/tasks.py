"""The tasks of a session, each with the folder of its ALF files and that of its raw data: `alf/task_01` and
`raw_task_data_01`, or `alf` and `raw_behavior_data`."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.analysis import protocols

OBJECTS = frozenset({"trials", "wheel"})
"""ALF objects of which each task has its own."""
SENSORS = "ambientSensorData"
"""The object that lies with the settings of a task."""


class RawTask(NamedTuple):
    """What is known of a task from its settings or the description of the session."""

    folder: str  # below the session
    protocol: str = ""
    start: datetime.datetime | None = None  # UTC, for the order
    water: float | None = None  # mL


class Task(NamedTuple):
    """A task, as a row of acquisition.SessionTask has it."""

    collection: str
    number: int
    protocol: str
    raw_collection: str
    water: float | None


def tasks_of(raw: Sequence[RawTask], objects: Iterable[tuple[str, str]]) -> list[Task]:
    """The tasks of one session, in the order in which they were run.

    Parameters
    ----------
    raw : what settings and description say, in their order; several of one folder complete each other.
    objects : collection and name of the ALF objects of the session.

    Examples
    --------
    >>> raw = [RawTask("raw_task_data_00", "ephys"), RawTask("raw_task_data_01", "passive")]
    >>> [task[:4] for task in tasks_of(raw, [("alf/task_00", "trials")])]
    [('alf/task_00', 0, 'ephys', 'raw_task_data_00'), ('alf/task_01', 1, 'passive', 'raw_task_data_01')]
    >>> [task[:4] for task in tasks_of(raw[:1], [("alf", "trials"), ("alf", "wheel")])]
    [('alf', 0, 'ephys', 'raw_task_data_00')]
    """
    objects = list(objects)
    known: dict[str, RawTask] = {}
    for item in [*raw, *(RawTask(folder) for folder, name in sorted(objects) if name == SENSORS)]:
        before = known.get(item.folder)
        known[item.folder] = item if before is None else _completed(before, item)
    ordered = sorted(known.values(), key=lambda one: (one.start is None, one.start or datetime.datetime.min))
    with_data = sorted({folder for folder, name in objects if name in OBJECTS})
    place = {item.folder: _usual_place(item.folder) for item in ordered}
    for folder in with_data:
        if folder in place.values():
            continue
        free = [item for item in ordered if place[item.folder] not in with_data]
        active = [item for item in free if protocols.kind(item.protocol) not in protocols.NOT_TRAINING]
        if active:
            place[active[0].folder] = folder
        else:
            ordered.append(RawTask(""))
            place[f"+{folder}"] = folder
            ordered[-1] = ordered[-1]._replace(folder=f"+{folder}")
    tasks: dict[str, RawTask] = {}
    for one in ordered:
        collection = place[one.folder] if place[one.folder] not in tasks else one.folder
        tasks.setdefault(collection, one)
    return [
        Task(collection, number, one.protocol[:255], "" if one.folder.startswith("+") else one.folder, one.water)
        for number, (collection, one) in enumerate(tasks.items())
    ]


def _completed(one: RawTask, other: RawTask) -> RawTask:
    return RawTask(
        one.folder or other.folder, one.protocol or other.protocol, one.start or other.start, one.water or other.water
    )


def _usual_place(folder: str) -> str:
    """Where the extractor puts the trials of a task with this folder of raw data."""
    if match := re.fullmatch(r"raw_task_data_(\d+)", folder):
        return f"alf/task_{match[1]}"
    return "alf" if folder == "raw_behavior_data" else folder
