"""What a client says of a copy of a file: that it is there, or gone. The file itself has the last word where it can be
read; what cannot be looked at is noted as said, and not as verified."""

from __future__ import annotations

import datetime
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ingest.rows.writing import Writer
from pipeline.database.bulk import insert_many
from pipeline.schemas import data

NEVER = datetime.datetime(1970, 1, 1)
"""`verified` of a copy that somebody said is there and nobody has read: checks of copies begin with the oldest, and
nothing is deleted elsewhere on the strength of it."""


class Look(NamedTuple):
    """A file as it is now: size (byte), time of change (ns since 1970), md5."""

    size: int
    modified_ns: int
    md5: str


def look(root: Path, record: Mapping[str, Any]) -> Look | None:
    """Read the file of a copy; None where there is none.

    Parameters
    ----------
    root : Path
        Of its repository, on this computer.
    record : mapping
        Row of data.FileRecord. A file of the size and time that it says is not read again.
    """
    path = root / record["file_path"]
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            return None
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) == (record["record_size"], record["modified_ns"]):
                return Look(status.st_size, status.st_mtime_ns, record["record_hash"].strip())
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Look(status.st_size, status.st_mtime_ns, md5)


def refusal(record: Mapping[str, Any], dataset: Mapping[str, Any], seen: Look | None) -> str:
    """Why the copy cannot count as there, though somebody says so; empty where it can."""
    if seen is None:
        return f"there is no file {record['file_path']} in {record['repository']}: copy it there first"
    known = dataset["dataset_hash"].strip()
    if seen.md5 != known:
        return (
            f"{record['file_path']} in {record['repository']} has the md5 {seen.md5}, and the dataset "
            f"{known or 'none yet'}: register the file (POST /register-file)"
        )
    return ""


def write(
    writer: Writer, record: Mapping[str, Any], dataset: Mapping[str, Any], is_there: bool, seen: Look | None,
    can_look: bool,
) -> bool:  # fmt: skip
    """Write what follows from a claim and from the look at the file; returns whether the copy counts as there now.

    Parameters
    ----------
    writer : Writer
        Of a transaction of the caller; `user` is who says so.
    record, dataset : mapping
        Rows of data.FileRecord and data.Dataset.
    is_there : bool
        What is said.
    seen : Look, optional
        The file as it is; None where there is none, or where nobody could look.
    can_look : bool
        Whether somebody could.
    """
    was = record["file_state"] == "online"
    becomes = (seen is not None) if can_look else is_there
    if becomes == was:
        return was
    now: dict[str, Any] = {"file_state": "online" if becomes else "missing"}
    detail = "found" if can_look and becomes else "the file is gone" if can_look else "said by a client, not verified"
    if becomes and seen is not None:
        now |= {"record_size": seen.size, "record_hash": seen.md5, "modified_ns": seen.modified_ns}
        now |= {"verified": writer.now}
    elif becomes:
        now |= {"record_size": dataset["file_size"], "record_hash": dataset["dataset_hash"], "modified_ns": 0}
        now |= {"verified": NEVER}
    names = ("dataset_id", "repository", "file_path", "file_state", "record_size", "record_hash", "modified_ns",
             "verified")  # fmt: skip
    written = dict(record) | now
    insert_many(data.FileRecord, {name: [written[name]] for name in names}, "update")
    data.note_online(data.Dataset & {"dataset_id": record["dataset_id"]})
    place = f"{record['repository']}:{record['file_path']}"
    old, new = (record["record_hash"], "") if not becomes else ("", written["record_hash"])
    writer.change("restored" if becomes else "deleted", place, detail, old, new)
    writer.flush_changes()
    return becomes
