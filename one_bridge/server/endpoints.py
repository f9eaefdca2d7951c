"""The endpoints as data: what each record holds, what it can be searched by, and who may change it.

Routing, filters, serialisation and the OpenAPI schema all walk `ENDPOINTS`. Names are Alyx's.
"""

from __future__ import annotations

from typing import Any

from one_bridge import query
from one_bridge.server import say
from one_bridge.server.shapes import Endpoint, Field, Many, Nested, Relation, table

QC = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")
SESSION = ("lab", "subject", "session_date", "session_number")
USER, PROJECT, LAB = ("lab.LabMember", "username"), ("lab.Project", "name"), ("lab.Lab", "name")
PROCEDURE = ("action.ProcedureType", "name")
KINDS = ("local", "http", "s3", "globus")
READ_ONLY = ("list", "read")


def _field(name: str, column: str = "", kind: Any = "text", filter: str = "", **more: Any) -> Field:
    return Field(name, column or name, kind, filter, **more)


def _made(name: str, how: Any, *needs: str, **more: Any) -> Field:
    return Field(name, say=how, needs=needs, write=False, **more)


def _url(endpoint: str, *needs: str) -> Field:
    return _made("url", say.url(endpoint, needs), *needs)


def _token(*needs: str) -> Field:
    return _made("id", say.token(needs), *needs)


def _names(name: str, label: str, table_name: str, column: str, *fields: Field, **more: Any) -> Endpoint:
    """An endpoint whose records are found by their name."""
    own = (_made("id", say.column(column), column), _field("name", column, "text", "iexact", required=True))
    return Endpoint(name, label, table_name, (column,), (*own, *fields), **({"write": "manager"} | more))


def _tags_that(flag: str) -> Any:
    return table("data.DatasetTag") & (table("data.Tag") & {flag: True}).proj()


def _file_names() -> dict[str, str]:
    return {path: path.rpartition("/")[2] for path in query.paths_of_datasets(query.Reading("alyx"))}


_SUBJECT_FIELD = _field("subject", filter="iexact", required=True)
_TAGS = Many("tags", "data.DatasetTag", "tag", ("data.Tag", "name"), "icontains")

SESSIONS = Endpoint(
    "sessions",
    "Session",
    "acquisition.Session",
    ("eid",),
    (
        _field("id", "eid", "uuid"),
        _SUBJECT_FIELD,
        _made("start_time", say.session_start, "start_time", "session_date", "lab"),
        _field("number", "session_number", "int"),
        _field("lab", to=LAB),
        _url("sessions", "eid"),
        _field("task_protocol"),
        _field("location", to=("lab.LabLocation", "name"), detail=True),
        _field("type", "session_type", detail=True),
        _field("end_time", kind="time", detail=True),
        _field("narrative", "session_narrative", detail=True),
        _field("qc", "session_qc", choices=QC, detail=True),
        _field("extended_qc", kind="json", filter="json", detail=True),
        _field("json", "session_json", "json", "json", detail=True),
        _made("auto_datetime", say.nothing, detail=True),
        _made("parent_session", say.nothing, detail=True),
    ),
    many=(
        Many("projects", "acquisition.SessionProject", "project", PROJECT),
        Many("users", "acquisition.SessionUser", "user_name", USER, detail=True),
        Many("procedures", "acquisition.SessionProcedure", "procedure_type", PROCEDURE, detail=True),
        Many("n_trials", "behavior.TrialSet", "n_trials", detail=True, write=False, single=True),
        Many("n_correct_trials", "behavior_analysis.SessionPerformance", "n_correct", detail=True, write=False,
             single=True),
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
    },
    search="sessions",
    terms={name: name for name in (
        "subject", "nickname", "lab", "number", "date_range", "project", "projects", "task_protocol", "users",
        "location", "type", "qc", "procedures", "datasets", "dataset_types", "dataset_qc_lte", "tag",
        "performance_gte", "performance_lte", "atlas_acronym", "atlas_id", "atlas_name")},
    order=("session_date DESC", "subject DESC", "session_number DESC", "eid"),
    create="session",
    update="session",
)  # fmt: skip

