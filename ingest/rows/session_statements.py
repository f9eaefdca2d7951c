"""What the files of a session folder say of the session, as statements, and what is said otherwise than before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.files.report import Report
from ingest.files.session_metadata import DESCRIPTION, SETTINGS, Facts
from ingest.rows.session_keys import SESSION, primary_key
from ingest.rows.sources import Fact, Statement

FACTS = ("eid", "start_time", "end_time", "task_protocol", "rig", "start_delay", "location", "session_narrative")
"""Columns of acquisition.Session that sources fill."""


def statements_of(report: Report) -> dict[Fact, Statement]:
    """What the files of a session folder say."""
    key, facts = report.folder.key, report.facts
    animal = {"lab": key.lab, "subject": key.subject}
    session = primary_key(key)
    said = [Statement("acquisition.Session", session, said_values(facts))]
    for when, weight, user in facts.weighings:
        values: dict[str, Any] = {"weight": weight} | ({"weighing_user": user} if user else {})
        said.append(Statement("action.Weighing", animal | {"weighing_time": when}, values))
    for when, volume, kind, user in facts.water:
        values = {"water_volume": volume, "water_type": kind} | ({"water_user": user} if user else {})
        given = animal | {"administration_time": when}
        said.append(Statement("action.WaterAdministration", given, values))
        said.append(Statement("acquisition.SessionWater", given, {name: session[name] for name in SESSION[2:]}))
    return {value.fact: value for value in said}


def tells(report: Report) -> bool:
    """Whether a folder has files that tell of the session."""
    return any(file.rel_path.endswith((DESCRIPTION, SETTINGS)) for file in report.files)


def said_values(facts: Facts) -> dict[str, Any]:
    """Facts of a session as columns and lists, without what is not said."""
    return {name: value for name, value in vars(facts).items() if value and name not in ("weighings", "water", "tasks")}


def said_columns(told: Facts) -> dict[str, Any]:
    """The columns of a session that are said."""
    return {name: value for name in FACTS if (value := getattr(told, name)) is not None}


def differences(old: Facts, now: Facts) -> dict[str, Any]:
    """The columns of a session that are said otherwise than before."""
    return {n: getattr(now, n) for n in FACTS if n != "eid" and getattr(old, n) != getattr(now, n)}


def facts_are_new(report: Report, there: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a file that tells of the session is new, or replaced since it was last read."""
    return any(
        file.rel_path.endswith((DESCRIPTION, SETTINGS))
        and (file.rel_path not in there or there[file.rel_path]["dataset_hash"] != file.md5)
        for file in report.files
    )
