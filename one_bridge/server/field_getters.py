"""How values of a record are made from its row, where that is more than a column: addresses, names, local times.

Each function takes the row and returns the value, or makes such a function. Addresses begin with a slash; the server
puts its own before them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from one_bridge.server import values

Row = Mapping[str, Any]

_PLAIN = re.compile(r"[\w.~-]*", re.ASCII)

DATA = "/data"
UPLOADED = "/uploaded"
CONTENT_TYPES = {
    "actions.session": "acquisition.Session",
    "subjects.subject": "subject.Subject",
    "experiments.probeinsertion": "ephys.ProbeInsertion",
    "data.dataset": "data.Dataset",
    "experiments.chronicinsertion": "ephys.ChronicInsertion",
    "experiments.fov": "imaging.FieldOfView",
    "session": "acquisition.Session",
    "subject": "subject.Subject",
    "probeinsertion": "ephys.ProbeInsertion",
    "dataset": "data.Dataset",
    "chronicinsertion": "ephys.ChronicInsertion",
    "fov": "imaging.FieldOfView",
}
"""What notes can be on: Alyx's name of a model, with its app or without, -> table."""


def url(endpoint: str, columns: Sequence[str]) -> Callable[[Row], str]:
    """The address of the record itself."""
    before = f"/{endpoint}/"
    return lambda row: before + _quoted(values.to_id(columns, row))


def _quoted(text: str) -> str:
    """Text as a part of an address; nearly all are uuids or names, which stay as they are."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")


def token(columns: Sequence[str]) -> Callable[[Row], str]:
    """The identifier of a record that several columns identify."""
    return lambda row: values.to_id(columns, row)


def column(name: str) -> Callable[[Row], Any]:
    """The column as it is."""
    return lambda row: row[name]


def or_none(name: str) -> Callable[[Row], Any]:
    """The column, null where it is empty."""
    return lambda row: row[name] or None


def stripped(name: str) -> Callable[[Row], str | None]:
    """Text of a fixed length, which PostgreSQL fills with spaces; null where it is empty."""
    return lambda row: row[name].rstrip() or None


def as_text(name: str) -> Callable[[Row], str]:
    """A yes or no as the words that the client expects."""
    return lambda row: "True" if row[name] else "False"


def is_null(name: str) -> Callable[[Row], bool]:
    """Has the column no value?"""
    return lambda row: row[name] is None


def nothing(_: Row) -> None:
    """A value that Alyx has and these tables do not."""


def nothing_text(_: Row) -> str:
    """The same where clients want text."""
    return ""


def nothing_list(_: Row) -> list:
    """The same where clients want a list."""
    return []


def globus_collection(row: Row) -> str | None:
    """The collection of Globus that a repository is."""
    return row["repository_host"] if row["repository_kind"] == "globus" else None


def false(_: Row) -> bool:
    """No repository is on a personal Globus endpoint."""
    return False


def true(_: Row) -> bool:
    """What is registered is there."""
    return True


def session_start(row: Row) -> str:
    """Local start of a session. Clients take the date of the session's path from it, so it never has another."""
    date = row["session_date"].isoformat()
    text = values.local_time(row["start_time"], row["_zone"])
    return text if text is not None and text.startswith(date) else f"{date}T00:00:00"


def session_info(row: Row) -> dict[str, Any]:
    """The session of an insertion."""
    return {
        "subject": row["subject"],
        "start_time": session_start(row),
        "number": row["session_number"],
        "lab": row["lab"],
        "id": row["eid"],
        "task_protocol": row["task_protocol"],
        "projects": row.get("_projects", []),
    }


def session_url(row: Row) -> str | None:
    """Address of the session."""
    return f"/sessions/{row['eid']}"


def dataset_url(row: Row) -> str:
    """Address of the dataset."""
    return f"/datasets/{row['dataset_id']}"


def last_part(name: str) -> Callable[[Row], str]:
    """Name of the file whose path is in a column."""
    return lambda row: row[name].rsplit("/", 1)[-1]


def last_part_sql(name: str) -> Callable[[str], str]:
    """The same in SQL."""
    return lambda backend: (
        f"REGEXP_REPLACE({name}, '^.*/', '')" if backend == "postgresql" else f"SUBSTRING_INDEX({name}, '/', -1)"
    )


def last_suffix_sql(name: str) -> Callable[[str], str]:
    """What stands behind the last dot of a column, in SQL."""
    return lambda backend: (
        f"REGEXP_REPLACE({name}, '^.*[.]', '')" if backend == "postgresql" else f"SUBSTRING_INDEX({name}, '.', -1)"
    )


def is_of_probe(insertion: Row, dataset: Row) -> bool:
    """Is the dataset in a folder of the probe?"""
    return insertion["probe_label"] in dataset["collection"].split("/")


def has(name: str) -> Callable[[Row], bool]:
    """Is the list not empty?"""
    return lambda row: bool(row[name])


def time(name: str) -> Callable[[Row], str | None]:
    """The column as local time."""
    return lambda row: values.local_time(row[name], row["_zone"])


def data_format(row: Row) -> str:
    """The extension, without what stands before it."""
    return row["extension"].rsplit(".", 1)[-1]


def dotted(row: Row) -> str:
    """A file extension with its dot, as clients compare it with the suffix of a path."""
    return "." + row["file_extension"].lstrip(".")


def data_url(row: Row) -> str:
    """Where the file of a dataset can be downloaded: its path, with its uuid before the last suffix.

    As in Alyx nothing is quoted: clients take the path of the file from it, `#revision#` included.
    """
    session = f"{row['lab']}/Subjects/{row['subject']}/{row['session_date']}/{row['session_number']:03d}"
    return _data_url(f"{session}/{row['rel_path']}", row["dataset_id"])


def aggregate_url(row: Row) -> str:
    """The same for a file over many sessions."""
    return _data_url(row["aggregate_path"], row["aggregate_id"])


def folder_of_aggregate(row: Row) -> str:
    """The folder of a file over many sessions, without the revision."""
    return "/".join(part for part in row["aggregate_path"].split("/")[:-1] if not part.startswith("#"))


def _data_url(path: str, identifier: str) -> str:
    stem, _, suffix = path.rpartition(".")
    return f"{DATA}/{stem}.{identifier}.{suffix}"


def record_url(row: Row) -> str | None:
    """Where a copy can be downloaded; null where it is not online."""
    return data_url(row) if row["file_state"] == "online" else None


def is_online(row: Row) -> bool:
    """Is the copy there?"""
    return row["file_state"] == "online"


def image_url(row: Row) -> str | None:
    """Where the picture of a note is."""
    return f"{UPLOADED}/{quote(row['note_image'].rsplit('/', 1)[-1])}" if row["note_image"] else None