INSERTIONS = Endpoint(
    "insertions",
    "ProbeInsertion",
    "ephys.ProbeInsertion",
    ("pid",),
    (
        _field("id", "pid", "uuid"),
        _field("session", "eid", "uuid", required=True),
        _field("name", "probe_label", required=True),
        _field("model", "probe_model", to=("ephys.ProbeModel", "name")),
        _field("serial", "probe_serial"),
        _field("json", "insertion_json", "json", "json"),
        _field("qc", "insertion_qc", choices=QC),
        _url("insertions", "pid"),
        _made("session_info", say.session_info, "eid", "start_time", "task_protocol", *SESSION),
        _made("chronic_insertion", say.nothing),
    ),
    rows=lambda found: found.join(table("ephys.Probe").proj("probe_model"), left=True)
    * table("acquisition.Session").proj("eid", "start_time", "task_protocol"),
    many=(Many("_projects", "acquisition.SessionProject", "project", write=False),),
    nested=(
        Nested("datasets", "datasets", "eid", "eid", ("id", "name", "dataset_type", "data_url", "url", "file_size",
                                                      "hash", "version", "collection"),
               restrict=lambda: {"dataset_online": True}, keep=say.is_of_probe),
    ),
    relations={
        "session": Relation("sessions", SESSION),
        "datasets": Relation("datasets", SESSION),
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

DATASETS = Endpoint(
    "datasets",
    "Dataset",
    "data.Dataset",
    ("dataset_id",),
    (
        _made("id", say.column("dataset_id"), "dataset_id"),
        _url("datasets", "dataset_id"),
        Field("name", "rel_path", say=say.file_name, needs=("rel_path",), sql=say.file_name_sql, among=_file_names,
              write=False),
        _made("created_by", say.nothing),
        _field("created_datetime", "registered", "time", write=False),
        _field("dataset_type", to=("data.DatasetType", "name")),
        _made("data_format", say.data_format, "extension"),
        _field("collection", write=False),
        Field("session", "eid", "uuid", say=say.session_url, needs=("eid",), write=False),
        _field("file_size", kind="int", write=False),
        _field("hash", "dataset_hash", write=False),
        _made("version", say.nothing),
        _made("experiment_number", say.column("session_number"), "session_number"),
        Field("revision", "dataset_revision", say=say.or_none("dataset_revision"), needs=("dataset_revision",),
              write=False),
        _field("default_dataset", kind="bool"),
        _made("default_revision", say.as_text("default_dataset"), "default_dataset"),
        _field("qc", "dataset_qc", choices=QC),
        _made("data_url", say.data_url, *SESSION, "rel_path", "dataset_id"),
        _made("protected", say.has("_protected")),
        _made("public", say.has("_public")),
        _made("auto_datetime", say.time("registered"), "registered"),
        _made("json", say.nothing, kind="json"),
    ),
    rows=lambda found: found * table("acquisition.Session").proj("eid"),
    many=(
        _TAGS,
        Many("_protected", "data.DatasetTag", "tag", write=False, rows=lambda: _tags_that("tag_protected")),
        Many("_public", "data.DatasetTag", "tag", write=False, rows=lambda: _tags_that("tag_public")),
    ),
    nested=(
        Nested(
            "file_records", "files", "dataset_id", "dataset_id",
            ("id", "data_repository", "data_repository_path", "relative_path", "data_url", "exists"), detail=False,
        ),
    ),
    relations={
        "session": Relation("sessions", SESSION),
        "dataset_type": Relation("dataset-types", ("dataset_type",)),
        "file_records": Relation("files", ("dataset_id",)),
    },
    search="datasets",
    terms={name: name for name in (
        "session", "subject", "lab", "name", "collection", "revision", "dataset_type", "data_format", "hash", "exists",
        "tag", "public", "protected", "date_range")}
    | {"experiment_number": "number", "date": "date_range", "qc": "dataset_qc", "default": "default",
       "id": "dataset_id"},
    order=(*SESSION, "rel_path"),
    verbs=("list", "read", "update", "delete"),
)  # fmt: skip

FILES = Endpoint(
    "files",
    "FileRecord",
    "data.FileRecord",
    ("dataset_id", "repository"),
    (
        _token("dataset_id", "repository"),
        _url("files", "dataset_id", "repository"),
        Field("dataset", "dataset_id", "uuid", "exact", say=say.dataset_url, needs=("dataset_id",), write=False),
        _field("data_repository", "repository", filter="iexact", write=False),
        _made("data_repository_path", say.nothing_text),
        _field("relative_path", "file_path", filter="exact", write=False),
        Field(
            "exists",
            "file_state",
            "bool",
            "exact",
            say=say.is_online,
            needs=("file_state",),
            sql=lambda _: "(file_state = 'online')",
            write=False,
        ),
        _made("data_url", say.record_url, *SESSION, "rel_path", "dataset_id", "file_state"),
        _field("json", "record_json", "json"),
        _field("lab", filter="iexact", write=False, detail=True),
    ),
    rows=lambda found: found * table("data.Dataset").proj(*SESSION, "rel_path"),
    relations={
        "dataset": Relation("datasets", ("dataset_id",)),
        "data_repository": Relation("data-repository", ("repository",)),
    },
    order=("dataset_id", "repository"),
    verbs=("list", "read", "update", "delete"),
)

SUBJECTS = Endpoint(
    "subjects",
    "Subject",
    "subject.Subject",
    ("subject",),
    (
        _field("nickname", "subject", filter="iexact", required=True),
        _url("subjects", "subject"),
        _field("id", "subject_uuid", "uuid"),
        _field("lab", filter="iexact", to=LAB),
        _field("responsible_user", filter="iexact", to=USER),
        _field("birth_date", kind="date"),
        _field("death_date", kind="date"),
        _field("wean_date", kind="date"),
        _field("sex", choices=("M", "F", "U"), filter="exact"),
        _field("species", to=("subject.Species", "name")),
        _field("strain", to=("subject.Strain", "name")),
        _field("line", filter="iexact", to=("subject.Line", "name")),
        _field("source", to=("subject.Source", "name")),
        _field("ear_mark"),
        _field("protocol_number"),
        _field("cage"),
        _field("light_cycle"),
        _field("food"),
        _field("description", "subject_description"),
        _field("json", "subject_json", "json", "json"),
        Field("alive", "death_date", "bool", "exact", say=say.is_null("death_date"), needs=("death_date",),
              sql=lambda _: "(death_date IS NULL)", write=False),
    ),
    alias="subject_uuid",
    many=(
        Many("projects", "subject.SubjectProject", "project", PROJECT, "icontains"),
        Many("litter", "subject.Litter.Pup", "litter", filter="iexact", write=False, single=True),
        Many("genotype", "subject.Genotype", "allele", filter="icontains", write=False, detail=True),
    ),
    nested=(
        Nested("weighings", "weighings", "subject_uuid", "subject_uuid", ("date_time", "weight", "user", "url")),
        Nested("water_administrations", "water-administrations", "subject_uuid", "subject_uuid",
               ("date_time", "water_administered", "water_type", "adlib", "session", "url")),
        Nested("notes", "notes", "note_object_id", "subject_uuid", ("id", "user", "date_time", "text", "image")),
    ),
    relations={"lab": Relation("labs", ("lab",)), "session": Relation("sessions", ("lab", "subject"))},
    order=("lab", "subject"),
    create="subject",
)  # fmt: skip


def _of_subject(found: Any) -> Any:
    return found * table("subject.Subject").proj("subject_uuid")


_SUBJECT_PATH = {"subject": Relation("subjects", ("lab", "subject"))}
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
        _token("lab", "subject", "weighing_time"),
        _SUBJECT_FIELD,
        _field("date_time", "weighing_time", "time", required=True),
        _field("weight", kind="float", required=True),
        _field("user", "weighing_user", to=USER, filter="iexact", default="user"),
        _url("weighings", "lab", "subject", "weighing_time"),
        *_SUBJECT_FILTERS,
    ),
    rows=_of_subject,
    relations=_SUBJECT_PATH,
    dates="weighing_time",
    order=("weighing_time DESC", "lab", "subject"),
    delete="member",
)

