"""Endpoints of data: datasets and aggregates, their copies, their downloads, and notices about them."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from one_bridge import query
from one_bridge.server import field_getters, values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Many, Nested, Relation, table
from one_bridge.server.endpoints.fields import (
    PROJECT,
    SESSION,
    USER,
    absent,
    boolean,
    field,
    made,
    notes_of,
    qc_field,
    token,
    url,
    users_by,
)

IMPORTANCE = {"INSIGNIFICANT": 20, "MINOR": 30, "MAJOR": 40, "CRITICAL": 50}
IMPORTANCES = tuple(IMPORTANCE)


def _tags_that(flag: str) -> Any:
    return table("data.DatasetTag") & (table("data.Tag") & {flag: True}).proj()


def _flagged(flag: str) -> Any:
    """Datasets that have a tag with a flag, or have none."""

    def restriction(text: str, _: str) -> Any:
        rows = _tags_that(flag).proj()
        return rows if boolean(flag, text) else dj.Not(rows)

    return restriction


def _file_names() -> dict[str, str]:
    return {path: path.rpartition("/")[2] for path in query.paths_of_datasets(query.Reading("alyx"))}


_TAGS = Many("tags", "data.DatasetTag", "tag", ("data.Tag", "name"), "icontains", managed=True)


def _of_probe(text: str, backend: str) -> str:
    """Datasets in a folder of the probe."""
    if not values.is_uuid(text.lower()):
        raise BadInput("probe_insertion", "A UUID is required.")
    rows = (table("ephys.ProbeInsertion") & {"pid": text.lower()}).to_dicts()
    if not rows:
        return "1=0"
    session = values.key_condition(SESSION, [[rows[0][name] for name in SESSION]], backend)
    folder = values.literal(f"/{rows[0]['probe_label']}/", backend)
    return f"({session}) AND POSITION({folder} IN CONCAT('/', collection, '/')) > 0"


def datasets_of_probes() -> dj.expression.QueryExpression:
    """The datasets in the folders of probes."""
    rows = table("data.Dataset").proj("collection") * table("ephys.ProbeInsertion").proj("pid")
    return rows & "POSITION(CONCAT('/', probe_label, '/') IN CONCAT('/', collection, '/')) > 0"


DATASETS = Endpoint(
    "datasets",
    "Dataset",
    "data.Dataset",
    ("dataset_id",),
    (
        made("id", field_getters.column("dataset_id"), "dataset_id"),
        url("datasets", "dataset_id"),
        Field("name", "rel_path", getter=field_getters.last_part("rel_path"), needs=("rel_path",), among=_file_names,
              sql=field_getters.last_part_sql("rel_path"), write=False),
        absent("created_by"),
        field("created_datetime", "registered", "time", write=False),
        field("dataset_type", to=("data.DatasetType", "name")),
        Field("data_format", "extension", getter=field_getters.data_format, needs=("extension",),
              sql=field_getters.last_suffix_sql("extension"), write=False),
        Field("collection", "collection", getter=field_getters.or_none("collection"), needs=("collection",),
              sql=lambda _: "NULLIF(collection, '')", write=False),
        Field("session", "eid", "uuid", getter=field_getters.session_url, needs=("eid",), write=False),
        field("file_size", kind="int", write=False),
        Field("hash", "dataset_hash", getter=field_getters.stripped("dataset_hash"), needs=("dataset_hash",),
              write=False),
        absent("version"),
        field("experiment_number", "session_number", "int", write=False),
        Field("revision", "dataset_revision", getter=field_getters.or_none("dataset_revision"),
              needs=("dataset_revision",), sql=lambda _: "NULLIF(dataset_revision, '')", write=False),
        field("default_dataset", kind="bool"),
        Field("default_revision", "default_dataset", "bool", getter=field_getters.as_text("default_dataset"),
              needs=("default_dataset",), write=False),
        qc_field("dataset_qc"),
        made("data_url", field_getters.data_url, *SESSION, "rel_path", "dataset_id", inside=True),
        Field("protected", kind="bool", getter=field_getters.has("_protected"), restrict=_flagged("tag_protected"),
              write=False),
        Field("public", kind="bool", getter=field_getters.has("_public"), restrict=_flagged("tag_public"), write=False),
        field("auto_datetime", "registered", "time", write=False),
        field("json", "dataset_json", "json", "json"),
    ),
    rows=lambda rows: rows * table("acquisition.Session").proj("eid"),
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
        "tags": Relation("tags", ("dataset_id",), ("tag",), "data.DatasetTag"),
        "revision": Relation("revisions", ("dataset_revision",), ("revision",)),
        "notes": notes_of("dataset_id"),
        "data_notices": Relation("data-notices", ("dataset_id",), ("notice_id",), "data.DataNotice.AffectedDataset"),
        "downloads": Relation("downloads", ("dataset_id",)),
        "probe_insertion": Relation("insertions", ("dataset_id",), ("pid",), rows=datasets_of_probes),
    },
    search="datasets",
    terms={name: name for name in (
        "session", "subject", "lab", "name", "collection", "revision", "dataset_type", "data_format", "hash", "exists",
        "tag", "public", "protected", "date_range")}
    | {"experiment_number": "number", "date": "date_range", "qc": "dataset_qc", "default": "default",
       "id": "dataset_id"},
    paths={
        "created_date": "created_datetime__date",
        "created_date_gte": "created_datetime__date__gte",
        "created_date_lte": "created_datetime__date__lte",
        "data_repository": "file_records__data_repository",
        "md5": "hash",
    },
    filters=(Field("probe_insertion", restrict=_of_probe),),
    order=(*SESSION, "rel_path"),
    aside="aggregates",
    verbs=("list", "read", "update", "delete"),
)  # fmt: skip

AGGREGATES = Endpoint(
    "aggregates",
    "Aggregate",
    "data.Aggregate",
    ("aggregate_id",),
    (
        made("id", field_getters.column("aggregate_id"), "aggregate_id"),
        made("url", field_getters.url("datasets", ["aggregate_id"]), "aggregate_id"),
        Field("name", "aggregate_path", filter="iexact", getter=field_getters.last_part("aggregate_path"),
              needs=("aggregate_path",),
              sql=field_getters.last_part_sql("aggregate_path"), write=False),
        Field("collection", "aggregate_path", filter="icontains", getter=field_getters.folder_of_aggregate,
              needs=("aggregate_path",), write=False),
        Field("session", "aggregate_id", getter=field_getters.nothing, sql=lambda _: "NULL", write=False),
        field("relation", "aggregate_relation", filter="iexact", write=False),
        field("identifier", "aggregate_identifier", filter="icontains", write=False),
        Field("revision", "aggregate_revision", filter="iexact", getter=field_getters.or_none("aggregate_revision"),
              needs=("aggregate_revision",), write=False),
        field("default_dataset", "aggregate_default", "bool", "exact", write=False),
        field("created_datetime", "aggregate_registered", "time", write=False),
        field("file_size", "aggregate_size", "int", write=False),
        field("hash", "aggregate_hash", filter="exact", write=False),
        qc_field("aggregate_qc", filter="exact"),
        made("data_url", field_getters.aggregate_url, "aggregate_path", "aggregate_id", inside=True),
        field("data_repository", "repository", filter="iexact", write=False),
        made("data_repository_path", field_getters.nothing_text),
        field("relative_path", "aggregate_path", write=False),
        made("exists", field_getters.true),
        absent("dataset_type"),
        absent("created_by"),
        absent("version"),
        made("tags", field_getters.nothing_list),
    ),
    nested=(
        Nested("file_records", "aggregates", "aggregate_id", "aggregate_id",
               ("data_repository", "data_repository_path", "relative_path", "data_url", "exists"), detail=False),
    ),
    order=("aggregate_path",),
    verbs=("list", "read", "update"),
)  # fmt: skip
"""Datasets over many sessions: records as those of datasets."""

FILES = Endpoint(
    "files",
    "FileRecord",
    "data.FileRecord",
    ("dataset_id", "repository"),
    (
        token("dataset_id", "repository"),
        url("files", "dataset_id", "repository"),
        Field(
            "dataset",
            "dataset_id",
            "uuid",
            "exact",
            getter=field_getters.dataset_url,
            needs=("dataset_id",),
            write=False,
        ),
        field("data_repository", "repository", filter="iexact", write=False),
        made("data_repository_path", field_getters.nothing_text),
        field("relative_path", "file_path", filter="exact", write=False),
        Field(
            "exists",
            "file_state",
            "bool",
            "exact",
            getter=field_getters.is_online,
            needs=("file_state",),
            sql=lambda _: "(file_state = 'online')",
            write=False,
        ),
        made("data_url", field_getters.record_url, *SESSION, "rel_path", "dataset_id", "file_state"),
        field("json", "record_json", "json"),
        field("lab", filter="iexact", write=False, detail=True),
    ),
    rows=lambda rows: rows * table("data.Dataset").proj(*SESSION, "rel_path"),
    relations={
        "dataset": Relation("datasets", ("dataset_id",)),
        "data_repository": Relation("data-repository", ("repository",)),
    },
    paths={"globus_is_personal": "data_repository__globus_is_personal"},
    order=("dataset_id", "repository"),
    verbs=("list", "read", "update", "delete"),
    hook_inputs={"exists": ("update",)},
)

DOWNLOADS = Endpoint(
    "downloads",
    "Download",
    "data.Download",
    ("dataset_id", "download_user"),
    (
        token("dataset_id", "download_user"),
        url("downloads", "dataset_id", "download_user"),
        Field("dataset", "dataset_id", "uuid", "exact", getter=field_getters.dataset_url, needs=("dataset_id",),
              write=False),
        field("dataset_type", filter="iexact", write=False),
        field("user", "download_user", filter="iexact", write=False),
        field("count", "download_count", "int", "exact"),
        field("first_download", kind="time", write=False),
        field("last_download", kind="time", write=False),
        field("json", "download_json", "json", "json"),
    ),
    rows=lambda rows: rows * table("data.Dataset").proj("dataset_type"),
    many=(Many("projects", "data.Download.Project", "project", PROJECT, "icontains"),),
    relations={"dataset": Relation("datasets", ("dataset_id",)), "user": users_by("download_user")},
    dates="last_download",
    order=("last_download DESC", "dataset_id", "download_user"),
    verbs=("list", "read", "update"),
)  # fmt: skip

NOTICES = Endpoint(
    "data-notices",
    "DataNotice",
    "data.DataNotice",
    ("notice_id",),
    (
        field("id", "notice_id", "uuid"),
        field("name", "notice_name", filter="icontains"),
        field("description", "notice_description"),
        field("importance", choices=IMPORTANCES, ranks=IMPORTANCE, filter="exact"),
        field("created_datetime", "notice_created", "time", write=False),
        field("created_by", "notice_user", to=USER, filter="iexact", default="user"),
        field("version_affected", filter="icontains"),
        field("affected_date_start", "affected_from", "date"),
        field("affected_date_end", "affected_until", "date"),
        field("json", "notice_json", "json", "json"),
        url("data-notices", "notice_id"),
    ),
    many=(
        Many("datasets", "data.DataNotice.AffectedDataset", "dataset_id", ("data.Dataset", "id"), "exact", kind="uuid"),
    ),
    relations={
        "datasets": Relation("datasets", ("notice_id",), ("dataset_id",), "data.DataNotice.AffectedDataset"),
        "created_by": users_by("notice_user"),
    },
    paths={"dataset_tag": "datasets__tags__name__icontains"},
    order=("notice_created DESC", "notice_id"),
    create="notice",
)  # fmt: skip
