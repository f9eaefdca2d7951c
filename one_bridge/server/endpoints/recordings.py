"""Endpoints of what was recorded: sessions, and insertions of probes."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from one_bridge.server import field_getters
from one_bridge.server.endpoint_model import Endpoint, Field, Many, Nested, Relation, table
from one_bridge.server.endpoints.datasets import datasets_of_probes
from one_bridge.server.endpoints.fields import (
    LAB,
    PROCEDURE,
    PROJECT,
    SESSION,
    SUBJECT_FIELD,
    USER,
    absent,
    boolean,
    field,
    made,
    notes_of,
    qc_field,
    url,
)


def _has_histology(text: str, _: str) -> Any:
    """Sessions of animals that have a session of histology."""
    histology = table("acquisition.SessionProcedure") & {"procedure_type": "Histology"}
    animals = table("subject.Subject").proj() & histology
    return animals if boolean("histology", text) else dj.Not(animals)


SESSIONS = Endpoint(
    "sessions",
    "Session",
    "acquisition.Session",
    ("eid",),
    (
        field("id", "eid", "uuid"),
        SUBJECT_FIELD,
        Field("start_time", "start_time", "time", getter=field_getters.session_start, day="session_date",
              needs=("start_time", "session_date", "lab"), write=False),
        field("number", "session_number", "int"),
        field("lab", to=LAB),
        url("sessions", "eid"),
        field("task_protocol"),
        field("location", to=("lab.LabLocation", "name"), detail=True),
        field("type", "session_type", detail=True),
        field("end_time", kind="time", detail=True),
        field("narrative", "session_narrative", detail=True),
        qc_field("session_qc", detail=True),
        field("extended_qc", kind="json", filter="json", detail=True),
        field("json", "session_json", "json", "json", detail=True),
        absent("auto_datetime", kind="time", detail=True),
        absent("parent_session", detail=True),
    ),
    many=(
        Many("projects", "acquisition.SessionProject", "project", PROJECT),
        Many("users", "acquisition.SessionUser", "user_name", USER, detail=True),
        Many("procedures", "acquisition.SessionProcedure", "procedure_type", PROCEDURE, detail=True),
        Many("n_trials", "behavior.TrialSet", "n_trials", detail=True, write=False, single=True, kind="int"),
        Many("n_correct_trials", "behavior_analysis.SessionPerformance", "n_correct", detail=True, write=False,
             single=True, kind="int"),
    ),
    nested=(
        Nested(
            "data_dataset_session_related", "datasets", "eid", "eid",
            ("id", "name", "dataset_type", "data_url", "url", "file_size", "hash", "version", "collection", "revision",
             "default_revision", "qc"),
            restrict=lambda: {"dataset_online": True},
        ),
        Nested(
            "wateradmin_session_related", "water-administrations", "eid", "eid",
            ("id", "name", "water_type", "water_administered"),
        ),
        Nested("probe_insertion", "insertions", "eid", "eid", ("id", "name", "model", "serial", "json", "url")),
        Nested("notes", "notes", "note_object_id", "eid", ("id", "user", "date_time", "text", "image")),
    ),
    relations={
        "subject": Relation("subjects", ("lab", "subject")),
        "lab": Relation("labs", ("lab",)),
        "data_dataset_session_related": Relation("datasets", SESSION),
        "probe_insertion": Relation("insertions", SESSION),
        "field_of_view": Relation("fields-of-view", SESSION),
        "tasks": Relation("tasks", SESSION),
        "users": Relation("users", SESSION, ("user_name",), "acquisition.SessionUser"),
        "projects": Relation("projects", SESSION, ("project",), "acquisition.SessionProject"),
        "procedures": Relation("procedures", SESSION, ("procedure_type",), "acquisition.SessionProcedure"),
        "location": Relation("locations", ("lab", "location")),
        "wateradmin_session_related": Relation("water-administrations", ("eid",)),
        "notes": notes_of("eid"),
    },
    search="sessions",
    terms={name: name for name in (
        "subject", "nickname", "lab", "number", "date_range", "project", "projects", "task_protocol", "users",
        "location", "type", "qc", "procedures", "datasets", "dataset", "dataset_types", "dataset_qc_lte", "tag",
        "performance_gte", "performance_lte", "atlas_acronym", "atlas_id", "atlas_name")},
    filters=(Field("histology", restrict=_has_histology),),
    order=("session_date DESC", "subject DESC", "session_number DESC", "eid"),
    create="session",
    update="session",
    hook_inputs=dict.fromkeys(("start_time", "n_trials", "n_correct_trials"), ("create", "update")),
)  # fmt: skip

INSERTIONS = Endpoint(
    "insertions",
    "ProbeInsertion",
    "ephys.ProbeInsertion",
    ("pid",),
    (
        field("id", "pid", "uuid"),
        field("session", "eid", "uuid", required=True),
        field("name", "probe_label", required=True),
        field("model", "probe_model", to=("ephys.ProbeModel", "name")),
        field("serial", "probe_serial"),
        field("json", "insertion_json", "json", "json"),
        qc_field("insertion_qc"),
        url("insertions", "pid"),
        made("session_info", field_getters.session_info, "eid", "start_time", "task_protocol", *SESSION),
        field("chronic_insertion", "chronic_id", "uuid", "exact"),
    ),
    rows=lambda rows: rows.join(table("ephys.Probe").proj("probe_model"), left=True)
    .join(table("ephys.ChronicRecording"), left=True)
    * table("acquisition.Session").proj("eid", "start_time", "task_protocol"),
    many=(Many("_projects", "acquisition.SessionProject", "project", write=False),),
    nested=(
        Nested("datasets", "datasets", "eid", "eid", ("id", "name", "dataset_type", "data_url", "url", "file_size",
                                                      "hash", "version", "collection"),
               restrict=lambda: {"dataset_online": True}, keep=field_getters.is_of_probe),
    ),
    relations={
        "session": Relation("sessions", SESSION),
        "datasets": Relation(
            "datasets", ("pid",), ("dataset_id",), rows=datasets_of_probes, by_name=Relation("datasets", SESSION)
        ),
        "chronic_insertion": Relation("chronic-insertions", ("chronic_id",)),
        "trajectory_estimate": Relation("trajectories", (*SESSION, "probe_label")),
        "channels": Relation("channels", (*SESSION, "probe_label")),
        "notes": notes_of("pid"),
    },
    search="insertions",
    terms={name: name for name in (
        "session", "subject", "lab", "project", "projects", "date_range", "number", "name", "model", "serial",
        "datasets", "dataset_types", "dataset_qc_lte", "tag", "task_protocol", "atlas_acronym", "atlas_id",
        "atlas_name")}
    | {"experiment_number": "number", "date": "date_range"},
    order=("session_date DESC", "subject DESC", "session_number DESC", "eid", "probe_label"),
    create="insertion",
    update="insertion",
)  # fmt: skip