WATER = Endpoint(
    "water-administrations",
    "WaterAdministration",
    "action.WaterAdministration",
    ("lab", "subject", "administration_time"),
    (
        _token("lab", "subject", "administration_time"),
        _SUBJECT_FIELD,
        _field("date_time", "administration_time", "time", required=True),
        _field("water_administered", "water_volume", "float"),
        _field("water_type", to=("action.WaterType", "name"), filter="iexact", default="Water"),
        _field("adlib", kind="bool"),
        _field("user", "water_user", to=USER, filter="iexact", default="user"),
        _field("session", "eid", "uuid"),
        _made("name", say.nothing),
        _url("water-administrations", "lab", "subject", "administration_time"),
        *_SUBJECT_FILTERS,
    ),
    rows=lambda found: (found * table("subject.Subject").proj("subject_uuid")).join(
        table("acquisition.SessionWater") * table("acquisition.Session").proj("eid"), left=True
    ),
    relations=_SUBJECT_PATH,
    dates="administration_time",
    order=("administration_time DESC", "lab", "subject"),
    delete="member",
    create="water",
    update="water",
)

RESTRICTION = Endpoint(
    "water-restriction",
    "WaterRestriction",
    "action.WaterRestriction",
    ("lab", "subject", "restriction_start"),
    (
        _token("lab", "subject", "restriction_start"),
        _SUBJECT_FIELD,
        _field("start_time", "restriction_start", "time", required=True),
        _field("end_time", "restriction_end", "time"),
        _field("reference_weight", kind="float"),
        _made("water_type", say.nothing),
        _url("water-restriction", "lab", "subject", "restriction_start"),
        *_SUBJECT_FILTERS,
    ),
    relations=_SUBJECT_PATH,
    dates="restriction_start",
    order=("restriction_start DESC", "lab", "subject"),
)

