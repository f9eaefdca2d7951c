"""Sessions: what a person says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.alf import identity
from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import QC, SESSION, SUBJECT, term, text, user


def _path(key: Mapping[str, Any]) -> str:
    return identity.session_path(key["lab"], key["subject"], key["session_date"], key["session_number"])


_OWN_NUMBER = (*SUBJECT, dataclasses.replace(SESSION[2], planned=False), dataclasses.replace(SESSION[3], to=""))

TABLES = (
    TableEntry(
        "acquisition.Session",
        "session",
        (
            *_OWN_NUMBER,
            Field("eid", "uuid", description="derived from the path if not given"),
            Field("start_time", "time", description="time 0 of the session"),
            Field("end_time", "time"),
            text("task_protocol", 255, description="as the rig names it"),
            term("location", 128, "lab.LabLocation"),
            text("session_type", 32),
            Field("session_qc", "choice", choices=QC),
            text("rig", 128, description="as its settings file states it"),
            Field("start_delay", "number", unit="s", low=0, high=1e5, description="from start to the first trial"),
            text("session_narrative", 1000),
            Field("session_json", "json", description="what other programs keep with the session"),
            Field("extended_qc", "json", description="name of a QC metric -> outcome"),
        ),
        spans=(("start_time", "end_time"),),
        events=("session_date",),
        unique=("eid",),
        derive=lambda key: {"eid": identity.eid(_path(key))},
    ),
    TableEntry(
        "acquisition.SessionUser", "user of a session", (*SESSION, user("user_name", required=True, fixed=True))
    ),
    TableEntry(
        "acquisition.SessionProject",
        "project of a session",
        (*SESSION, term("project", 128, "lab.Project", required=True, fixed=True)),
    ),
    TableEntry(
        "acquisition.SessionProcedure",
        "procedure of a session",
        (*SESSION, term("procedure_type", 128, "action.ProcedureType", required=True, fixed=True)),
    ),
    TableEntry(
        "acquisition.SessionWater",
        "water of a session",
        (
            *SUBJECT,
            Field("administration_time", "time", to="action.WaterAdministration", required=True, fixed=True),
            dataclasses.replace(SESSION[2], fixed=False),
            dataclasses.replace(SESSION[3], fixed=False),
        ),
    ),
)
