"""What a person says of files: types, repositories, revisions, tags, quality."""

from __future__ import annotations

from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import QC, term, text, user

KINDS = ("local", "http", "s3", "globus")


IMPORTANCES = ("INSIGNIFICANT", "MINOR", "MAJOR", "CRITICAL")
IMPORTANCE_NUMBERS = {"20": "INSIGNIFICANT", "30": "MINOR", "40": "MAJOR", "50": "CRITICAL"}


def _named(column: str, rule: str, longest: int, **more: object) -> Field:
    return Field(column, "name", rule=rule, longest=longest, required=True, fixed=True, **more)  # type: ignore[arg-type]


TABLES = (
    TableEntry(
        "data.DatasetType",
        "dataset type",
        (
            term("dataset_type", 96, required=True, fixed=True, description="e.g. trials.choice"),
            text("type_description", 1000, description="meaning, with units"),
            text("filename_pattern", 128, description="glob of the file names"),
        ),
        vocabulary=True,
    ),
    TableEntry(
        "data.DataFormat",
        "data format",
        (
            term("data_format", 32, required=True, fixed=True),
            text("file_extension", 32, required=True, description="without the dot"),
            text("format_description", 255, description="how it is read"),
        ),
    ),
    TableEntry(
        "data.Repository",
        "repository",
        (
            _named("repository", "repository", 64),
            Field("repository_kind", "choice", choices=KINDS, required=True),
            text("repository_root", 500, required=True, description="folder, address or bucket of its files"),
            text("repository_host", 255, description="the computer, where it matters"),
            Field("repository_json", "json", description="what other programs keep with it"),
        ),
    ),
    TableEntry(
        "data.Revision",
        "revision",
        (_named("revision", "revision", 64), text("revision_description", 1000, description="what changed")),
    ),
    TableEntry(
        "data.Tag",
        "tag",
        (
            _named("tag", "tag", 128),
            Field("tag_protected", "boolean", description="its datasets cannot be overwritten"),
            Field("tag_public", "boolean", description="its datasets are for everyone"),
            text("tag_description", 1000, description="purpose"),
        ),
    ),
    TableEntry(
        "data.DatasetTag",
        "tag of a dataset",
        (
            Field("dataset_id", "uuid", to="data.Dataset", required=True, fixed=True),
            _named("tag", "tag", 128, to="data.Tag"),
        ),
    ),
    TableEntry(
        "data.Dataset",
        "dataset",
        (
            Field("dataset_id", "uuid", required=True, fixed=True),
            term("dataset_type", 96, "data.DatasetType"),
            Field("default_dataset", "boolean", description="the version that is read when none is asked for"),
            Field("dataset_qc", "choice", choices=QC),
            Field("dataset_json", "json", description="what other programs keep with it"),
        ),
        can_create=False,
    ),
    TableEntry(
        "data.Download",
        "download",
        (
            Field("dataset_id", "uuid", to="data.Dataset", required=True, fixed=True),
            user("download_user", required=True, fixed=True),
            Field("first_download", "time", required=True),
            Field("last_download", "time", required=True),
            Field("download_count", "integer", low=0, high=2**31 - 1, required=True),
            Field("download_json", "json", description="what other programs keep with it"),
        ),
    ),
    TableEntry(
        "data.Download.Project",
        "project of a download",
        (
            Field("dataset_id", "uuid", required=True, fixed=True),
            user("download_user", required=True, fixed=True),
            term("project", 128, "lab.Project", required=True, fixed=True),
        ),
    ),
    TableEntry(
        "data.DataNotice",
        "data notice",
        (
            Field("notice_id", "uuid", required=True, fixed=True),
            text("notice_name", 255, description="title"),
            text("notice_description", 4000),
            Field("importance", "choice", choices=IMPORTANCES, words=IMPORTANCE_NUMBERS),
            Field("notice_created", "time", required=True),
            user("notice_user"),
            text("version_affected", 64, description="of the program that made them"),
            Field("affected_from", "date", planned=True, description="first day of the sessions"),
            Field("affected_until", "date", planned=True, description="last day of the sessions"),
            Field("notice_json", "json", description="what other programs keep with it"),
        ),
        spans=(("affected_from", "affected_until"),),
    ),
    TableEntry(
        "data.DataNotice.AffectedDataset",
        "dataset of a notice",
        (
            Field("notice_id", "uuid", to="data.DataNotice", required=True, fixed=True),
            Field("dataset_id", "uuid", to="data.Dataset", required=True, fixed=True),
        ),
    ),
    TableEntry(
        "data.FileRecord",
        "copy of a dataset",
        (
            Field("dataset_id", "uuid", to="data.Dataset", required=True, fixed=True),
            _named("repository", "repository", 64, to="data.Repository"),
            Field("record_json", "json", description="what other programs keep with the copy"),
        ),
        can_create=False,
    ),
    TableEntry(
        "data.Aggregate",
        "file over many sessions",
        (Field("aggregate_id", "uuid", required=True, fixed=True), Field("aggregate_qc", "choice", choices=QC)),
        can_create=False,
    ),
)
