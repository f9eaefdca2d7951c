"""Endpoints of what belongs to animals: subjects, weights, water, surgeries, and notes on anything."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from one_bridge.server import field_getters
from one_bridge.server.endpoint_model import Endpoint, Field, Many, Nested, Relation, table
from one_bridge.server.endpoints.fields import (
    LAB,
    PROJECT,
    SUBJECT_FIELD,
    USER,
    absent,
    boolean,
    field,
    made,
    names,
    notes_of,
    token,
    url,
    users_by,
)

ANIMAL = ("lab", "subject")
SURGERY = (*ANIMAL, "surgery_start")


def restricted_now() -> dj.Table:
    """The restrictions of water that are not over; death ends them."""
    living = (table("subject.Subject") & "death_date IS NULL").proj()
    return (table("action.WaterRestriction") & "restriction_end IS NULL" & living).proj()


def _is_restricted(text: str, _: str) -> Any:
    return restricted_now() if boolean("water_restricted", text) else dj.Not(restricted_now())


SUBJECTS = Endpoint(
    "subjects",
    "Subject",
    "subject.Subject",
    ("subject",),
    (
        field("nickname", "subject", filter="iexact", required=True),
        url("subjects", "subject"),
        field("id", "subject_uuid", "uuid"),
        field("lab", filter="iexact", to=LAB),
        field("responsible_user", filter="iexact", to=USER),
        field("birth_date", kind="date"),
        field("death_date", kind="date"),
        field("wean_date", kind="date"),
        field("sex", choices=("M", "F", "U"), filter="exact"),
        field("species", to=("subject.Species", "name")),
        field("strain", to=("subject.Strain", "name")),
        field("line", filter="iexact", to=("subject.Line", "name")),
        field("source", to=("subject.Source", "name")),
        field("ear_mark"),
        field("protocol_number"),
        field("cage"),
        field("light_cycle"),
        field("food"),
        field("description", "subject_description"),
        field("json", "subject_json", "json", "json"),
        Field("alive", "death_date", "bool", "exact", getter=field_getters.is_null("death_date"), needs=("death_date",),
              sql=lambda _: "(death_date IS NULL)", write=False),
        Field("water_restricted", filter="exact", restrict=_is_restricted, getter=field_getters.has("_restricted"),
              write=False),
    ),
    alias="subject_uuid",
    many=(
        Many("projects", "subject.SubjectProject", "project", PROJECT, "icontains"),
        Many("litter", "subject.Litter.Pup", "litter", filter="iexact", write=False, single=True),
        Many("_restricted", "action.WaterRestriction", "restriction_start", write=False, rows=restricted_now),
        Many("genotype", "subject.Genotype", "allele", filter="icontains", write=False, detail=True),
    ),
    nested=(
        Nested("weighings", "weighings", "subject_uuid", "subject_uuid", ("date_time", "weight", "user", "url")),
        Nested("water_administrations", "water-administrations", "subject_uuid", "subject_uuid",
               ("date_time", "water_administered", "water_type", "adlib", "session", "url")),
        Nested("notes", "notes", "note_object_id", "subject_uuid", ("id", "user", "date_time", "text", "image")),
    ),
    relations={
        "lab": Relation("labs", ("lab",)),
        "session": Relation("sessions", ANIMAL),
        "actions_sessions": Relation("sessions", ANIMAL),
        "projects": Relation("projects", ANIMAL, ("project",), "subject.SubjectProject"),
        "responsible_user": users_by("responsible_user"),
        "weighings": Relation("weighings", ANIMAL),
        "water_administrations": Relation("water-administrations", ANIMAL),
        "actions_waterrestrictions": Relation("water-restriction", ANIMAL),
        "actions_surgerys": Relation("surgeries", ANIMAL),
        "cull": Relation("culls", ANIMAL),
        "request": Relation("requests", ANIMAL, ("request_id",), "subject.RequestedSubject"),
        "genotype_test": Relation("genotype-tests", ANIMAL),
        "implants": Relation("implants", ANIMAL),
        "chronic_insertions": Relation("chronic-insertions", ANIMAL),
        "notes": notes_of("subject_uuid"),
    },
    paths={"project": "projects__icontains"},
    order=("lab", "subject"),
    create="subject",
)  # fmt: skip


CULLS = Endpoint(
    "culls",
    "Cull",
    "subject.Cull",
    ("lab", "subject"),
    (
        token("lab", "subject"),
        SUBJECT_FIELD,
        field("lab", filter="iexact"),
        field("date", "cull_date", "date", required=True),
        field("cull_method", filter="iexact", to=("subject.CullMethod", "name")),
        field("cull_reason", filter="iexact", to=("subject.CullReason", "name")),
        field("user", "cull_user", to=USER, filter="iexact", default="user"),
        field("description", "cull_description"),
        url("culls", "lab", "subject"),
    ),
    relations={"subject": Relation("subjects", ANIMAL), "user": users_by("cull_user")},
    order=("cull_date DESC", "lab", "subject"),
    create="cull",
)
"""The end of animals: creating one also sets the animal's day of death."""