SURGERIES = Endpoint(
    "surgeries",
    "Surgery",
    "action.Surgery",
    ("lab", "subject", "surgery_start"),
    (
        _token("lab", "subject", "surgery_start"),
        _SUBJECT_FIELD,
        _field("start_time", "surgery_start", "time", required=True),
        _field("end_time", "surgery_end", "time"),
        _field("location", "surgery_location", to=("lab.LabLocation", "name")),
        _field("outcome_type", "surgery_outcome"),
        _field("narrative", "surgery_narrative"),
        _field("lab"),
        _made("json", say.nothing, kind="json"),
        _url("surgeries", "lab", "subject", "surgery_start"),
        _SUBJECT_FILTERS[0],
    ),
    many=(
        Many("procedures", "action.Surgery.Procedure", "procedure_type", ("action.ProcedureType", "name"), "icontains"),
        Many("users", "action.Surgery.Surgeon", "user_name", USER, "iexact"),
    ),
    relations=_SUBJECT_PATH,
    dates="surgery_start",
    order=("surgery_start DESC", "lab", "subject"),
)

NOTES = Endpoint(
    "notes",
    "Note",
    "action.Note",
    ("note_id",),
    (
        _made("id", say.column("note_id"), "note_id"),
        _field("user", "note_user", to=USER, filter="iexact", default="user"),
        _field("date_time", "note_time", "time"),
        Field(
            "content_type",
            "note_object",
            "text",
            "exact",
            tuple(say.CONTENT_TYPES),
            say=say.content_type,
            needs=("note_object",),
            sql=say.content_type_sql,
            required=True,
        ),
        _field("object_id", "note_object_id", "uuid", "exact", required=True),
        _field("text", "note_text", filter="icontains"),
        Field("image", "note_image", say=say.image_url, needs=("note_image",), write=False),
        _url("notes", "note_id"),
        _made("json", say.nothing, kind="json"),
    ),
    order=("note_time DESC", "note_id"),
    delete="member",
    create="note",
)

