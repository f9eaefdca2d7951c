"""What a session folder says of itself: `_ibl_experiment.description.yaml` and `_iblrig_taskSettings.raw.json`.

Where both say something, the description counts; what a metadata file says takes precedence over both (see
`ingest.metadata.files`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.files.scan import Problem, SessionKey
from ingest.files.tasks import RawTask
from pipeline.entry.fields import Field
from pipeline.entry.parse import names, parse
from pipeline.entry.tables import field_of

DESCRIPTION = "_ibl_experiment.description.yaml"
SETTINGS = "_iblrig_taskSettings.raw.json"

_USER = field_of("lab.LabMember", "user_name")
_PROJECT, _PROCEDURE = field_of("lab.Project", "project"), field_of("action.ProcedureType", "procedure_type")
_PROTOCOL, _VERSION = Field("task_protocol", "name", longest=128), Field("version", "name", longest=32)
_TIME, _RIG, _DELAY = (field_of("acquisition.Session", name) for name in ("start_time", "rig", "start_delay"))
_WEIGHT, _SUBSTANCE = field_of("action.Weighing", "weight"), field_of("action.WaterType", "water_type")
_VOLUME = field_of("action.WaterAdministration", "water_volume")


@dataclass
class Facts:
    """What is known of a session; None and empty lists: nothing is said."""

    start_time: datetime.datetime | None = None  # UTC
    end_time: datetime.datetime | None = None  # UTC
    task_protocol: str | None = None
    rig: str | None = None
    start_delay: float | None = None  # s
    eid: str | None = None
    location: str | None = None
    session_narrative: str | None = None
    users: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    procedures: list[str] = field(default_factory=list)
    weighings: list[tuple[datetime.datetime, float, str | None]] = field(default_factory=list)  # UTC, g, user
    water: list[tuple[datetime.datetime, float, str, str | None]] = field(default_factory=list)  # UTC, mL, type, user
    tasks: list[RawTask] = field(default_factory=list)

    def over(self, other: Facts) -> Facts:
        """These facts, completed by those of `other`."""
        return Facts(**{name: mine or getattr(other, name) for name, mine in vars(self).items()})


def session_facts(
    key: SessionKey,
    description: tuple[str, Any] | None,
    settings: list[tuple[str, Any]],
    time_zone: str,
    names: frozenset[str] = frozenset(),
) -> tuple[Facts, list[Problem]]:
    """The facts in the parsed files of one session, and what in them cannot be used.

    Parameters
    ----------
    key : of the session, which the settings must agree with.
    description : path and content of the description, if there is one.
    settings : path and content of each settings file: one for each protocol that was run.
    time_zone : of the lab; times in the settings are in it unless they have an offset.
    names : by which the settings may call the animal, besides its name of today.
    """
    problems: list[Problem] = []
    told = _from_description(*description, problems) if description else Facts()
    tasks = _tasks(description[1]) if description else []
    by_rig = []
    for path, content in sorted(settings):
        if not isinstance(content, dict):
            problems.append(Problem(path, "bad_metadata", "settings are a JSON object with names and values"))
        elif other := _other_animal(key, content, names):
            problems.append(Problem(path, "wrong_animal", _decision(key, other), "SUBJECT_NAME"))
        else:
            by_rig.append((path, _from_settings(path, content, key, time_zone, problems)))
    rig = Facts()
    for _, one in by_rig:
        rig = rig.over(one)
    ordered = [one for _, one in sorted(by_rig, key=lambda item: item[1].start_time or datetime.datetime.max)]
    rig.end_time = max((entry.end_time for entry in ordered if entry.end_time), default=None)
    rig.start_time = next((entry.start_time for entry in ordered if entry.start_time), None)
    delays = [entry.start_delay for entry in ordered if entry.start_delay is not None]
    rig.start_delay = sum(delays) if delays else None
    rig.weighings = list({weighing[0]: weighing for facts in ordered for weighing in facts.weighings}.values())
    rig.water = list({entry[0]: entry for facts in ordered for entry in facts.water}.values())
    rig.users = list(dict.fromkeys(user for entry in ordered for user in entry.users))
    protocols = [entry.task_protocol for entry in ordered if entry.task_protocol]
    rig.task_protocol = "/".join(protocols)[:255] or None
    rig.tasks = _raw_tasks(by_rig, tasks)
    if tasks:
        told.task_protocol = "/".join(_with_version(task, folder, by_rig) for task, folder in tasks)[:255]
    return told.over(rig), problems


def _from_description(path: str, content: Any, problems: list[Problem]) -> Facts:
    if not isinstance(content, dict):
        problems.append(Problem(path, "bad_metadata", "a description has names and values"))
        return Facts()
    read = _Reader(path, content, problems)
    return Facts(
        projects=read("projects", lambda value: names(_PROJECT, value)) or [],
        procedures=read("procedures", lambda value: names(_PROCEDURE, value)) or [],
    )


def _tasks(description: Any) -> list[tuple[str, str]]:
    """Protocol and folder of each task, in the order in which they were run."""
    listed = description.get("tasks") if isinstance(description, dict) else None
    tasks = []
    for task in listed if isinstance(listed, list) else []:
        for protocol, details in task.items() if isinstance(task, dict) else ():
            folder = details.get("collection") if isinstance(details, dict) else None
            if isinstance(protocol, str) and protocol.isprintable():
                tasks.append((protocol, folder if isinstance(folder, str) else ""))
    return tasks


def _raw_tasks(by_rig: list[tuple[str, Facts]], described: list[tuple[str, str]]) -> list[RawTask]:
    """What settings and description say of each task; the description gives the order where no start is known."""
    of_settings = {}
    for path, facts in by_rig:
        folder = path.rpartition("/")[0].rpartition("/")[2]
        water = sum(item[1] for item in facts.water) if facts.water else None
        of_settings[folder] = RawTask(folder, facts.task_protocol or "", facts.start_time, water)
    tasks = [of_settings.get(folder, RawTask(folder, protocol)) for protocol, folder in described if folder]
    return [*tasks, *(one for folder, one in of_settings.items() if folder not in {task.folder for task in tasks})]


def _with_version(task: str, folder: str, by_rig: list[tuple[str, Facts]]) -> str:
    """The name of a task, with the version that the settings in its folder add to it."""
    for path, facts in by_rig:
        if path.rpartition("/")[0].endswith(f"/{folder}") and (facts.task_protocol or "").startswith(task):
            return facts.task_protocol or task
    return task


def _other_animal(key: SessionKey, content: Mapping[str, Any], names: frozenset[str]) -> str:
    """The animal that the settings name, if it is not that of the session; else nothing."""
    subject = content.get("SUBJECT_NAME")
    return subject[:64] if isinstance(subject, str) and subject and subject not in names | {key.subject} else ""


def _decision(key: SessionKey, other: str) -> str:
    """What a person has to decide where the settings name another animal."""
    here, there = (f"{key.lab}/Subjects/{name}/{key.date}/{key.number:03d}" for name in (key.subject, other))
    return (
        f"the settings are of {other!r}, the folder is of {key.subject!r}; if {other} did it: "
        f"neurojoint session move {here} {there}; if the settings are wrong: neurojoint session confirm {here} {other}"
    )


def _from_settings(
    path: str, content: dict[str, Any], key: SessionKey, time_zone: str, problems: list[Problem]
) -> Facts:
    read = _Reader(path, content, problems)
    when = lambda value: parse(_TIME, value, time_zone)  # noqa: E731 - used twice here only
    begin = read(("SESSION_START_TIME", "SESSION_DATETIME"), when)
    if begin is not None and abs((begin.date() - datetime.date.fromisoformat(key.date)).days) > 1:
        detail = f"the settings say {begin:%Y-%m-%d}, the folder {key.date}"
        problems.append(Problem(path, "bad_metadata", detail, "SESSION_DATETIME"))
        begin = None
    end = read(("SESSION_END_TIME",), when)
    creator = lambda value: parse(_USER, value[0] if isinstance(value, list) and value else value)  # noqa: E731
    user = read(("ALYX_USER", "PYBPOD_CREATOR"), creator)
    protocol = read(("PYBPOD_PROTOCOL",), lambda value: parse(_PROTOCOL, value))
    version = read(("IBLRIG_VERSION", "IBLRIG_VERSION_TAG"), lambda value: parse(_VERSION, value))
    facts = Facts(
        start_time=begin,
        end_time=end,
        task_protocol=f"{protocol}{version or ''}" if protocol else None,
        rig=read(("RIG_NAME", "PYBPOD_BOARD"), lambda value: parse(_RIG, value)),
        start_delay=read(("SESSION_DELAY_START", "SESSION_START_DELAY_SEC"), lambda value: parse(_DELAY, value)),
        users=[user] if user else [],
        projects=read(("PROJECTS", "PYBPOD_PROJECT"), lambda value: names(_PROJECT, value)) or [],
        procedures=read(("PROCEDURES",), lambda value: names(_PROCEDURE, value)) or [],
    )
    weight = read(("SUBJECT_WEIGHT",), lambda value: None if value == 0 else parse(_WEIGHT, value))
    if weight and begin:
        facts.weighings.append((begin, weight, user))
    volume = read(("TOTAL_WATER_DELIVERED",), _millilitres)
    if volume and (end or begin):
        kind = read(("REWARD_TYPE",), lambda value: parse(_SUBSTANCE, value)) or "Water"
        facts.water.append((end or begin, volume, kind, user))
    return facts


def _millilitres(value: Any) -> float | None:
    """A volume that the rig states in microlitres; none was given where it says 0."""
    microlitres = parse(Field("water", "number", unit="uL"), value)
    return parse(_VOLUME, microlitres / 1000) if microlitres else None


class _Reader:
    """Reads fields of one file; those that cannot be used become problems."""

    def __init__(self, path: str, content: Mapping[str, Any], problems: list[Problem]) -> None:
        self.path, self.content, self.problems = path, content, problems

    def __call__(self, fields: str | tuple[str, ...], check: Callable[[Any], Any]) -> Any:
        """The first of the fields that has a value, checked; None where none has."""
        for name in (fields,) if isinstance(fields, str) else fields:
            value = self.content.get(name)
            if value in (None, "", [], "None"):
                continue
            try:
                return check(value)
            except (ValueError, TypeError, LookupError) as error:
                self.problems.append(Problem(self.path, "bad_metadata", f"{name}: {error}"[:1000], name))
        return None