GENOTYPE_TESTS = Endpoint(
    "genotype-tests",
    "GenotypeTest",
    "subject.GenotypeTest",
    ("lab", "subject", "sequence", "genotype_test_date"),
    (
        token("lab", "subject", "sequence", "genotype_test_date"),
        SUBJECT_FIELD,
        field("lab", filter="iexact"),
        field("sequence", filter="iexact", to=("subject.Sequence", "name"), required=True),
        field("date", "genotype_test_date", "date", required=True),
        field("test_result", choices=("Absent", "Present"), filter="iexact", required=True),
        url("genotype-tests", "lab", "subject", "sequence", "genotype_test_date"),
    ),
    relations={"subject": Relation("subjects", ANIMAL)},
    order=("genotype_test_date DESC", "lab", "subject", "sequence"),
)

IMPLANTS = Endpoint(
    "implants",
    "Implant",
    "subject.Implant",
    ("lab", "subject", "implant_date"),
    (
        token("lab", "subject", "implant_date"),
        SUBJECT_FIELD,
        field("lab", filter="iexact"),
        field("date", "implant_date", "date", required=True),
        field("implant_weight", kind="float", required=True),
        field("description", "implant_description"),
        url("implants", "lab", "subject", "implant_date"),
    ),
    relations={"subject": Relation("subjects", ANIMAL)},
    order=("implant_date DESC", "lab", "subject"),
)
"""What animals carry; a surgery's `implant_weight` is the one of its day."""

REQUESTS = Endpoint(
    "requests",
    "SubjectRequest",
    "subject.SubjectRequest",
    ("request_id",),
    (
        field("id", "request_id", "uuid"),
        field("lab", filter="iexact", to=LAB, required=True),
        field("line", filter="iexact", to=("subject.Line", "name")),
        field("user", "request_user", to=USER, filter="iexact", default="user"),
        field("count", "request_count", "int", required=True),
        field("date", "request_date", "date", default="today"),
        field("due_date", "request_due", "date"),
        field("description", "request_text", filter="icontains"),
        field("status", "request_status", choices=("open", "answered", "declined", "closed"), filter="exact"),
        field("answer", "request_answer"),
        field("manager", "request_manager", to=USER, filter="iexact"),
        url("requests", "request_id"),
    ),
    many=(Many("subjects", "subject.RequestedSubject", "subject", write=False),),
    relations={
        "lab": Relation("labs", ("lab",)),
        "user": users_by("request_user"),
        "subjects": Relation("subjects", ("request_id",), ANIMAL, "subject.RequestedSubject"),
    },
    order=("request_date DESC", "request_id"),
    owner="request_user",
    for_managers={"status": ("answered", "declined"), "answer": (), "manager": ()},
    create="request",
)
"""Animals that people ask for; stock managers answer."""

ENDS = (
    CULLS,
    REQUESTS,
    GENOTYPE_TESTS,
    IMPLANTS,
    names("cull-methods", "CullMethod", "subject.CullMethod", "cull_method", order=("cull_method",)),
    names("cull-reasons", "CullReason", "subject.CullReason", "cull_reason", order=("cull_reason",)),
)


def _of_subject(rows: Any) -> Any:
    return rows * table("subject.Subject").proj("subject_uuid")


_SUBJECT_PATH = {"subject": Relation("subjects", ANIMAL)}
_SUBJECT_FILTERS = (
    Field("nickname", "subject", filter="iexact", write=False, detail=True),
    Field("lab", "lab", filter="iexact", detail=True),
)

WEIGHINGS = Endpoint(
    "weighings",
    "Weighing",
    "action.Weighing",
    ("lab", "subject", "weighing_time"),
    (
        token("lab", "subject", "weighing_time"),
        SUBJECT_FIELD,
        field("date_time", "weighing_time", "time", default="now"),
        field("weight", kind="float", required=True),
        field("user", "weighing_user", to=USER, filter="iexact", default="user"),
        url("weighings", "lab", "subject", "weighing_time"),
        *_SUBJECT_FILTERS,
    ),
    rows=_of_subject,
    relations=_SUBJECT_PATH | {"user": users_by("weighing_user")},
    dates="weighing_time",
    order=("weighing_time DESC", "lab", "subject"),
    owner="weighing_user",
)