USERS = Endpoint(
    "users",
    "LabMember",
    "lab.LabMember",
    ("user_name",),
    (
        _made("id", say.column("user_name"), "user_name"),
        _field("username", "user_name", filter="iexact", required=True),
        _field("fullname", "full_name"),
        _field("email"),
        _field("is_active", "member_active", "bool"),
    ),
    many=(
        Many("lab", "lab.LabMembership", "lab", filter="iexact", write=False),
        Many(
            "subjects_responsible",
            "subject.Subject",
            "subject",
            write=False,
            detail=True,
            rows=lambda: table("subject.Subject").proj(user_name="responsible_user") & "user_name IS NOT NULL",
        ),
    ),
    order=("user_name",),
    write="manager",
    delete="admin",
)

LABS = _names(
    "labs", "Lab", "lab.Lab", "lab",
    _field("institution"),
    _field("address"),
    _field("timezone", "time_zone"),
    _field("reference_weight_pct", kind="float"),
    _field("zscore_weight_pct", kind="float"),
    _made("repositories", say.nothing_list),
    _made("json", say.nothing, kind="json"),
    order=("lab",), write="admin", delete="admin",
)  # fmt: skip

LOCATIONS = Endpoint(
    "locations",
    "LabLocation",
    "lab.LabLocation",
    ("lab", "location"),
    (
        _token("lab", "location"),
        _field("name", "location", filter="iexact", required=True),
        _field("lab", filter="iexact", to=LAB, required=True),
        _field("description", "location_description"),
        _made("json", say.nothing, kind="json"),
        _url("locations", "lab", "location"),
    ),
    relations={"lab": Relation("labs", ("lab",))},
    alias="location",
    order=("lab", "location"),
    write="manager",
)

_ALL = (
    SESSIONS,
    INSERTIONS,
    DATASETS,
    FILES,
    SUBJECTS,
    WEIGHINGS,
    WATER,
    RESTRICTION,
    SURGERIES,
    NOTES,
    USERS,
    LABS,
    LOCATIONS,
    _names(
        "projects", "Project", "lab.Project", "project",
        _field("description", "project_description"),
        _made("json", say.nothing, kind="json"),
        many=(Many("users", "lab.Project.Member", "user_name", USER, "iexact"),), order=("project",),
    ),
    _names(
        "procedures", "ProcedureType", "action.ProcedureType", "procedure_type",
        _field("description", "procedure_description"), order=("procedure_type",),
    ),
    _names("water-type", "WaterType", "action.WaterType", "water_type", order=("water_type",)),
    _names(
        "dataset-types", "DatasetType", "data.DatasetType", "dataset_type",
        _field("description", "type_description"), _field("filename_pattern"), _made("created_by", say.nothing),
        order=("dataset_type",),
    ),
    _names(
        "data-formats", "DataFormat", "data.DataFormat", "data_format",
        Field("file_extension", "file_extension", say=say.dotted, needs=("file_extension",), required=True),
        _field("description", "format_description"), order=("data_format",),
    ),
    _names(
        "data-repository", "DataRepository", "data.Repository", "repository",
        Field("repository_type", "repository_kind", choices=KINDS, required=True, filter="exact"),
        _field("hostname", "repository_host"),
        _field("globus_path", "repository_root", required=True),
        _made("data_url", say.nothing),
        Field("globus_is_personal", "repository_kind", "bool", say=say.false, needs=("repository_kind",),
              sql=lambda _: "(repository_kind IS NULL)", write=False),
        _made("globus_endpoint_id", say.nothing),
        _made("timezone", say.nothing),
        _made("json", say.nothing, kind="json"),
        order=("repository",), write="admin", delete="admin",
    ),
    _names(
        "revisions", "Revision", "data.Revision", "revision",
        _field("description", "revision_description"), order=("revision",),
    ),
    _names(
        "tags", "Tag", "data.Tag", "tag",
        _field("protected", "tag_protected", "bool", "exact"), _field("public", "tag_public", "bool", "exact"),
        _field("description", "tag_description"), order=("tag",),
    ),
)  # fmt: skip

ENDPOINTS: dict[str, Endpoint] = {one.name: one for one in _ALL}
"""By the first part of their address."""