WATER = Endpoint(
    "water-administrations",
    "WaterAdministration",
    "action.WaterAdministration",
    ("lab", "subject", "administration_time"),
    (
        token("lab", "subject", "administration_time"),
        SUBJECT_FIELD,
        field("date_time", "administration_time", "time", default="now"),
        field("water_administered", "water_volume", "float"),
        field("water_type", to=("action.WaterType", "name"), filter="iexact", default="Water"),
        field("adlib", kind="bool"),
        field("user", "water_user", to=USER, filter="iexact", default="user"),
        field("session", "eid", "uuid"),
        absent("name"),
        url("water-administrations", "lab", "subject", "administration_time"),
        *_SUBJECT_FILTERS,
    ),
    rows=lambda rows: (rows * table("subject.Subject").proj("subject_uuid")).join(
        table("acquisition.SessionWater") * table("acquisition.Session").proj("eid"), left=True
    ),
    relations=_SUBJECT_PATH | {"user": users_by("water_user"), "session": Relation("sessions", ("eid",))},
    dates="administration_time",
    order=("administration_time DESC", "lab", "subject"),
    owner="water_user",
    create="water",
    update="water",
)

RESTRICTION = Endpoint(
    "water-restriction",
    "WaterRestriction",
    "action.WaterRestriction",
    ("lab", "subject", "restriction_start"),
    (
        token("lab", "subject", "restriction_start"),
        SUBJECT_FIELD,
        field("start_time", "restriction_start", "time", default="now"),
        field("end_time", "restriction_end", "time"),
        field("reference_weight", kind="float"),
        field("water_type", filter="iexact", to=("action.WaterType", "name")),
        url("water-restriction", "lab", "subject", "restriction_start"),
        *_SUBJECT_FILTERS,
    ),
    rows=lambda rows: rows.join(table("action.WaterRestriction.Water"), left=True),
    relations=_SUBJECT_PATH,
    dates="restriction_start",
    order=("restriction_start DESC", "lab", "subject"),
    create="restriction",
    update="restriction",
)

SURGERIES = Endpoint(
    "surgeries",
    "Surgery",
    "action.Surgery",
    ("lab", "subject", "surgery_start"),
    (
        token("lab", "subject", "surgery_start"),
        SUBJECT_FIELD,
        field("start_time", "surgery_start", "time", default="now"),
        field("end_time", "surgery_end", "time"),
        field("location", "surgery_location", to=("lab.LabLocation", "name")),
        field("outcome_type", "surgery_outcome"),
        field("narrative", "surgery_narrative"),
        field("lab"),
        field("implant_weight", kind="float"),
        field("json", "surgery_json", "json", "json"),
        url("surgeries", "lab", "subject", "surgery_start"),
        _SUBJECT_FILTERS[0],
    ),
    many=(
        Many("procedures", "action.Surgery.Procedure", "procedure_type", ("action.ProcedureType", "name"), "icontains"),
        Many("users", "action.Surgery.Surgeon", "user_name", USER, "iexact"),
    ),
    relations=_SUBJECT_PATH
    | {
        "procedures": Relation("procedures", SURGERY, ("procedure_type",), "action.Surgery.Procedure"),
        "users": Relation("users", SURGERY, ("user_name",), "action.Surgery.Surgeon"),
    },
    rows=lambda rows: rows.join(table("action.Surgery.Implant"), left=True).join(
        table("subject.Implant").proj("implant_weight"), left=True
    ),
    dates="surgery_start",
    paths={"procedure": "procedures__icontains"},
    order=("surgery_start DESC", "lab", "subject"),
    create="surgery",
    update="surgery",
)

NOTES = Endpoint(
    "notes",
    "Note",
    "action.Note",
    ("note_id",),
    (
        made("id", field_getters.column("note_id"), "note_id"),
        field("user", "note_user", to=USER, filter="iexact", default="user"),
        field("date_time", "note_time", "time"),
        field("content_type", "note_object", filter="exact", words=field_getters.CONTENT_TYPES, required=True),
        field("object_id", "note_object_id", "uuid", "exact", required=True),
        field("text", "note_text", filter="icontains"),
        Field("image", "note_image", getter=field_getters.image_url, needs=("note_image",), write=False),
        url("notes", "note_id"),
        field("json", "note_json", "json", "json"),
    ),
    relations={"user": users_by("note_user")},
    order=("note_time DESC", "note_id"),
    owner="note_user",
    hook_inputs={"image": ("create",)},
    create="note",
    unused=("width",),  # to which ibllib's client lets Alyx shrink a picture; here it stays as it was sent
)
